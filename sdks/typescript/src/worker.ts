// A worker: its Servers, its nodes, its end.

import { randomBytes, randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";

import { status } from "@grpc/grpc-js";

import { Calls } from "./runtime/calls.js";
import { type Clock, systemClock } from "./runtime/clock.js";
import { type Ended, serveLink } from "./runtime/link.js";
import { guarded, type Log, logToStderr } from "./runtime/log.js";
import { type Offer, Shared } from "./runtime/shared.js";
import { type Dial, dialGrpc, LinkEnd } from "./runtime/transport.js";
import type { Server } from "./server.js";

export interface WorkerOptions {
  /** Proves to nodes who this worker is. */
  token?: string;
  /** The file of the token, read anew for each link. */
  tokenFile?: string;
  /** The stable name of this worker; without one it is made up at each start. */
  id?: string;
  /** Calls taken at once; more are refused, and nodes choose another worker. 256 unless told. */
  capacity?: number;
  /** Bytes of unrecorded outcomes held; at the bound no call is taken. 64 MiB unless told. */
  heldBytesMax?: number;
  /** How long running calls may go on after the end was asked for. 30 s unless told. */
  drainMs?: number;
  /** Where to say what happens; standard error unless told. */
  log?: Log;
  /** For tests: how time goes. */
  clock?: Clock;
  /** Another way to reach nodes than TCP, for tests and tunnels. */
  dial?: Dial;
}

/** A worker cannot run, or a node refused it from the start: only a person can help. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
}

const SDK = "ostler-typescript/0.1.0";
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5_000;
/** Only a person can help. */
const FINAL_CODES = [status.INVALID_ARGUMENT, status.PERMISSION_DENIED, status.UNAUTHENTICATED];

/** A worker process: serves Servers to the nodes it dials. */
export class Worker {
  private readonly hubs: string[];
  private readonly offers: Offer[] = [];

  /** `hub` is where workers link to a node, such as `http://127.0.0.1:7070`; there may be several. */
  constructor(
    hub: string | string[],
    private readonly options: WorkerOptions = {},
  ) {
    this.hubs = Array.isArray(hub) ? hub : [hub];
    const bad = this.hubs.find((hub) => !isAddress(hub));
    if (bad !== undefined) throw new WorkerError(`${bad} is no address of a node`);
  }

  /** Serves `server` as `name` of `tenant`. */
  serve(tenant: string, name: string, server: Server): this {
    this.offers.push({ tenant, name, server });
    return this;
  }

  /**
   * Runs until the process is told to end (SIGINT, SIGTERM). Told a second time, it does not wait
   * for running calls.
   */
  async run(): Promise<void> {
    const first = new AbortController();
    const second = new AbortController();
    const told = () => (first.signal.aborted ? second : first).abort();
    process.on("SIGINT", told).on("SIGTERM", told);
    try {
      await this.runUntil(first.signal, second.signal);
    } finally {
      process.off("SIGINT", told).off("SIGTERM", told);
    }
  }

  /**
   * Runs until `shutdown`: then takes no more calls, finishes the running ones within the limit
   * and leaves; with `now`, at once. Lost nodes are dialled again and again.
   */
  async runUntil(shutdown: AbortSignal, now?: AbortSignal): Promise<void> {
    const shared = this.shared();
    const links = Promise.all(this.hubs.map((hub) => this.keepLinked(shared, hub)));
    const ended = links.then(() => undefined);
    try {
      await Promise.race([ended, aborted(shutdown)]);
      shared.drain();
      const limit = shared.pause(this.options.drainMs ?? 30_000).then(() => "late" as const);
      const stops = now === undefined ? [] : [aborted(now)];
      const why = await Promise.race([ended, shared.calls.idle(), limit, ...stops]);
      if (why === "late") shared.log("warn", "calls still ran at the end", {});
    } finally {
      shared.close();
    }
    await ended;
  }

  private shared(): Shared {
    const { options, offers } = this;
    const [first] = offers;
    if (first === undefined) throw new WorkerError("a worker serves at least one Server");
    const { capacity = 256, heldBytesMax = 64 << 20, clock = systemClock, log: said = logToStderr } = options;
    const log = guarded(said);
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 100_000) {
      throw new WorkerError("capacity is 1 to 100000 calls");
    }
    const id = options.id ?? `${first.name}-${randomBytes(4).toString("hex")}`;
    const calls = new Calls(clock, { capacity, heldBytesMax }, log);
    const dial = options.dial ?? dialGrpc;
    return new Shared(id, instanceEpoch(), SDK, capacity, [...offers], calls, clock, log, dial);
  }

  /**
   * Keeps one node linked until the worker ends. An error only for a credential that is refused, or
   * cannot be read, before any node took this worker: nothing but a person can help then.
   */
  private async keepLinked(shared: Shared, hub: string): Promise<void> {
    for (let retries = 0; shared.phase !== "closing"; retries += 1) {
      const { end, welcomed } = await this.link(shared, hub);
      if (isClosing(shared)) return;
      if (welcomed) retries = 0;
      if (!shared.everWelcomed && isFinal(end)) {
        throw new WorkerError(`no link to the node ${hub}: ${end.message}`);
      }
      shared.log("warn", "not linked", { hub, why: end.message });
      await shared.pause(retryMs(retries));
    }
  }

  private async link(shared: Shared, hub: string): Promise<Ended> {
    let token: string | undefined;
    try {
      token = await this.token();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { end: new LinkEnd(message, status.UNAUTHENTICATED), welcomed: false };
    }
    // Those that end the links have been here meanwhile.
    if (isClosing(shared)) return { end: new LinkEnd("the worker ends"), welcomed: false };
    return serveLink(shared, hub, token);
  }

  private async token(): Promise<string | undefined> {
    const { token, tokenFile } = this.options;
    const found = tokenFile === undefined ? token : (await readFile(tokenFile, "utf8")).trim();
    if (found !== undefined && !/^[\x21-\x7e]+$/.test(found)) {
      throw new WorkerError("a worker token is printable ASCII text");
    }
    return found;
  }
}

function isAddress(hub: string): boolean {
  const url = hub.includes("://") ? hub : `http://${hub}`;
  return URL.canParse(url) && ["http:", "https:"].includes(new URL(url).protocol);
}

function isClosing(shared: Shared): boolean {
  return shared.phase === "closing";
}

function isFinal({ code }: LinkEnd): boolean {
  return code !== undefined && FINAL_CODES.includes(code);
}

/** Exponential, with jitter, so that the workers of a lost node do not all come at once. */
function retryMs(retries: number): number {
  const full = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(retries, 16));
  return full / 2 + (full / 2) * Math.random();
}

/** Grows from start to start of a process, also when the clock stands still in between. */
function instanceEpoch(): bigint {
  return (BigInt(Date.now()) << 16n) | BigInt(randomInt(1 << 16));
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
