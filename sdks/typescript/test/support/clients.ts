// The official clients, behind what they have in common.

import type { TestContext } from "node:test";

import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from "@modelcontextprotocol/client";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as Transport1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

import type { JsonObject } from "../../src/index.js";

export interface Result {
  content: { type: string; text?: string }[];
  structuredContent?: unknown;
  isError?: boolean;
}

export interface CallOptions {
  onprogress?: (progress: { progress: number; total?: number | undefined; message?: string | undefined }) => void;
  signal?: AbortSignal;
  timeout?: number;
  /** Told once there is something to resume with. */
  onresumptiontoken?: (token: string) => void;
}

/** A connected client. What the server tells unasked is in `told`, as one line each. */
export interface Peer {
  told: string[];
  /** Ends when `told` has a line with this in it. */
  until(text: string): Promise<void>;
  call(name: string, args?: JsonObject, options?: CallOptions): Promise<Result>;
  tools(): Promise<string[]>;
  read(uri: string): Promise<unknown[]>;
  prompt(name: string, args: Record<string, string>): Promise<unknown[]>;
  complete(prompt: string, argument: string, value: string): Promise<string[]>;
  /** Listens for changes of the lists and of a resource. */
  watch(uri: string): Promise<void>;
}

const CAPABILITIES = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };

/** What the person and the model behind every client answer. */
function elicited({ params }: { params: { mode?: string | undefined } }) {
  return params.mode === "url" ? { action: "accept" as const } : { action: "accept" as const, content: { name: "Ada" } };
}
const SAMPLED = { role: "assistant" as const, model: "none", content: { type: "text" as const, text: "forty-two" } };
const ROOTS = { roots: [{ uri: "file:///work" }] };

const RECONNECT = {
  initialReconnectionDelay: 100,
  maxReconnectionDelay: 500,
  reconnectionDelayGrowFactor: 1.5,
  maxRetries: 50,
};

class Told {
  readonly lines: string[] = [];
  private readonly waiting: { text: string; resolve: () => void }[] = [];

  add(line: string): void {
    this.lines.push(line);
    for (const { text, resolve } of this.waiting) if (line.includes(text)) resolve();
  }

  until(text: string): Promise<void> {
    if (this.lines.some((line) => line.includes(text))) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ text, resolve }));
  }
}

/** SDK 1.x: sessions, 2025-11-25. */
async function version1(url: URL, t: TestContext): Promise<Peer> {
  const told = new Told();
  const client = new Client1({ name: "test", version: "1" }, { capabilities: CAPABILITIES });
  client.setRequestHandler(ElicitRequestSchema, elicited);
  client.setRequestHandler(CreateMessageRequestSchema, () => SAMPLED);
  client.setRequestHandler(ListRootsRequestSchema, () => ROOTS);
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => told.add(`log ${JSON.stringify(params)}`));
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => told.add(`updated ${params.uri}`));
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => told.add("tools changed"));
  await client.connect(new Transport1(url, { reconnectionOptions: RECONNECT }));
  t.after(() => client.close());
  return {
    told: told.lines,
    until: (text) => told.until(text),
    call: (name, args = {}, options = {}) => client.callTool({ name, arguments: args }, undefined, options) as Promise<Result>,
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    read: async (uri) => (await client.readResource({ uri })).contents,
    prompt: async (name, args) => (await client.getPrompt({ name, arguments: args })).messages,
    complete: async (name, argument, value) =>
      (await client.complete({ ref: { type: "ref/prompt", name }, argument: { name: argument, value } })).completion.values,
    watch: async (uri) => void (await client.subscribeResource({ uri })),
  };
}

/** SDK 2.x, in either era. */
async function version2(url: URL, t: TestContext, era: "legacy" | "modern"): Promise<Peer> {
  const told = new Told();
  const negotiation = era === "modern" ? { versionNegotiation: { mode: "auto" as const } } : {};
  const client = new Client2({ name: "test", version: "2" }, { capabilities: CAPABILITIES, ...negotiation });
  client.setRequestHandler("elicitation/create", elicited as never);
  client.setRequestHandler("sampling/createMessage", () => SAMPLED);
  client.setRequestHandler("roots/list", () => ROOTS);
  client.setNotificationHandler("notifications/message", ({ params }) => told.add(`log ${JSON.stringify(params)}`));
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => told.add(`updated ${params.uri}`));
  client.setNotificationHandler("notifications/tools/list_changed", () => told.add("tools changed"));
  await client.connect(new Transport2(url, { reconnectionOptions: RECONNECT }));
  t.after(() => client.close());
  const _meta = era === "modern" ? { "io.modelcontextprotocol/logLevel": "debug" } : {};
  const watch = async (uri: string) => {
    if (era === "legacy") await client.subscribeResource({ uri });
    else await client.listen({ toolsListChanged: true, resourceSubscriptions: [uri] });
  };
  return {
    told: told.lines,
    until: (text) => told.until(text),
    call: (name, args = {}, options = {}) => client.callTool({ name, arguments: args, _meta }, options) as Promise<Result>,
    tools: async () => (await client.listTools({}, { cacheMode: "refresh" })).tools.map(({ name }) => name),
    read: async (uri) => (await client.readResource({ uri })).contents,
    prompt: async (name, args) => (await client.getPrompt({ name, arguments: args })).messages,
    complete: async (name, argument, value) =>
      (await client.complete({ ref: { type: "ref/prompt", name }, argument: { name: argument, value } })).completion.values,
    watch,
  };
}

/** Every client there is a test with. */
export const CLIENTS: Record<string, (url: URL, t: TestContext) => Promise<Peer>> = {
  "SDK 1, legacy": version1,
  "SDK 2, legacy": (url, t) => version2(url, t, "legacy"),
  "SDK 2, modern": (url, t) => version2(url, t, "modern"),
};
