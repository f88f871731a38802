// What waits to leave on one link.

import { encode, type Frame, Lanes } from "./lanes.js";
import { Packer } from "./transfer.js";
import type { Transport } from "./transport.js";

/** Chatter is dropped while more than this waits: what comes later says more. */
const CHATTER_BYTES_MAX = 64 << 10;
/** The room of a link before its node said how much there is; the smallest allowed. */
const ROOM_BYTES_MIN = 512 << 10;
/** Frames that wait, besides what calls have to say: a node that takes answers never has as many. */
const WAITING_LENGTH_MAX = 10_000;
/** Frames of one call that wait, at most: it started, is kept, asks, became a task, ended. */
const FRAMES_PER_CALL = 8;

/** What wants to say something when the turn of the event loop ends. */
export interface TurnEnd {
  turnEnded(): void;
}

/**
 * The sending half of a link. Frames leave when the turn of the event loop ends, as long as the
 * transport takes more: what comes meanwhile waits behind the few that it took. Bounded: chatter
 * is dropped when much waits, and outcomes count against what the worker holds.
 */
export class Outbox {
  private lanes = new Lanes(ROOM_BYTES_MIN);
  private transfers = 0n;
  /** Calls of earlier links whose news all goes out at the beginning of this one. */
  private adriftLength = 0;
  private turnEnds: TurnEnd[] = [];
  private isScheduled = false;
  private isBlocked = false;
  private isClosed = false;
  private isAbandoned = false;

  constructor(private readonly transport: () => Transport) {}

  /**
   * The node said how many bytes may be out. Nothing but control has left before. The link carries
   * `adriftLength` calls of earlier ones from here on.
   */
  welcomed(byteCredit: bigint, adriftLength: number): void {
    this.lanes = new Lanes(Math.max(Number(byteCredit), ROOM_BYTES_MIN));
    this.adriftLength = adriftLength;
  }

  /** A frame that flow control does not count; it overtakes data. */
  control(frame: Frame): void {
    this.lanes.pushControl(encode(frame));
    this.schedule();
  }

  /** `write` packs the payloads of one `Hello`, whose parts go ahead uncounted. */
  hello(write: (packer: Packer) => Frame): void {
    const packer = this.packer();
    const frame = write(packer);
    for (const transfer of packer.transfers) {
      for (let value = transfer.nextPart(); value !== undefined; value = transfer.nextPart()) {
        this.lanes.pushControl(encode({ $case: "part", value }));
      }
    }
    this.lanes.pushControl(encode(frame));
    this.schedule();
  }

  /** `write` packs the payloads of one frame. */
  send(write: (packer: Packer) => Frame): void {
    if (this.isAbandoned) return;
    const packer = this.packer();
    const frame = write(packer);
    // The one frame about a call that nothing is granted for; among the others it keeps its place.
    const cost = frame.$case === "visited" ? 0 : undefined;
    this.lanes.pushData(encode(frame), packer.transfers, cost);
    this.schedule();
  }

  /** Tells `whom` once when this turn ends, before what waits leaves. */
  atTurnEnd(whom: TurnEnd): void {
    this.turnEnds.push(whom);
    this.schedule();
  }

  /** Whether chatter would have to wait, and so is dropped. */
  get isBusy(): boolean {
    return this.lanes.waitingBytes > CHATTER_BYTES_MAX;
  }

  /** Bytes that wait for the node to take them. */
  get waitingBytes(): number {
    return this.lanes.waitingBytes;
  }

  /** Whether the node goes on talking and takes no answers. `capacity` is of the worker. */
  isStuck(capacity: number): boolean {
    const ofCalls = FRAMES_PER_CALL * capacity + this.adriftLength;
    return this.lanes.length > WAITING_LENGTH_MAX + ofCalls;
  }

  grant(bytes: bigint): void {
    this.lanes.allow(Number(bytes));
    this.schedule();
  }

  /** The transport takes more. */
  drained(): void {
    this.isBlocked = false;
    this.schedule();
  }

  /** Sends what waits, then ends the stream. */
  close(): void {
    this.isClosed = true;
    this.schedule();
  }

  /** The link is lost: what waits cannot leave any more. */
  abandon(): void {
    this.isAbandoned = true;
    this.lanes = new Lanes(ROOM_BYTES_MIN);
    this.turnEnds = [];
  }

  private packer(): Packer {
    return new Packer(() => (this.transfers += 1n));
  }

  private schedule(): void {
    if (this.isScheduled || this.isAbandoned) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    const ends = this.turnEnds;
    this.turnEnds = [];
    for (const end of ends) end.turnEnded();
    while (!this.isBlocked && !this.isAbandoned) {
      const frame = this.lanes.pop();
      if (frame === undefined) break;
      this.isBlocked = !this.transport().write(frame);
    }
    if (this.isClosed && !this.isAbandoned && this.lanes.isEmpty) {
      this.isClosed = false;
      this.transport().end();
    }
  }
}
