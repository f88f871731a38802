// What all links of a worker have in common.

import type { Server } from "../server.js";
import type { Calls } from "./calls.js";
import type { Clock } from "./clock.js";
import type { Log } from "./log.js";
import type { Dial } from "./transport.js";

/** A Server, and what it is served as. */
export interface Offer {
  tenant: string;
  name: string;
  server: Server;
}

/** A link, as the worker's end sees it. */
export interface LinkHandle {
  leave(): void;
  close(): void;
}

type Phase = "serving" | "draining" | "closing";

export class Shared {
  phase: Phase = "serving";
  /** Some node has taken this worker, so that what is wrong with it can pass. */
  everWelcomed = false;
  readonly links = new Set<LinkHandle>();
  private readonly waiting = new Set<() => void>();

  constructor(
    readonly id: string,
    readonly epoch: bigint,
    readonly sdk: string,
    readonly capacity: number,
    readonly offers: readonly Offer[],
    readonly calls: Calls,
    readonly clock: Clock,
    readonly log: Log,
    readonly dial: Dial,
  ) {}

  /** A pause before the next attempt; shorter when the worker is about to end. */
  pause(ms: number): Promise<void> {
    if (this.phase === "closing") return Promise.resolve();
    return new Promise((resolve) => {
      const go = () => {
        stop();
        this.waiting.delete(go);
        resolve();
      };
      const stop = this.clock.after(ms, go);
      this.waiting.add(go);
    });
  }

  /** No new calls; running ones finish. */
  drain(): void {
    this.phase = "draining";
    this.calls.drain();
    for (const link of this.links) link.leave();
  }

  /** The links end. */
  close(): void {
    this.phase = "closing";
    this.calls.dropAll();
    for (const link of [...this.links]) link.close();
    for (const go of [...this.waiting]) go();
  }
}
