// From what a handler returns to the result object that travels.

import { base64, type Content, type PromptMessage, type ResourceContents, type ToolResult } from "./content.js";
import { parse, type Schema } from "./schema.js";

/** What a tool without an output schema may return. Other objects become JSON text. */
export type ToolOutputValue = string | number | boolean | bigint | null | undefined | void | object;

/** What a prompt may return: a text is a message of the user. */
export type PromptOutput = string | PromptMessage | PromptMessage[];

/** What a resource may return: bytes become a blob. */
export type ResourceOutput = string | Uint8Array | ResourceContents | ResourceContents[];

function encode(result: unknown): Buffer {
  return Buffer.from(JSON.stringify(result));
}

export function toolResult(content: Content[], isError?: true): Buffer {
  return encode(isError === undefined ? { content } : { content, isError });
}

const KINDS = new Set(["text", "image", "audio", "resource", "resource_link"]);

function isContent(value: unknown): value is Content {
  return typeof value === "object" && value !== null && KINDS.has((value as Content).type);
}

function isToolResult(value: unknown): value is ToolResult {
  const { content } = (value ?? {}) as { content?: unknown };
  return Array.isArray(content) && content.every(isContent);
}

const RESULT_MEMBERS = new Set(["content", "structuredContent", "isError", "_meta"]);

/**
 * The same, of a tool whose own output may have a `content`, too: a result that belongs to an output
 * schema has `structuredContent` or is an error [T-11], and nothing that results have not.
 */
function isWholeResult(value: unknown): value is ToolResult {
  if (!isToolResult(value)) return false;
  const isAnswer = value.isError === true || value.structuredContent !== undefined;
  return isAnswer && Object.keys(value).every((name) => RESULT_MEMBERS.has(name));
}

/** The result of a tool without an output schema. */
export function looseResult(output: unknown): Buffer {
  if (output === undefined || output === null) return toolResult([]);
  if (typeof output === "string") return toolResult([{ type: "text", text: output }]);
  if (isContent(output)) return toolResult([output]);
  if (Array.isArray(output) && output.every(isContent)) return toolResult(output);
  if (isToolResult(output)) return encode(output);
  const text = typeof output === "bigint" ? output.toString() : (JSON.stringify(output) ?? "");
  return toolResult([{ type: "text", text }]);
}

/**
 * The result of a tool with an output schema: `structuredContent`, and its JSON as text for older
 * clients [T-11]. A result built by hand, with its own `structuredContent`, goes out as it is.
 */
export function structuredResult(schema: Schema): (output: unknown) => Buffer {
  return (output) => {
    if (isWholeResult(output)) return encode(output);
    const structuredContent = schema.zod === undefined ? output : checked(schema.zod, output);
    const text = JSON.stringify(structuredContent) ?? "null";
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
  const messages = (Array.isArray(output) ? output : [output]) as (string | PromptMessage)[];
  return encode({ messages: messages.map((one) => (typeof one === "string" ? message(one) : one)) });
}

/** `mimeType` is set on contents that have none of their own. */
export function contentsResult(output: unknown, uri: string, mimeType: string | undefined): Buffer {
  const known = mimeType === undefined ? {} : { mimeType };
  const contents = (Array.isArray(output) ? output : [output]) as Exclude<ResourceOutput, unknown[]>[];
  const whole = contents.map((one) => {
    if (typeof one === "string") return { uri, ...known, text: one };
    if (one instanceof Uint8Array) return { uri, ...known, blob: base64(one) };
    return { ...known, ...one };
  });
  return encode({ contents: whole });
}
