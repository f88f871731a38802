// Every call of this worker, whichever link carries it.
//
// A call is running, held (its outcome waits to be recorded) or ended. What ended is remembered
// for a while, so that a node does not run it a second time. A call whose link is lost is adrift
// until a new link names it.

import { CANCELLED, DEFECT, type Failure, failureToWire } from "../error.js";
import {
  type CallId,
  type KnownCall,
  KnownCalls,
  KnownCallState,
  RefusedReason,
} from "../wire/ostler/worker/v1/worker.js";
import type { Answer } from "./asks.js";
import { Books, type Held } from "./books.js";
import { Call, callKey } from "./call.js";
import type { Clock } from "./clock.js";
import { describe } from "./guard.js";
import { encode, type Frame } from "./lanes.js";
import type { Log } from "./log.js";
import type { Outbox } from "./outbox.js";
import { FRAME_BYTES_MAX, NO_BYTES, Packer } from "./transfer.js";

/** How a handler ended: a result object as JSON text, or why there is none. */
export type Ended = Buffer | Failure;

/** How much this worker takes on. */
export interface Bounds {
  capacity: number;
  /** Bytes of outcomes held, or waiting on one link; while there are more no call is taken. */
  heldBytesMax: number;
}

/** What a `Hello` says about the calls of earlier links. */
export interface Known {
  /** An encoded `KnownCalls`. */
  calls: Buffer;
  truncated: boolean;
  /** Those among them that the new link will carry. */
  adrift: { id: CallId; attempt: number }[];
}

/** Calls that are not kept go on for this long without a link. */
const PLAIN_GRACE_MS = 1_000;
/** How long a cancelled handler may clean up. */
const CANCEL_GRACE_MS = 1_000;
/** An outcome that nobody records is held this long. */
const HOLD_MS_MAX = 600_000;

export class Calls {
  private readonly books: Books;
  private draining = false;
  /** Handlers that have not settled; those of cancelled calls, too, for nothing can end them. */
  private busy = 0;
  private whenIdle: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly bounds: Bounds,
    private readonly logs: Log,
  ) {
    this.books = new Books(clock);
  }

  // ---- the life of a call --------------------------------------------------------------

  /** Makes room for a call, or says why there is none. */
  begin(call: Call, outbox: Outbox): RefusedReason | undefined {
    if (this.draining) return RefusedReason.DRAINING;
    const heldBytes = Math.max(this.books.heldBytes, outbox.waitingBytes);
    if (this.busy >= this.bounds.capacity || heldBytes >= this.bounds.heldBytesMax) return RefusedReason.BUSY;
    this.busy += 1;
    const before = this.books.calls.get(call.key);
    if (before instanceof Call) this.stop(before);
    else if (before !== undefined) this.books.release(call.key);
    this.books.calls.set(call.key, call);
    return undefined;
  }

  /** A handler has settled, in time or not. */
  settled(call: Call, outcome: Ended): void {
    this.busy -= 1;
    this.end(call, outcome);
  }

  /** The call is over: the outcome goes out, and stays if it must survive this link. */
  private end(call: Call, ended: Ended): void {
    // Ended before its handler was, or replaced by a newer attempt.
    if (this.books.calls.get(call.key) !== call) return;
    const { outbox, lost, kept, stop } = call.over((why) => {
      this.logs("error", "work at the end of a call failed", { call: call.key.toString(16), why });
    });
    const outcome = this.sendable(call, ended);
    this.books.calls.delete(call.key);
    const told = stop !== "drop";
    if (told && outbox !== undefined) sendOutcome(outbox, call, outcome);
    // A plain call that ended while adrift may still be asked for within its grace.
    const waits = outbox === undefined && stop === undefined;
    if (told && (kept || waits)) {
      // The grace of a plain call began when its link was lost, not when it ended.
      const since = kept ? this.clock.now() : lost;
      this.books.hold(call.key, { id: call.id, attempt: call.attempt, outcome, outbox, kept, since });
    } else {
      this.books.remember(call.id, call.attempt);
    }
    this.fewer();
  }

  /** What no frame can carry is a defect of whoever made it. */
  private sendable(call: Call, outcome: Ended): Ended {
    if (Buffer.isBuffer(outcome)) return outcome;
    try {
      const { length } = encode(outcomeFrame(new Packer(() => 1n), call.id, call.attempt, outcome));
      if (length <= FRAME_BYTES_MAX) return outcome;
      throw new RangeError(`a failure of ${length} bytes`);
    } catch (error) {
      this.logs("error", "a failure cannot be sent", { call: call.key.toString(16), why: describe(error) });
      return DEFECT;
    }
  }

  answers(outbox: Outbox, id: CallId, answers: Answer[]): void {
    this.runningOn(outbox, id)?.answers(answers);
  }

  /** A call whose outcome has left already needs no keeping. */
  keep(outbox: Outbox, id: CallId): void {
    this.runningOn(outbox, id)?.keep();
  }

  cancel(outbox: Outbox, id: CallId): void {
    const call = this.runningOn(outbox, id);
    if (call !== undefined) this.cancelSoon(call);
  }

  /** The node has stored these outcomes. */
  recorded(ids: CallId[]): void {
    for (const id of ids) this.books.release(callKey(id));
    this.fewer();
  }

  /** Nobody owns this attempt. */
  forget(id: CallId, attempt: number): void {
    const live = this.books.calls.get(callKey(id));
    if (live === undefined || live.attempt !== attempt) return;
    if (live instanceof Call) this.stop(live);
    else this.books.release(callKey(id));
    this.fewer();
  }

  // ---- links come and go ---------------------------------------------------------------

  known(): Known {
    this.books.forgetOld();
    const adrift: Known["adrift"] = [];
    const calls: KnownCall[] = [];
    for (const live of this.books.calls.values()) {
      const isAdrift = live instanceof Call ? live.adriftSince !== undefined : live.outbox === undefined;
      if (!isAdrift) continue;
      adrift.push(live);
      const state = live instanceof Call ? KnownCallState.RUNNING : KnownCallState.HELD;
      calls.push({ call: live.id, attempt: live.attempt, state });
    }
    for (const { id, attempt } of this.books.ended) {
      calls.push({ call: id, attempt, state: KnownCallState.ENDED });
    }
    const encoded = Buffer.from(KnownCalls.encode({ calls }).finish());
    return { calls: encoded, truncated: this.books.isTruncated, adrift };
  }

  /** A new link carries the calls that its `Hello` named as adrift. */
  attach(outbox: Outbox, adrift: Known["adrift"]): void {
    for (const named of adrift) {
      const live = this.books.calls.get(callKey(named.id));
      if (live === undefined) {
        // Its grace ended after it was named.
        sendOutcome(outbox, named, CANCELLED);
      } else if (live instanceof Call) {
        if (live.adriftSince !== undefined) live.attach(outbox);
      } else if (live.outbox === undefined) {
        this.offer(outbox, live);
      }
    }
    this.fewer();
  }

  private offer(outbox: Outbox, held: Held): void {
    held.outbox = outbox;
    sendOutcome(outbox, held, held.outcome);
    // A plain one has no `Recorded`: this was its one chance.
    if (!held.kept) this.books.release(callKey(held.id));
  }

  /** The link is gone; what it carried is adrift. */
  lost(outbox: Outbox): void {
    let isAdrift = false;
    for (const live of this.books.calls.values()) {
      if (live instanceof Call) {
        if (!live.isOn(outbox)) continue;
        live.detach();
      } else {
        if (live.outbox !== outbox) continue;
        live.outbox = undefined;
        live.since = this.clock.now();
      }
      isAdrift = true;
    }
    if (isAdrift) this.clock.after(PLAIN_GRACE_MS, () => this.cancelAdrift());
  }

  /** The grace of calls that are not kept is over: their client is told of a lost worker. */
  private cancelAdrift(): void {
    const isLate = (since: number | undefined) =>
      since !== undefined && this.clock.now() - since >= PLAIN_GRACE_MS;
    for (const [key, live] of this.books.calls) {
      if (live instanceof Call) {
        if (!live.isKept && isLate(live.adriftSince)) this.cancelSoon(live);
      } else if (live.outbox === undefined && !live.kept && isLate(live.since)) {
        this.books.release(key);
      }
    }
    this.fewer();
  }

  // ---- housekeeping --------------------------------------------------------------------

  /** Lets go of what was held or remembered too long. The links call it now and then. */
  sweep(): void {
    this.books.forgetOld();
    for (const [key, live] of this.books.calls) {
      if (live instanceof Call || this.clock.now() - live.since < HOLD_MS_MAX) continue;
      this.logs("warn", "an outcome was never recorded", { call: key.toString(16) });
      this.books.release(key);
    }
    this.fewer();
  }

  /** No new calls from here on. */
  drain(): void {
    this.draining = true;
  }

  /** Ends when no call runs and nothing is held. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.whenIdle = resolve;
      this.fewer();
    });
  }

  /** Ends every call at once. */
  dropAll(): void {
    this.draining = true;
    for (const live of [...this.books.calls.values()]) if (live instanceof Call) this.stop(live);
  }

  private stop(call: Call): void {
    call.stop("drop");
    this.end(call, CANCELLED);
  }

  private cancelSoon(call: Call): void {
    if (call.isStopped) return;
    call.stop("cancel");
    this.clock.after(CANCEL_GRACE_MS, () => this.end(call, CANCELLED));
  }

  private fewer(): void {
    if (this.books.calls.size === 0) this.whenIdle?.();
  }

  private runningOn(outbox: Outbox, id: CallId): Call | undefined {
    const live = this.books.calls.get(callKey(id));
    return live instanceof Call && live.isOn(outbox) ? live : undefined;
  }
}

/** What names one attempt of a call. */
export interface Attempt {
  id: CallId;
  attempt: number;
}

export function sendOutcome(outbox: Outbox, { id, attempt }: Attempt, outcome: Ended): void {
  outbox.send((packer) => outcomeFrame(packer, id, attempt, outcome));
}

function outcomeFrame(packer: Packer, call: CallId, attempt: number, ended: Ended): Frame {
  if (Buffer.isBuffer(ended)) {
    const outcome = { $case: "result", value: packer.pack(ended) } as const;
    return { $case: "outcome", value: { call, attempt, outcome } };
  }
  const value = { ...failureToWire(ended), data: packer.pack(ended.data ?? NO_BYTES) };
  return { $case: "outcome", value: { call, attempt, outcome: { $case: "failure", value } } };
}
