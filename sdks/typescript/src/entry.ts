// What a Server offers: tools, prompts, resources and templates, as their authors say them.

import type { Ctx } from "./ctx.js";
import { type Declarations, declarationsToWire } from "./declare.js";
import { type Awaitable, type Handler, plainHandler, toolHandler } from "./handler.js";
import {
  contentsResult,
  looseResult,
  promptResult,
  type PromptOutput,
  type ResourceOutput,
  structuredResult,
} from "./reply.js";
import type { ToolResult } from "./content.js";
import {
  defined,
  inputSchema,
  type JsonObject,
  promptArguments,
  type SchemaLike,
  type Shape,
  toSchema,
  type ValueOf,
} from "./schema.js";
import { UriTemplate } from "./template.js";
import type { Tool } from "./wire/ostler/worker/v1/worker.js";

/** What every entry may say of itself. */
export interface About extends Declarations {
  title?: string;
  description?: string;
  icons?: JsonObject[];
  /** Members of `_meta`. */
  meta?: JsonObject;
}

export interface ToolOptions<In extends SchemaLike, Out extends SchemaLike | undefined> extends About {
  /** The arguments: fields with zod types, a zod object, or JSON Schema, which is not checked here. */
  input?: In;
  /** What the tool gives, for `structuredContent`. */
  output?: Out;
  /** `readOnlyHint`, `destructiveHint`, `idempotentHint`, ... */
  annotations?: JsonObject;
  /** The URI of a `Server.ui` that shows the tool's results (MCP Apps). Others see the result alone. */
  ui?: string;
}

/** What a tool returns: the value of its output schema, or a result built by hand. */
export type ToolReturn<Out> = Out extends SchemaLike ? ValueIn<Out> | ToolResult : unknown;
type ValueIn<S> = S extends { _zod: { input: infer V } } ? V : ValueOf<S>;

export type ToolRun<In extends SchemaLike, Out> = (args: ValueOf<In>, ctx: Ctx) => Awaitable<ToolReturn<Out>>;

export interface PromptOptions<Args extends Shape> extends About {
  /** Strings, or optional strings. */
  args?: Args;
}

export type PromptRun<Args extends Shape> = (args: ValueOf<Args>, ctx: Ctx) => Awaitable<PromptOutput>;

export interface ResourceOptions extends About {
  name: string;
  /** Declared, and set on contents that have none of their own. */
  mimeType?: string;
  annotations?: JsonObject;
  size?: number;
}

export type ResourceRun = (ctx: Ctx) => Awaitable<ResourceOutput>;
export type TemplateRun = (variables: Record<string, string>, ctx: Ctx) => Awaitable<ResourceOutput>;

/** An entry of a catalog, ready for the wire, and who runs it. */
export interface Item {
  /** The name, or the URI of a resource. */
  key: string;
  wire: Tool;
  run: Handler;
}

export interface TemplateItem extends Item {
  pattern: UriTemplate;
}

const NO_FIELDS = { type: "object", additionalProperties: false };

function item(key: string, definition: JsonObject, about: About, run: Handler): Item {
  const { title, description, icons, meta } = about;
  const whole = defined({ ...definition, title, description, icons, _meta: meta });
  const wire = { definition: Buffer.from(JSON.stringify(whole)), declarations: declarationsToWire(about) };
  return { key, wire, run };
}

export function toolItem<In extends SchemaLike, Out extends SchemaLike | undefined>(
  name: string,
  options: ToolOptions<In, Out>,
  run: ToolRun<In, Out>,
): Item {
  const { annotations, ui } = options;
  const input = inputSchema(options.input ?? NO_FIELDS);
  const output = options.output === undefined ? undefined : toSchema(options.output, "output");
  const meta = ui === undefined ? options.meta : { ...options.meta, ui: { resourceUri: ui } };
  const definition = { name, inputSchema: input.json, outputSchema: output?.json, annotations };
  const finish = output === undefined ? looseResult : structuredResult(output);
  return item(name, definition, { ...options, ...(meta === undefined ? {} : { meta }) }, toolHandler(input, run, finish));
}

export function promptItem<Args extends Shape>(
  name: string,
  options: PromptOptions<Args>,
  run: PromptRun<Args>,
): Item {
  const schema = inputSchema(options.args ?? {});
  const args = promptArguments(schema);
  const definition = { name, arguments: args.length === 0 ? undefined : args };
  return item(name, definition, options, plainHandler(schema, run, promptResult));
}

export function resourceItem(uri: string, options: ResourceOptions, run: ResourceRun): Item {
  const { name, mimeType, annotations, size } = options;
  const finish = (output: unknown, ctx: Ctx) => contentsResult(output, ctx.target, mimeType);
  const handler = plainHandler(undefined, (_: unknown, ctx: Ctx) => run(ctx), finish);
  return item(uri, { uri, name, mimeType, annotations, size }, options, handler);
}

export function templateItem(uriTemplate: string, options: ResourceOptions, run: TemplateRun): TemplateItem {
  const { name, mimeType, annotations } = options;
  const finish = (output: unknown, ctx: Ctx) => contentsResult(output, ctx.target, mimeType);
  const made = item(uriTemplate, { uriTemplate, name, mimeType, annotations }, options, plainHandler(undefined, run, finish));
  return { ...made, pattern: new UriTemplate(uriTemplate) };
}
