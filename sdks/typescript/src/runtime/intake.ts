// Calls and their payloads as they come in on one link.

import { capabilitiesFromWire } from "../capability.js";
import { Ctx } from "../ctx.js";
import { DEFECT, type Failure } from "../error.js";
import type { Handler } from "../handler.js";
import {
  type Answer as WireAnswer,
  type Answers,
  type Call as WireCall,
  type CallerAssertion as WireAssertion,
  FailureKind,
  type Part,
  RefusedReason,
} from "../wire/ostler/worker/v1/worker.js";
import type { Answer } from "./asks.js";
import { Call, type CallerAssertion, type Facts } from "./call.js";
import { type Attempt, type Ended, sendOutcome } from "./calls.js";
import { describe } from "./guard.js";
import type { Outbox } from "./outbox.js";
import type { Shared } from "./shared.js";
import { Assembler, BadFrame, TooLarge } from "./transfer.js";

const LIMITS = { payloadBytesMax: 16 << 20, openBytesMax: 64 << 20, openLengthMax: 100_000 };

/** The payloads of a call, whole. */
interface Payloads {
  arguments: Buffer;
  answers: Answer[];
}

export class Intake {
  private readonly assembler = new Assembler(LIMITS);

  constructor(
    private readonly shared: Shared,
    private readonly outbox: Outbox,
  ) {}

  part(part: Part): void {
    this.assembler.add(part);
  }

  answers({ call, answers }: Answers): void {
    const id = named(call);
    try {
      this.shared.calls.answers(this.outbox, id, this.finishAll(answers));
    } catch (error) {
      // The platform's time limit ends the question.
      if (error instanceof BadFrame) throw error;
      this.shared.log("warn", "answers not understood", { why: describe(error) });
    }
  }

  /** Begins a call, or says why it does not run here. */
  call(wire: WireCall): void {
    const attempt = { id: named(wire.call), attempt: wire.attempt };
    const payloads = this.payloads(wire);
    if (payloads instanceof TooLarge) {
      const failure: Failure = { kind: FailureKind.INVALID_PARAMS, message: payloads.message };
      return sendOutcome(this.outbox, attempt, failure);
    }
    const server = this.shared.offers[wire.server]?.server;
    const found = server?.find(wire.kind, wire.target);
    if (server === undefined || found === undefined) return this.refuse(attempt, RefusedReason.UNKNOWN_TARGET);
    const { clock, calls } = this.shared;
    const facts = this.facts(wire);
    const call = new Call(attempt.id, attempt.attempt, facts, clock, this.outbox, payloads.answers);
    const refused = calls.begin(call, this.outbox);
    if (refused !== undefined) return this.refuse(attempt, refused);
    this.run(call, new Ctx(call, server), found.run, found.arguments ?? payloads.arguments);
  }

  /** Every payload is taken out first: its transfer must end, whatever comes next. */
  private payloads(wire: WireCall): Payloads | TooLarge {
    const found: Partial<Payloads> = {};
    let bad: TooLarge | undefined;
    for (const part of ["arguments", "answers"] as const) {
      try {
        if (part === "arguments") found.arguments = this.assembler.finish(wire.arguments);
        else found.answers = this.finishAll(wire.answers);
      } catch (error) {
        if (!(error instanceof TooLarge)) throw error;
        bad ??= error;
      }
    }
    return bad ?? (found as Payloads);
  }

  private finishAll(answers: WireAnswer[]): Answer[] {
    let bad: Error | undefined;
    const whole: Answer[] = [];
    for (const { key, answer } of answers) {
      try {
        const value = answer?.$case === "failure" ? answer.value : this.assembler.finish(answer?.value);
        whole.push({ key, value });
      } catch (error) {
        bad ??= error as Error;
      }
    }
    if (bad !== undefined) throw bad;
    return whole;
  }

  private facts(wire: WireCall): Facts {
    const { target, caller, traceparent, tracestate, wantsProgress } = wire;
    const timeLeftMs = Number(wire.timeLeftMs);
    return {
      target,
      client: capabilitiesFromWire(wire.client?.capabilities ?? []),
      caller: assertion(caller),
      trace: traceparent === "" ? undefined : { traceparent, tracestate },
      deadline: timeLeftMs > 0 ? this.shared.clock.now() + timeLeftMs : undefined,
      wantsProgress,
    };
  }

  private run(call: Call, ctx: Ctx, handler: Handler, args: Buffer): void {
    const { calls } = this.shared;
    const failed = (error: unknown) => this.failed(call, error);
    let outcome: Ended | Promise<Ended>;
    try {
      outcome = handler(ctx, args);
    } catch (error) {
      outcome = failed(error);
    }
    if (!(outcome instanceof Promise)) return calls.settled(call, outcome);
    call.goesOn();
    outcome.then(
      (outcome) => calls.settled(call, outcome),
      (error: unknown) => calls.settled(call, failed(error)),
    );
  }

  /** Handlers give failures; what they throw is a defect. */
  private failed(call: Call, error: unknown): Ended {
    this.shared.log("error", "a handler failed unexpectedly", { call: call.key.toString(16), why: describe(error) });
    return DEFECT;
  }

  private refuse({ id: call, attempt }: Attempt, reason: RefusedReason): void {
    this.outbox.send(() => ({ $case: "refused", value: { call, attempt, reason } }));
  }
}


function assertion(caller: WireAssertion | undefined): CallerAssertion {
  const { tenant = "", issuer = "", subject = "", client = "", scopes = [], session = "" } = caller ?? {};
  return { tenant, issuer, subject, client, scopes, session };
}

/** The id in a frame that must name a call. */
export function named<T>(id: T | undefined): T {
  if (id === undefined) throw new BadFrame("a frame names no call");
  return id;
}
