// The link to one node, from its greeting to its end: frames in, calls begun, changes told.

import {
  type EntryRefusal,
  type Hello,
  type ServerOffer,
  ToWorker,
  type Welcome,
} from "../wire/ostler/worker/v1/worker.js";
import type { Known } from "./calls.js";
import { Intake, named } from "./intake.js";
import { Outbox } from "./outbox.js";
import type { LinkHandle, Shared } from "./shared.js";
import { BadFrame, type Packer } from "./transfer.js";
import { LinkEnd, type Listener, type Transport } from "./transport.js";
import { Watched } from "./watched.js";

export const PROTOCOL_MIN = 1;
export const PROTOCOL_MAX = 1;
/** A node is reached and answers the `Hello` within this time. */
const WELCOME_MS_MAX = 10_000;
/** A node that says nothing for this many heartbeats is gone (two may be missed). */
const HEARTBEATS_MAX = 3;
const HEARTBEAT_MS_MIN = 100;
/** Taken-in bytes are acknowledged in portions of this size. */
const CONSUMED_BYTES = 64 << 10;
/** Between two catalogs of a Server that keeps changing while the link is busy. */
const CHANGE_PAUSE_MS = 100;
/** How long the last frames may take to leave. */
const GOODBYE_MS_MAX = 1_000;

/** How a link ended, and whether it ever stood. */
export interface Ended {
  end: LinkEnd;
  welcomed: boolean;
}

/** Links to `hub` and serves it; the promise ends with the link and never fails. */
export function serveLink(shared: Shared, hub: string, bearer: string | undefined): Promise<Ended> {
  return new Promise((resolve) => {
    new Link(shared, hub, bearer, resolve);
  });
}

class Link implements Listener, LinkHandle {
  private readonly outbox: Outbox;
  private readonly transport: Transport;
  private readonly known: Known;
  private readonly intake: Intake;
  /** One per Server, in the order of the `Hello`. */
  private readonly watched: Watched[];
  /** The state of each Server that the node was told. */
  private readonly told: number[];
  private readonly unsubscribe: (() => void)[];
  private welcomed = false;
  private isOver = false;
  private heard: number;
  private silenceMs = WELCOME_MS_MAX;
  private stopTimer: () => void;
  /** Bytes taken in and not acknowledged yet. */
  private consumed = 0;

  constructor(
    private readonly shared: Shared,
    private readonly hub: string,
    bearer: string | undefined,
    private readonly resolve: (ended: Ended) => void,
  ) {
    this.outbox = new Outbox(() => this.transport);
    this.known = shared.calls.known();
    this.intake = new Intake(shared, this.outbox);
    this.watched = shared.offers.map(({ server }, index) => new Watched(server, index, this.outbox, shared.log));
    this.told = shared.offers.map(({ server }) => server.version);
    this.unsubscribe = shared.offers.map(({ server }, index) => server.onChange(() => this.tellChange(index)));
    this.heard = shared.clock.now();
    this.outbox.hello((packer) => ({ $case: "hello", value: this.hello(packer) }));
    this.stopTimer = shared.clock.after(this.silenceMs, () => this.watchSilence());
    shared.links.add(this);
    this.transport = shared.dial(hub, bearer, this);
  }

  private hello(packer: Packer): Hello {
    const { shared } = this;
    const offer = ({ tenant, name, server }: (typeof shared.offers)[number]): ServerOffer => ({
      tenant,
      server: name,
      catalog: packer.pack(server.catalog()),
    });
    return {
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      workerId: shared.id,
      instanceEpoch: shared.epoch,
      sdk: shared.sdk,
      servers: shared.offers.map(offer),
      capacity: shared.capacity,
      calls: packer.pack(this.known.calls),
      callsTruncated: this.known.truncated,
    };
  }

  // ---- told by the transport -----------------------------------------------------------

  frame(bytes: Uint8Array): void {
    this.heard = this.shared.clock.now();
    const { frame } = decode(bytes);
    if (frame === undefined) return; // Of a newer version: nothing this worker knows depends on it.
    if (!this.welcomed) {
      if (frame.$case !== "welcome") throw new BadFrame("the first frame is no welcome");
      return this.welcome(frame.value);
    }
    if (this.outbox.isStuck(this.shared.capacity)) throw new BadFrame("it takes no answers");
    this.handle(frame);
    if (isCounted(frame.$case)) this.acknowledge(bytes.length);
  }

  drained(): void {
    this.outbox.drained();
  }

  ended(end: LinkEnd): void {
    if (this.isOver) return;
    this.isOver = true;
    this.stopTimer();
    for (const unsubscribe of this.unsubscribe) unsubscribe();
    for (const watched of this.watched) watched.close();
    this.outbox.abandon();
    this.shared.links.delete(this);
    this.shared.calls.lost(this.outbox);
    this.resolve({ end, welcomed: this.welcomed });
  }

  // ---- its life ------------------------------------------------------------------------

  private welcome(welcome: Welcome): void {
    if (welcome.protocol < PROTOCOL_MIN || welcome.protocol > PROTOCOL_MAX) {
      throw new BadFrame("no common version");
    }
    this.welcomed = true;
    this.shared.everWelcomed = true;
    this.silenceMs = Math.max(welcome.heartbeatMs, HEARTBEAT_MS_MIN) * HEARTBEATS_MAX;
    this.stopTimer();
    this.watchSilence();
    this.outbox.welcomed(welcome.byteCredit, this.known.adrift.length);
    this.warn(welcome.refusals);
    this.shared.calls.attach(this.outbox, this.known.adrift);
    if (this.shared.phase !== "serving") this.leave();
    this.shared.log("info", "linked", { hub: this.hub, worker: this.shared.id });
    this.shared.offers.forEach((_, index) => this.tellChange(index));
  }

  /** Heartbeats go both ways: the node pings, so its silence means that it is gone. */
  private watchSilence(): void {
    if (this.isOver) return;
    const { clock, calls } = this.shared;
    calls.sweep();
    const left = this.heard + this.silenceMs - clock.now();
    if (left > 0) {
      this.stopTimer = clock.after(left, () => this.watchSilence());
      return;
    }
    // When a handler blocked this thread, what the node said meanwhile has not been read: that
    // happens before the next turn.
    const { heard } = this;
    setImmediate(() => {
      if (this.heard !== heard) return this.watchSilence();
      this.giveUp("the node fell silent");
    });
  }

  private giveUp(why: string): void {
    if (this.isOver) return;
    this.transport.destroy();
    this.ended(new LinkEnd(why));
  }

  /** The worker will end: running calls finish, no new ones are taken. */
  leave(): void {
    if (this.welcomed) this.outbox.control({ $case: "leaving", value: {} });
  }

  /** The worker ends: what waits leaves, if it can. */
  close(): void {
    if (!this.welcomed) return this.giveUp("not linked before the end");
    this.outbox.close();
    this.stopTimer();
    this.stopTimer = this.shared.clock.after(GOODBYE_MS_MAX, () => this.giveUp("the node did not say goodbye"));
  }

  private handle(frame: NonNullable<ToWorker["frame"]>): void {
    const { calls } = this.shared;
    switch (frame.$case) {
      case "call":
        return this.intake.call(frame.value);
      case "part":
        return this.intake.part(frame.value);
      case "answers":
        return this.intake.answers(frame.value);
      case "grant":
        return this.outbox.grant(frame.value.bytes);
      case "ping":
        return this.outbox.control({ $case: "pong", value: { nonce: frame.value.nonce } });
      case "keep":
        return calls.keep(this.outbox, named(frame.value.call));
      case "cancel":
        return calls.cancel(this.outbox, named(frame.value.call));
      case "recorded":
        return calls.recorded(frame.value.calls);
      case "forget":
        return calls.forget(named(frame.value.call), frame.value.attempt);
      case "watch":
        return this.watched[frame.value.server]?.watch(frame.value.uri);
      case "unwatch":
        return this.watched[frame.value.server]?.unwatch(frame.value.uri);
      case "drain":
        return this.shared.log("info", "the node drains", { hub: this.hub });
      case "catalogTaken":
        return this.warn(frame.value.refusals);
      case "welcome":
        throw new BadFrame("a second welcome");
    }
  }

  private acknowledge(bytes: number): void {
    this.consumed += bytes;
    if (this.consumed < CONSUMED_BYTES) return;
    this.outbox.control({ $case: "consumed", value: { bytes: BigInt(this.consumed) } });
    this.consumed = 0;
  }

  /** Tells what a Server offers now, once for all changes until the link has room. */
  private tellChange(index: number): void {
    const server = this.shared.offers[index]?.server;
    if (server === undefined || !this.welcomed || this.isOver || this.told[index] === server.version) return;
    if (this.outbox.isBusy) {
      this.shared.clock.after(CHANGE_PAUSE_MS, () => this.tellChange(index));
      return;
    }
    this.told[index] = server.version;
    this.outbox.send((packer) => ({
      $case: "catalogChanged",
      value: { server: index, catalog: packer.pack(server.catalog()) },
    }));
  }

  private warn(refusals: EntryRefusal[]): void {
    for (const { kind, name, reason } of refusals) {
      this.shared.log("warn", "the node did not take an entry", { hub: this.hub, kind, name, reason });
    }
  }
}

function decode(bytes: Uint8Array): ToWorker {
  try {
    return ToWorker.decode(bytes);
  } catch (error) {
    throw new BadFrame(`a frame that is none: ${String(error)}`);
  }
}

/** What flow control counts. */
function isCounted($case: string): boolean {
  return $case === "call" || $case === "answers" || $case === "part";
}
