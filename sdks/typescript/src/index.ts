/**
 * Write a tool worker in TypeScript: functions become tools, and nodes call them.
 *
 * A worker knows no revision of MCP and no session: it asks, reports and answers, and the
 * platform says it to each client in its own dialect. A call that must survive does: it runs on
 * through a lost link, and its outcome is offered until a node has stored it.
 *
 * Invariant: every call that began has one end, told at most once per link.
 * Must not know: HTTP, revisions, sessions, tasks or stores.
 * Start with `examples/calc.ts`, then `Server`, `Ctx` and `Worker`; how it runs is in `runtime`.
 *
 * @module
 */

export { z } from "zod";

export { Ask, type Elicited, type Root } from "./ask.js";
export type { Capability, LogLevel } from "./capability.js";
export type { Completion, Reference } from "./completion.js";
export {
  audio,
  type Content,
  embedded,
  image,
  link,
  type PromptMessage,
  type ResourceContents,
  text,
  type ToolResult,
} from "./content.js";
export { Ctx } from "./ctx.js";
export type { Declarations } from "./declare.js";
export type { About, PromptOptions, ResourceOptions, ToolOptions } from "./entry.js";
export { AskError, type AskReason, ToolError } from "./error.js";
export type { PromptOutput, ResourceOutput } from "./reply.js";
export type { CallerAssertion, TraceContext } from "./runtime/call.js";
export type { Clock } from "./runtime/clock.js";
export type { Log } from "./runtime/log.js";
export type { Dial, LinkEnd, Listener, Transport } from "./runtime/transport.js";
export {
  answered,
  Sampled,
  type SampleMessage,
  type SampleParams,
  toolFailed,
  toolOutput,
  type ToolOutput,
  type ToolUse,
} from "./sample.js";
export type { JsonObject, SchemaLike, Shape } from "./schema.js";
export { Server, type WatchHook } from "./server.js";
export type { Skill } from "./skill.js";
export { type Invitation, Stranger, type Visit, VISIT_ROUNDS_MAX, Visitors } from "./visit.js";
export { Worker, WorkerError, type WorkerOptions } from "./worker.js";
