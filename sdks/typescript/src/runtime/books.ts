// The books of all calls: plain data and the rules that keep it whole.

import type { CallId } from "../wire/ostler/worker/v1/worker.js";
import { type Call, callKey } from "./call.js";
import type { Ended } from "./calls.js";
import type { Clock } from "./clock.js";
import type { Outbox } from "./outbox.js";

/** Ended calls remembered. */
const ENDED_LENGTH_MAX = 16_384;
/** Ended calls are named this long after their end; no node asks later. */
const ENDED_MS_MAX = 60_000;
/** What a held outcome costs beside its bytes. */
const HELD_COST = 256;

/** An outcome that waits to be recorded. */
export interface Held {
  id: CallId;
  attempt: number;
  outcome: Ended;
  outbox: Outbox | undefined;
  kept: boolean;
  since: number;
}

interface EndedCall {
  id: CallId;
  attempt: number;
  at: number;
}

export class Books {
  /** At most `capacity` running ones, and held ones up to the bound in bytes. */
  readonly calls = new Map<bigint, Call | Held>();
  heldBytes = 0;
  /** The oldest first; those before `endedFrom` are forgotten. */
  private endedCalls: EndedCall[] = [];
  private endedFrom = 0;
  /** When an ended call was last forgotten too early. */
  private overflowed = -Infinity;

  constructor(private readonly clock: Clock) {}

  get ended(): EndedCall[] {
    return this.endedCalls.slice(this.endedFrom);
  }

  /** Whether an ended call that a node may ask about was forgotten. */
  get isTruncated(): boolean {
    return this.clock.now() - this.overflowed < ENDED_MS_MAX;
  }

  hold(key: bigint, held: Held): void {
    this.heldBytes += cost(held);
    this.calls.set(key, held);
  }

  /** Lets go of a held outcome. */
  release(key: bigint): void {
    const held = this.calls.get(key);
    if (held === undefined || !("outcome" in held)) return;
    this.heldBytes -= cost(held);
    this.calls.delete(callKey(held.id));
    this.remember(held.id, held.attempt);
  }

  remember(id: CallId, attempt: number): void {
    const at = this.clock.now();
    if (this.endedCalls.length - this.endedFrom >= ENDED_LENGTH_MAX) {
      this.endedFrom += 1;
      this.overflowed = at;
    }
    this.endedCalls.push({ id, attempt, at });
    // Cut off seldom, so that remembering stays cheap.
    if (this.endedFrom >= ENDED_LENGTH_MAX) this.cut();
  }

  forgetOld(): void {
    const now = this.clock.now();
    const isOld = (call: EndedCall | undefined) => call !== undefined && now - call.at >= ENDED_MS_MAX;
    while (isOld(this.endedCalls[this.endedFrom])) this.endedFrom += 1;
    this.cut();
  }

  private cut(): void {
    this.endedCalls = this.endedCalls.slice(this.endedFrom);
    this.endedFrom = 0;
  }
}

function cost({ outcome }: Held): number {
  return HELD_COST + (Buffer.isBuffer(outcome) ? outcome.length : 0);
}
