// Payloads larger than a frame: taken apart by the sender, put together by the receiver.

import type { Part, Payload } from "../wire/ostler/worker/v1/worker.js";

/** No frame is larger. */
export const FRAME_BYTES_MAX = 256 << 10;
/** The largest piece of a payload. */
export const PART_BYTES_MAX = 64 << 10;
/** All payloads inside one frame, together. */
export const INLINE_BYTES_MAX = 64 << 10;

export const NO_BYTES = Buffer.alloc(0);

/** A payload on its way in parts. */
export class Transfer {
  constructor(
    private readonly number: bigint,
    private rest: Buffer,
  ) {}

  get bytesLeft(): number {
    return this.rest.length;
  }

  /** The next piece; `undefined` when all are out. */
  nextPart(): Part | undefined {
    if (this.rest.length === 0) return undefined;
    const data = this.rest.subarray(0, PART_BYTES_MAX);
    this.rest = this.rest.subarray(data.length);
    return { transfer: this.number, data };
  }
}

/** Packs the payloads of one frame: inside it while there is room, otherwise ahead of it. */
export class Packer {
  readonly transfers: Transfer[] = [];
  private inlineLeft = INLINE_BYTES_MAX;

  constructor(private readonly nextNumber: () => bigint) {}

  pack(bytes: Buffer): Payload {
    if (bytes.length <= this.inlineLeft) {
      this.inlineLeft -= bytes.length;
      return { inline: bytes, transfer: 0n };
    }
    const transfer = this.nextNumber();
    this.transfers.push(new Transfer(transfer, bytes));
    return { inline: NO_BYTES, transfer };
  }
}

/** How much may wait in an `Assembler`. */
export interface AssemblerLimits {
  /** One payload. */
  payloadBytesMax: number;
  /** All open transfers together. */
  openBytesMax: number;
  /** Open transfers. */
  openLengthMax: number;
}

/** The node does not follow the protocol; it ends the link. */
export class BadFrame extends Error {}

/** A payload that is too large; it ends what it belongs to, nothing else. */
export class TooLarge extends Error {}

/** `undefined` for a transfer that went beyond the limits: its bytes are not kept. */
type Open = { pieces: Buffer[]; bytes: number } | undefined;

/**
 * Puts payloads together again. It holds no more bytes than its limits say: of a transfer that
 * goes beyond them only its number is remembered, and its payload is refused.
 */
export class Assembler {
  private readonly open = new Map<bigint, Open>();
  private openBytes = 0;

  constructor(private readonly limits: AssemblerLimits) {}

  /** Takes in one piece. */
  add({ transfer, data }: Part): void {
    this.check(transfer, data.length);
    const held = this.open.get(transfer) ?? this.begin(transfer);
    if (held === undefined) return;
    const fits = held.bytes + data.length <= this.limits.payloadBytesMax;
    if (fits && this.openBytes + data.length <= this.limits.openBytesMax) {
      held.pieces.push(data);
      held.bytes += data.length;
      this.openBytes += data.length;
    } else {
      this.openBytes -= held.bytes;
      this.open.set(transfer, undefined);
    }
  }

  /** The whole payload. Its transfer ends here. */
  finish(payload: Payload | undefined): Buffer {
    if (payload === undefined) return NO_BYTES;
    const { inline, transfer } = payload;
    if (transfer === 0n) return this.fit(inline);
    if (!this.open.has(transfer)) throw new BadFrame(`transfer ${transfer} is not open`);
    const held = this.open.get(transfer);
    this.open.delete(transfer);
    if (held === undefined) throw this.tooLarge();
    this.openBytes -= held.bytes;
    return this.fit(Buffer.concat([...held.pieces, inline]));
  }

  private check(transfer: bigint, length: number): void {
    if (transfer === 0n) throw new BadFrame("a part carries transfer number 0");
    if (length < 1 || length > PART_BYTES_MAX) {
      throw new BadFrame(`a part has ${length} bytes, allowed are 1 to ${PART_BYTES_MAX}`);
    }
    if (!this.open.has(transfer) && this.open.size >= this.limits.openLengthMax) {
      throw new BadFrame(`more than ${this.limits.openLengthMax} transfers are open`);
    }
  }

  private begin(transfer: bigint): Open {
    if (this.open.has(transfer)) return undefined;
    const held = { pieces: [], bytes: 0 };
    this.open.set(transfer, held);
    return held;
  }

  private fit(bytes: Buffer): Buffer {
    if (bytes.length > this.limits.payloadBytesMax) throw this.tooLarge();
    return bytes;
  }

  private tooLarge(): TooLarge {
    return new TooLarge(
      `a payload is larger than ${this.limits.payloadBytesMax} bytes, or there is no room for it now`,
    );
  }
}
