// What a handler sees of its call.

import { Ask, type Elicited, type Root } from "./ask.js";
import { type Capability, type LogLevel, logLevelToWire } from "./capability.js";
import { AskError, ToolError } from "./error.js";
import { toJson } from "./json.js";
import type { Call, CallerAssertion, TraceContext } from "./runtime/call.js";
import type { Sampled, SampleParams } from "./sample.js";
import type { JsonObject } from "./schema.js";
import type { Server } from "./server.js";
import { type Visit, VISIT_PATIENCE_MS, VISIT_ROUNDS_MAX } from "./visit.js";
import type { output, ZodObject } from "zod";

/** The call a handler works for: whom to ask, what to report, when to stop. */
export class Ctx {
  constructor(
    private readonly call: Call,
    /** The Server this call was made to, for changing what it offers. */
    readonly server: Server,
  ) {}

  /** The same in every attempt and after every lost link; fit as an idempotency key. */
  get callId(): string {
    return this.call.key.toString(16).padStart(32, "0");
  }

  /** The name of the tool or prompt, or the URI of the resource. */
  get target(): string {
    return this.call.facts.target;
  }

  get caller(): CallerAssertion {
    return this.call.facts.caller;
  }

  /** What the client could do when the call began. */
  get client(): ReadonlySet<Capability> {
    return this.call.facts.client;
  }

  get trace(): TraceContext | undefined {
    return this.call.facts.trace;
  }

  /** The time until the platform gives this call up, in milliseconds; `undefined` without a limit. */
  get timeLeftMs(): number | undefined {
    const { deadline } = this.call.facts;
    return deadline === undefined ? undefined : Math.max(0, deadline - this.call.clock.now());
  }

  // ---- asking --------------------------------------------------------------------------

  /**
   * Asks one question. Questions asked in one step of the handler (with `Promise.all`, say) reach
   * the client together. The key must be the same in every run of the handler; a key that was
   * used before in this call gets a number. Throws `AskError`.
   */
  ask<T>(ask: Ask<T>): Promise<T> {
    return this.call.ask(ask).answer;
  }

  /**
   * Asks several questions at once and waits for all answers, as `Promise.allSettled` gives them.
   * A cancel of the call is no answer: it is thrown.
   */
  async askAll<T extends Ask<unknown>[]>(
    ...asks: T
  ): Promise<{ [K in keyof T]: PromiseSettledResult<T[K] extends Ask<infer A> ? A : never> }> {
    const all = await Promise.allSettled(asks.map((ask) => this.ask(ask)));
    if (this.isCancelled) throw ToolError.cancelled();
    return all as { [K in keyof T]: PromiseSettledResult<T[K] extends Ask<infer A> ? A : never> };
  }

  /**
   * Shows a form with the fields of a zod object: texts, numbers, booleans and enums to choose
   * from, of which an array lets several be chosen. `.describe` becomes descriptions, `.default`
   * fills fields in. Clients of older revisions see as much of it as they can show; one that
   * cannot show a field at all cannot be asked.
   */
  elicit<S extends ZodObject>(key: string, message: string, schema: S): Promise<Elicited<output<S>>>;
  /** Shows a form; `schema` is a flat object of primitives. */
  elicit(key: string, message: string, schema: JsonObject): Promise<Elicited<JsonObject>>;
  elicit(key: string, message: string, schema: ZodObject | JsonObject): Promise<Elicited<JsonObject>> {
    return this.ask(Ask.form(key, message, schema as JsonObject));
  }

  /**
   * Sends the user to a page. Accepted means that they agreed to go, not that they are done: to
   * wait for that, see `visit`, which also says what the page must check.
   */
  elicitUrl(key: string, message: string, url: string): Promise<Elicited<undefined>> {
    return this.ask(Ask.url(key, message, url));
  }

  /**
   * Sends the user to a page and waits for `done`: what the page brings about, such as a token
   * that arrives, told by whatever serves the page. Use it for what must not pass through the
   * client: signing in elsewhere, payments, secrets.
   *
   * The client only says whether the user agreed to go. When nothing has come of that for the
   * visit's patience, the user is asked again, because a client holds no request open for ever;
   * whatever comes of that question, a page that is done meanwhile counts. After
   * `VISIT_ROUNDS_MAX` rounds it is an `AskError` (`timedOut`). A client that waits for the end
   * of the visit is told of it.
   *
   * **Whoever opens the page must be the user who was asked**, and this platform never sees them
   * open it: links are forwarded, and a victim who opens an attacker's link would give the
   * attacker what is theirs [SP-4]. So the page's own server must make the visitor sign in before
   * anything else, and compare who they are with `caller`. `Visitors` keeps that, where tool and
   * page share a process; others must keep it likewise, under a state that is unguessable, serves
   * once and soon ends. Nothing else goes into the URL.
   */
  async visit<T>(visit: Visit, done: Promise<T>): Promise<Elicited<T>> {
    const keys: string[] = [];
    const came = done.then((content) => ({ content }));
    // Nobody may be listening when it fails; whoever listens is told.
    came.catch(() => undefined);
    const over = (content: T): Elicited<T> => {
      for (const key of keys) this.call.visited(key);
      return { action: "accept", content };
    };
    for (let round = 0; round < VISIT_ROUNDS_MAX; round += 1) {
      const { key, answer } = this.call.ask(Ask.url(visit.key, visit.message, visit.url));
      // Before anybody has agreed to go there is no visit. After that the page may be done while
      // nobody answers whether they would go again.
      const asked = await Promise.race(round === 0 ? [answer] : [came, answer]);
      if (!("action" in asked)) return over(asked.content);
      if (asked.action !== "accept") return asked;
      keys.push(key);
      const arrived = await this.within(came, visit.patienceMs ?? VISIT_PATIENCE_MS);
      if (arrived !== undefined) return over(arrived.content);
    }
    throw new AskError("timedOut", "nobody answered in time");
  }

  /** Asks the client's model. */
  sample(key: string, params: SampleParams): Promise<Sampled> {
    return this.ask(Ask.sample(key, params));
  }

  /** Asks for the client's roots. */
  roots(key: string): Promise<Root[]> {
    return this.ask(Ask.roots(key));
  }

  // ---- reporting -----------------------------------------------------------------------

  /** How far the call is. Dropped when nobody wants to know, the link is busy, or it is no number. */
  progress(progress: number, total?: number, message = ""): void {
    this.call.progress(progress, total, message);
  }

  /** Logs to the client, as text or as any other JSON value. Dropped when the link is busy. */
  log(level: LogLevel, data: unknown, logger = ""): void {
    this.call.log(logLevelToWire(level), logger, Buffer.from(toJson(data)));
  }

  /**
   * From here on the client follows this call by handle, if it can: it may go away, and questions
   * wait for it.
   */
  becomeTask(): void {
    this.call.becomeTask();
  }

  // ---- stopping and waiting ------------------------------------------------------------

  /**
   * Aborts when the call is cancelled. A handler that hands it on (to `fetch`, say) ends with it,
   * and may clean up for a second; what comes later reaches nobody. Nothing can end a handler
   * that does not watch it, so until it returns it takes a place of the worker's capacity.
   */
  get signal(): AbortSignal {
    return this.call.signal;
  }

  get isCancelled(): boolean {
    return this.call.isStopped;
  }

  /** Waits; throws when the call is cancelled meanwhile. */
  async sleep(ms: number): Promise<void> {
    await this.within(new Promise<never>(() => undefined), ms);
  }

  /** Runs `work` when the call is over, however it ends. What it throws is logged. */
  atEnd(work: () => void): void {
    this.call.atEnd(work);
  }

  /** What `work` gives, or `undefined` when it takes longer. */
  private within<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const { signal } = this;
      const stop = this.call.clock.after(ms, () => settle(() => resolve(undefined)));
      const cancelled = () => settle(() => reject(ToolError.cancelled()));
      const settle = (how: () => void) => {
        stop();
        signal.removeEventListener("abort", cancelled);
        how();
      };
      if (signal.aborted) return cancelled();
      signal.addEventListener("abort", cancelled);
      work.then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => settle(() => reject(error)),
      );
    });
  }
}
