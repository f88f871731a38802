// `completion/complete`: proposals for an argument that is being typed.

import type { Ctx } from "./ctx.js";
import { ToolError } from "./error.js";
import { type Awaitable, type Handler, plainHandler } from "./handler.js";
import { toJson } from "./json.js";

/** Whose argument it is. */
export type Reference = { type: "ref/prompt"; name: string } | { type: "ref/resource"; uri: string };

/** What is being completed. */
export interface Completion {
  reference: Reference;
  /** The argument's name and what was typed so far. */
  argument: string;
  value: string;
  /** Arguments settled before. */
  context: Record<string, string>;
}

/** A result holds at most this many values [P-2]. */
const VALUES_MAX = 100;

export function completionHandler(run: (completion: Completion, ctx: Ctx) => Awaitable<string[]>): Handler {
  return plainHandler(undefined, (args: Sent, ctx) => run(read(args, ctx.target), ctx), finish);
}

interface Sent {
  argument?: { name?: unknown; value?: unknown };
  context?: { arguments?: Record<string, string> };
}

function read({ argument, context }: Sent, target: string): Completion {
  const { name, value } = argument ?? {};
  if (typeof name !== "string" || typeof value !== "string") {
    throw ToolError.invalidParams("`argument` has a name and a value");
  }
  return { reference: readReference(target), argument: name, value, context: context?.arguments ?? {} };
}

function readReference(target: string): Reference {
  try {
    return JSON.parse(target) as Reference;
  } catch {
    throw ToolError.invalidParams("`ref` is no object");
  }
}

function finish(output: unknown): Buffer {
  const all = output as string[];
  const [values, total] = [all.slice(0, VALUES_MAX), all.length];
  return Buffer.from(toJson({ completion: { total, hasMore: total > VALUES_MAX, values } }));
}
