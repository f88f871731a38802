// What waits to leave on a link, in the order in which it may leave.
//
// Control overtakes data and never waits for the node. Small frames and large payloads take
// turns, and large ones use only half of the allowance, so that a large payload delays no other
// call even when the node is slow.

import { FromWorker } from "../wire/ostler/worker/v1/worker.js";
import { PART_BYTES_MAX, type Transfer } from "./transfer.js";

export type Frame = NonNullable<FromWorker["frame"]>;

export function encode(frame: Frame): Uint8Array {
  return FromWorker.encode({ frame }).finish();
}

interface Small {
  frame: Uint8Array;
  cost: number;
}

/** A frame behind the transfers that carry its payloads. */
interface Large {
  transfers: Transfer[];
  frame: Uint8Array;
}

/** What a part's frame takes beside its data, at most. */
const ENVELOPE = 64;

/** A queue that is emptied in order; cheaper than shifting an array. */
class Queue<T> {
  private items: T[] = [];
  private next = 0;

  get length(): number {
    return this.items.length - this.next;
  }

  push(item: T): void {
    this.items.push(item);
  }

  first(): T | undefined {
    return this.items[this.next];
  }

  shift(): T | undefined {
    const item = this.items[this.next];
    if (item === undefined) return undefined;
    this.next += 1;
    if (this.next === this.items.length) {
      this.items = [];
      this.next = 0;
    } else if (this.next >= 1024) {
      this.items.splice(0, this.next);
      this.next = 0;
    }
    return item;
  }
}

/** Frames are encoded when they come here, because flow control counts encoded bytes. */
export class Lanes {
  private readonly control = new Queue<Uint8Array>();
  private readonly small = new Queue<Small>();
  private readonly large = new Queue<Large>();
  private largeIsNext = false;
  /** Bytes that may leave now. */
  private allowance: number;
  private waiting = 0;

  /** `allowance` is at least 512 KiB, so that the largest frame finds room in a half of it. */
  constructor(private readonly allowanceMax: number) {
    this.allowance = allowanceMax;
  }

  /** Bytes of data that wait here. */
  get waitingBytes(): number {
    return this.waiting;
  }

  /** Frames that wait here, but for those with transfers. */
  get length(): number {
    return this.control.length + this.small.length;
  }

  get isEmpty(): boolean {
    return this.control.length + this.small.length + this.large.length === 0;
  }

  /** A frame that overtakes all data and that flow control does not count. */
  pushControl(frame: Uint8Array): void {
    this.control.push(frame);
  }

  /** `cost` is what flow control counts of a frame without transfers. */
  pushData(frame: Uint8Array, transfers: Transfer[], cost = frame.length): void {
    this.waiting += frame.length;
    if (transfers.length === 0) return this.small.push({ frame, cost });
    for (const transfer of transfers) this.waiting += transfer.bytesLeft;
    this.large.push({ transfers, frame });
  }

  /** The node took in so many bytes. */
  allow(bytes: number): void {
    this.allowance = Math.min(this.allowance + bytes, this.allowanceMax);
  }

  /** The next frame that may leave now. */
  pop(): Uint8Array | undefined {
    const control = this.control.shift();
    if (control !== undefined) return control;
    const largeIsNext = this.largeIsNext;
    this.largeIsNext = !largeIsNext;
    return largeIsNext ? (this.popLarge() ?? this.popSmall()) : (this.popSmall() ?? this.popLarge());
  }

  private popSmall(): Uint8Array | undefined {
    const small = this.small.first();
    if (small === undefined || small.cost > this.allowance) return undefined;
    this.small.shift();
    return this.spend(small.frame, small.frame.length, small.cost);
  }

  private popLarge(): Uint8Array | undefined {
    const large = this.large.first();
    if (large === undefined) return undefined;
    if (costMax(large) + this.allowanceMax / 2 > this.allowance) return undefined;
    this.large.shift();
    const [transfer] = large.transfers;
    const part = transfer?.nextPart();
    if (transfer === undefined || part === undefined) return this.spend(large.frame, large.frame.length);
    if (transfer.bytesLeft === 0) large.transfers.shift();
    this.large.push(large);
    return this.spend(encode({ $case: "part", value: part }), part.data.length);
  }

  private spend(frame: Uint8Array, waited: number, cost = frame.length): Uint8Array {
    this.allowance -= cost;
    this.waiting -= waited;
    return frame;
  }
}

function costMax({ transfers: [first], frame }: Large): number {
  return first === undefined ? frame.length : Math.min(first.bytesLeft, PART_BYTES_MAX) + ENVELOPE;
}
