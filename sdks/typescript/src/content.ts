// What handlers give back: content, resources, prompt messages.

import type { JsonObject } from "./schema.js";

interface Base {
  annotations?: JsonObject;
  _meta?: JsonObject;
}

/** A resource's URI with its text or bytes. */
export type ResourceContents = { uri: string; mimeType?: string; _meta?: JsonObject } & (
  | { text: string }
  /** Base64. */
  | { blob: string }
);

/** One item of a result. https://modelcontextprotocol.io/specification/2026-07-28/server/tools */
export type Content =
  | ({ type: "text"; text: string } & Base)
  /** Base64. */
  | ({ type: "image"; data: string; mimeType: string } & Base)
  | ({ type: "audio"; data: string; mimeType: string } & Base)
  | ({ type: "resource"; resource: ResourceContents } & Base)
  | ({ type: "resource_link"; uri: string; name: string; title?: string; description?: string; mimeType?: string } & Base);

/** One message of a prompt. */
export interface PromptMessage {
  role: "user" | "assistant";
  content: Content;
}

/** A tool's result, built by hand. */
export interface ToolResult {
  content: Content[];
  structuredContent?: unknown;
  isError?: boolean;
  _meta?: JsonObject;
}

export function text(text: string): Content {
  return { type: "text", text };
}

export function image(bytes: Uint8Array, mimeType: string): Content {
  return { type: "image", data: base64(bytes), mimeType };
}

export function audio(bytes: Uint8Array, mimeType: string): Content {
  return { type: "audio", data: base64(bytes), mimeType };
}

/** A resource, embedded. */
export function embedded(resource: ResourceContents): Content {
  return { type: "resource", resource };
}

/** A pointer to a resource that can be read. */
export function link(uri: string, name: string, mimeType?: string): Content {
  return { type: "resource_link", uri, name, ...(mimeType === undefined ? {} : { mimeType }) };
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
