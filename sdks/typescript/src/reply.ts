// From what a handler returns to the result object that travels.

import { base64, type Content, type PromptMessage, type ResourceContents, type ToolResult } from "./content.js";
import { toJson } from "./json.js";
import { parse, type Schema } from "./schema.js";

/** What a tool without an output schema may return. Other objects become JSON text. */
export type ToolOutputValue = string | number | boolean | bigint | null | undefined | void | object;

/** What a prompt may return: a text is a message of the user. */
export type PromptOutput = string | PromptMessage | PromptMessage[];

/** What a resource may return: bytes become a blob. */
export type ResourceOutput = string | Uint8Array | ResourceContents | ResourceContents[];

function encode(result: unknown): Buffer {
  return Buffer.from(toJson(result));
}

export function toolResult(content: Content[], isError?: true): Buffer {
  return encode(isError === undefined ? { content } : { content, isError });
}

/** Of each type of content, the texts without which no client can read it. */
const TEXTS = new Map<unknown, readonly string[]>([
  ["text", ["text"]],
  ["image", ["data", "mimeType"]],
  ["audio", ["data", "mimeType"]],
  ["resource", []],
  ["resource_link", ["uri", "name"]],
]);

function isContent(value: unknown): value is Content {
  return typeof value === "object" && value !== null && TEXTS.has((value as Content).type);
}

/** What a node would refuse, told to the author instead: it is their defect. */
function checkContent(value: unknown): void {
  if (!isContent(value)) throw new TypeError("content has one of the types that MCP knows");
  for (const name of TEXTS.get(value.type) ?? []) checkText(value, name, `content of type ${value.type}`);
  if (value.type === "resource") checkContents(value.resource);
}

function checkContents(value: unknown): void {
  if (typeof value !== "object" || value === null) throw new TypeError("resource contents are an object");
  checkText(value, "uri", "resource contents");
  const { blob } = value as { blob?: unknown };
  checkText(value, blob === undefined ? "text" : "blob", "resource contents");
}

function checkText(value: object, name: string, what: string): void {
  if (typeof (value as Record<string, unknown>)[name] !== "string") throw new TypeError(`${what}: \`${name}\` is a text`);
}

function isToolResult(value: unknown): value is ToolResult {
  const { content } = (value ?? {}) as { content?: unknown };
  return Array.isArray(content) && content.every(isContent);
}

/** What is `undefined` does not travel, and a result is complete without saying so. */
function saysNothing(name: string, value: unknown): boolean {
  return value === undefined || (name === "resultType" && value === "complete");
}

const RESULT_MEMBERS = new Set(["content", "structuredContent", "isError", "_meta"]);

/**
 * The same, of a tool whose own output may have a `content`, too: a result that belongs to an output
 * schema has `structuredContent` or is an error [T-11], and nothing that results have not.
 */
function isWholeResult(value: unknown): value is ToolResult {
  if (!isToolResult(value)) return false;
  const isAnswer = value.isError === true || value.structuredContent !== undefined;
  return isAnswer && Object.entries(value).every(([name, it]) => RESULT_MEMBERS.has(name) || saysNothing(name, it));
}

/** The result of a tool without an output schema. */
export function looseResult(output: unknown): Buffer {
  if (output === undefined || output === null) return toolResult([]);
  if (typeof output === "string") return toolResult([{ type: "text", text: output }]);
  if (isContent(output)) return wholeResult({ content: [output] });
  if (Array.isArray(output) && output.every(isContent)) return wholeResult({ content: output });
  if (isToolResult(output)) return wholeResult(output);
  const text = typeof output === "bigint" ? output.toString() : toJson(output);
  return toolResult([{ type: "text", text }]);
}

const PLATFORM_MEMBERS = new Set(["resultType", "inputRequests", "requestState"]);

/** A result that its author put together. */
function wholeResult(result: ToolResult): Buffer {
  for (const [name, value] of Object.entries(result)) {
    if (PLATFORM_MEMBERS.has(name) && !saysNothing(name, value)) throw new TypeError(`\`${name}\` is the platform's to write`);
  }
  result.content.forEach(checkContent);
  return encode(result);
}

/**
 * The result of a tool with an output schema: `structuredContent`, and its JSON as text for older
 * clients [T-11]. A result built by hand, with its own `structuredContent`, goes out as it is.
 */
export function structuredResult(schema: Schema): (output: unknown) => Buffer {
  return (output) => {
    if (isWholeResult(output)) return wholeResult(output);
    const structuredContent = schema.zod === undefined ? output : checked(schema.zod, output);
    const text = toJson(structuredContent);
    return encode({ content: [{ type: "text", text }], structuredContent });
  };
}

/** A value that breaks the tool's own schema is a defect of the worker. */
function checked(schema: NonNullable<Schema["zod"]>, output: unknown): unknown {
  const parsed = parse(schema, output);
  if (parsed.ok) return parsed.value;
  throw new TypeError(`the result breaks the output schema: ${parsed.why}`);
}

export function promptResult(output: unknown): Buffer {
  const message = (text: string): PromptMessage => ({ role: "user", content: { type: "text", text } });
  const said = (Array.isArray(output) ? output : [output]) as (string | PromptMessage)[];
  const messages = said.map((one) => (typeof one === "string" ? message(one) : one));
  messages.forEach(checkMessage);
  return encode({ messages });
}

function checkMessage(message: PromptMessage): void {
  if (!["user", "assistant"].includes(message.role)) throw new TypeError("a message is of the user or the assistant");
  checkContent(message.content);
}

/** `mimeType` is set on contents that have none of their own. */
export function contentsResult(output: unknown, uri: string, mimeType: string | undefined): Buffer {
  const contents = (Array.isArray(output) ? output : [output]) as Exclude<ResourceOutput, unknown[]>[];
  const whole = contents.map((one) => {
    if (typeof one === "string") return { uri, mimeType, text: one };
    if (one instanceof Uint8Array) return { uri, mimeType, blob: base64(one) };
    checkContents(one);
    return { ...one, mimeType: one.mimeType ?? mimeType };
  });
  return encode({ contents: whole });
}
