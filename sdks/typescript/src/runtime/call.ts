// One call, as its handler and its link see it.

import type { Ask } from "../ask.js";
import type { Capability } from "../capability.js";
import { ToolError } from "../error.js";
import type { CallId, LogLevel } from "../wire/ostler/worker/v1/worker.js";
import { type Answer, type Asked, Asks } from "./asks.js";
import type { Clock } from "./clock.js";
import { guard } from "./guard.js";
import type { Outbox, TurnEnd } from "./outbox.js";

/** Who calls, as the platform says; the client's own token never gets here. */
export interface CallerAssertion {
  tenant: string;
  issuer: string;
  subject: string;
  client: string;
  scopes: string[];
  /**
   * The same for all calls of one session, and of no other. Empty for a call of no session, as all
   * calls of 2026-07-28 are.
   */
  session: string;
}

/** W3C trace context. */
export interface TraceContext {
  traceparent: string;
  tracestate: string;
}

/** What a call brought along. */
export interface Facts {
  target: string;
  client: ReadonlySet<Capability>;
  caller: CallerAssertion;
  trace: TraceContext | undefined;
  /** In the time of the clock. */
  deadline: number | undefined;
  wantsProgress: boolean;
}

/** How a call is told to stop. */
export type Stop =
  /** The handler gets a moment to end by itself, and its end is told. */
  | "cancel"
  /** At once, and nobody is told. */
  | "drop";

/** How things stood when a call ended. */
export interface Over {
  outbox: Outbox | undefined;
  /** When its link was lost, if no link carries it. */
  lost: number;
  kept: boolean;
  stop: Stop | undefined;
}

/** Longer texts of progress and loggers would not fit into a frame. */
const TEXT_LENGTH_MAX = 4_096;

export class Call implements TurnEnd {
  readonly key: bigint;
  private lost = 0;
  private kept = false;
  private isTask = false;
  private started = false;
  private awaitsTurnEnd = false;
  private isOver = false;
  private stopped: Stop | undefined;
  private controller: AbortController | undefined;
  private readonly asks: Asks;
  private ends: (() => void)[] = [];

  constructor(
    readonly id: CallId,
    readonly attempt: number,
    readonly facts: Facts,
    readonly clock: Clock,
    /** Where its frames leave; `undefined` while no link carries it. */
    private outbox: Outbox | undefined,
    known: Answer[],
  ) {
    this.key = callKey(id);
    this.asks = new Asks(known);
  }

  // ---- for the handler -----------------------------------------------------------------

  ask<T>(ask: Ask<T>): Asked<T> {
    if (this.isOver || this.stopped !== undefined) return Asks.closed(ask.key);
    const asked = this.asks.ask(ask);
    this.atTurnEnd();
    return asked;
  }

  /**
   * The page of this question has done its part. Without a link nobody hears it, and nobody must:
   * the result says the same.
   */
  visited(key: string): void {
    const { id: call, attempt } = this;
    this.outbox?.send(() => ({ $case: "visited", value: { call, attempt, key } }));
  }

  /** A task's progress becomes its status text, so that is sent unasked. NaN and infinity are no JSON. */
  progress(progress: number, total: number | undefined, text: string): void {
    const message = text.slice(0, TEXT_LENGTH_MAX);
    const isWanted = this.facts.wantsProgress || this.isTask || this.kept;
    const isNumber = Number.isFinite(progress) && Number.isFinite(total ?? 0);
    const { id: call, attempt, outbox } = this;
    if (!isWanted || !isNumber || outbox === undefined || outbox.isBusy) return;
    outbox.send(() => ({ $case: "progress", value: { call, attempt, progress, total, message } }));
  }

  log(level: LogLevel, name: string, data: Buffer): void {
    const logger = name.slice(0, TEXT_LENGTH_MAX);
    const { id: call, attempt, outbox } = this;
    if (outbox === undefined || outbox.isBusy) return;
    outbox.send((packer) => ({
      $case: "log",
      value: { call, attempt, level, logger, data: packer.pack(data) },
    }));
  }

  becomeTask(): void {
    if (this.isTask || this.isOver) return;
    this.isTask = true;
    this.tellAsks();
    this.tell("becomeTask");
  }

  /** Made when somebody wants it: most handlers never look. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.isOver || this.stopped !== undefined) this.controller.abort(ToolError.cancelled());
    return this.controller.signal;
  }

  get isStopped(): boolean {
    return this.stopped !== undefined;
  }

  atEnd(work: () => void): void {
    if (this.isOver) return work();
    this.ends.push(work);
  }

  // ---- for whoever runs the handler ----------------------------------------------------

  /** The handler goes on beyond its first step. */
  goesOn(): void {
    this.atTurnEnd();
  }

  /** A handler that ends with the turn it began in never says that it started. */
  turnEnded(): void {
    this.awaitsTurnEnd = false;
    if (this.isOver) return;
    if (!this.started) {
      this.started = true;
      this.tell("started");
    }
    this.tellAsks();
  }

  /** It has ended: whoever still holds its context reaches nobody. Hears of work at its end that failed. */
  over(failed: (why: string) => void): Over {
    const { outbox, lost, kept, stopped: stop } = this;
    this.isOver = true;
    this.outbox = undefined;
    this.asks.failAll();
    for (const end of this.ends) guard(end, failed);
    this.ends = [];
    return { outbox, lost, kept, stop };
  }

  // ---- for the link --------------------------------------------------------------------

  keep(): void {
    this.kept = true;
    this.tell("kept");
  }

  get isKept(): boolean {
    return this.kept;
  }

  answers(answers: Answer[]): void {
    this.asks.answer(answers);
  }

  stop(stop: Stop): void {
    this.stopped = this.stopped === "drop" ? "drop" : stop;
    this.asks.failAll();
    this.controller?.abort(ToolError.cancelled());
  }

  isOn(outbox: Outbox): boolean {
    return this.outbox === outbox;
  }

  /** Since when no link carries it; `undefined` while one does. */
  get adriftSince(): number | undefined {
    return this.outbox === undefined ? this.lost : undefined;
  }

  detach(): void {
    this.outbox = undefined;
    this.lost = this.clock.now();
    this.awaitsTurnEnd = false;
  }

  /** A new link carries it: what may have been lost with the old one is said again. */
  attach(outbox: Outbox): void {
    this.outbox = outbox;
    if (this.kept) this.tell("kept");
    if (this.isTask) this.tell("becomeTask");
    this.tellQuestions(this.asks.takeAll());
  }

  // ---- frames --------------------------------------------------------------------------

  private atTurnEnd(): void {
    if (this.awaitsTurnEnd || this.outbox === undefined) return;
    this.awaitsTurnEnd = true;
    this.outbox.atTurnEnd(this);
  }

  private tell($case: "started" | "kept" | "becomeTask"): void {
    const { id: call, attempt } = this;
    this.outbox?.send(() => ({ $case, value: { call, attempt } }));
  }

  /** Without a link they wait for the next one. */
  private tellAsks(): void {
    if (this.outbox !== undefined) this.tellQuestions(this.asks.takeUntold());
  }

  private tellQuestions(open: { key: string; ask: Ask<unknown> }[]): void {
    if (open.length === 0) return;
    const { id: call, attempt } = this;
    this.outbox?.send((packer) => {
      const questions = open.map(({ key, ask }) => ({ key, kind: ask.kind, params: packer.pack(ask.params) }));
      return { $case: "ask", value: { call, attempt, questions } };
    });
  }
}

export function callKey({ hi, lo }: CallId): bigint {
  return (hi << 64n) | lo;
}
