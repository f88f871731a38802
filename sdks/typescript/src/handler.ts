// Authors' functions as the runtime calls them: JSON text in, an outcome out.

import { AskError, CANCELLED, type Failure, ToolError, toFailure } from "./error.js";
import type { Ctx } from "./ctx.js";
import { toolResult } from "./reply.js";
import { parse, type Schema } from "./schema.js";

/** What a handler gives: a result object as JSON text, or why there is none. */
export type Outcome = Buffer | Failure;

export type Handler = (ctx: Ctx, args: Buffer) => Outcome | Promise<Outcome>;

export type Awaitable<T> = T | Promise<T>;

/**
 * Arguments that do not fit are a tool's model's mistake, which it can correct: a result with
 * `isError`, not a protocol error [T-8].
 */
export function toolHandler(
  schema: Schema,
  run: (args: never, ctx: Ctx) => unknown,
  finish: (output: unknown) => Buffer,
): Handler {
  return handler(schema, run, finish, (error) =>
    error.failure === undefined ? toolResult([{ type: "text", text: error.message }], true) : error.failure,
  );
}

/** For prompts and resources, where arguments that do not fit are a protocol error [P-1]. */
export function plainHandler(
  schema: Schema | undefined,
  run: (args: never, ctx: Ctx) => unknown,
  finish: (output: unknown, ctx: Ctx) => Buffer,
): Handler {
  return handler(schema, run, finish, toFailure, (why) => ToolError.invalidParams(why));
}

function handler(
  schema: Schema | undefined,
  run: (args: never, ctx: Ctx) => unknown,
  finish: (output: unknown, ctx: Ctx) => Buffer,
  explain: (error: ToolError) => Outcome,
  badArguments: (why: string) => ToolError = (why) => new ToolError(why),
): Handler {
  const failed = (ctx: Ctx, error: unknown) => {
    const own = toToolError(ctx, error);
    if (own === undefined) throw error;
    return explain(own);
  };
  return (ctx, bytes) => {
    const args = readArguments(schema, bytes);
    if (!args.ok) return explain(badArguments(`invalid arguments: ${args.why}`));
    let output: unknown;
    try {
      output = run(args.value as never, ctx);
      if (!isPromise(output)) return finish(output, ctx);
    } catch (error) {
      return failed(ctx, error);
    }
    return Promise.resolve(output).then((output) => finish(output, ctx)).catch((error: unknown) => failed(ctx, error));
  };
}

function readArguments(schema: Schema | undefined, bytes: Buffer) {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (error) {
    return { ok: false, why: error instanceof Error ? error.message : String(error) } as const;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { ok: false, why: "they must be an object" } as const;
  }
  return schema?.zod === undefined ? ({ ok: true, value } as const) : parse(schema.zod, value);
}

/**
 * What a thrown thing means, if it is no defect. What an aborted call throws is its end; but a node
 * that cancelled nothing takes that end for a lost worker, and may run the call again.
 */
function toToolError(ctx: Ctx, error: unknown): ToolError | undefined {
  const own = ownError(error);
  return own?.failure?.kind === CANCELLED.kind && !ctx.isCancelled ? undefined : own;
}

function ownError(error: unknown): ToolError | undefined {
  if (error instanceof ToolError) return error;
  if (error instanceof AskError) return error.toToolError();
  const isAbort = error instanceof Error && error.name === "AbortError";
  return isAbort ? ToolError.cancelled() : undefined;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return value instanceof Promise || typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
