// The Server of the matrix as an MCP server of the legacy era, by the TypeScript SDK 1.x:
// `legacy.mjs stdio` or `legacy.mjs http PORT`.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { completable } from "@modelcontextprotocol/sdk/server/completable.js";
import { McpServer, ResourceTemplate } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
  ListRootsResultSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

const COUNTER = "matrix://counter";
let counter = 0;
let waited = 0;
const text = (words) => ({ content: [{ type: "text", text: String(words) }] });

function build() {
  const server = new McpServer(
    { name: "matrix-legacy", version: "1.0.0" },
    { capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } } },
  );
  const subscribed = new Set();
  const tool = (name, inputSchema, run, more = {}) =>
    server.registerTool(name, { description: `The tool ${name}.`, inputSchema, ...more }, run);

  tool("echo", { text: z.string() }, ({ text: words }) => text(words));
  tool(
    "sum",
    { a: z.number(), b: z.number() },
    ({ a, b }) => {
      const structuredContent = { sum: a + b };
      return { ...text(JSON.stringify(structuredContent)), structuredContent };
    },
    { outputSchema: { sum: z.number() } },
  );
  tool("fail", {}, () => ({ ...text("it failed on purpose"), isError: true }));
  tool("steps", {}, async (_, extra) => {
    const progressToken = extra._meta?.progressToken;
    for (const progress of [1, 2]) {
      if (progressToken === undefined) continue;
      const params = { progressToken, progress, total: 2, message: `step ${progress}` };
      await extra.sendNotification({ method: "notifications/progress", params });
    }
    return text("done");
  });
  tool("say", {}, async (_, extra) => {
    const params = { level: "info", logger: "matrix", data: { said: "hello" } };
    await extra.sendNotification({ method: "notifications/message", params });
    return text("said");
  });
  tool("ask", {}, async (_, extra) => {
    const requestedSchema = {
      type: "object",
      properties: { name: { type: "string" } },
      required: ["name"],
    };
    const params = { mode: "form", message: "Who are you?", requestedSchema };
    const answer = await extra.sendRequest({ method: "elicitation/create", params }, ElicitResultSchema);
    return text(answer.action === "accept" ? `hello ${answer.content.name}` : "declined");
  });
  tool("visit", {}, async (_, extra) => {
    const elicitationId = randomUUID();
    const url = "https://example.com/visit";
    const params = { mode: "url", message: "Please visit.", url, elicitationId };
    const answer = await extra.sendRequest({ method: "elicitation/create", params }, ElicitResultSchema);
    return text(answer.action === "accept" ? "agreed" : "declined");
  });
  tool("think", {}, async (_, extra) => {
    const messages = [{ role: "user", content: { type: "text", text: "ping" } }];
    const params = { messages, maxTokens: 16 };
    const request = { method: "sampling/createMessage", params };
    const answer = await extra.sendRequest(request, CreateMessageResultSchema);
    return text(`the model said: ${answer.content.text}`);
  });
  tool("where", {}, async (_, extra) => {
    const { roots } = await extra.sendRequest({ method: "roots/list" }, ListRootsResultSchema);
    return text(roots.map((root) => root.uri).join("\n"));
  });
  let grown;
  tool("grow", {}, () => {
    if (grown) {
      grown.remove();
      grown = undefined;
      return text("shrunk");
    }
    grown = tool("grown", {}, () => text("here"));
    return text("grown");
  });
  tool("touch", {}, async () => {
    counter += 1;
    if (subscribed.has(COUNTER)) await server.server.sendResourceUpdated({ uri: COUNTER });
    return text(counter);
  });
  tool("wait", {}, async (_, extra) => {
    await sleep(60_000, undefined, { signal: extra.signal }).catch(() => (waited += 1));
    return text("not cancelled");
  });
  tool("waited", {}, () => text(waited));
  tool("slow", {}, async () => {
    await sleep(2_000);
    return text("done");
  });
  tool("big", { bytes: z.number().int() }, ({ bytes }) => text("x".repeat(bytes)));

  const names = ["ada", "alan", "grace"];
  const who = completable(z.string(), (start) => names.filter((name) => name.startsWith(start)));
  const greet = ({ who }) => ({
    messages: [{ role: "user", content: { type: "text", text: `Greet ${who}.` } }],
  });
  server.registerPrompt("greet", { description: "A greeting.", argsSchema: { who } }, greet);
  const read = (uri, words) => ({ contents: [{ uri: uri.href, mimeType: "text/plain", text: words }] });
  server.registerResource("counter", COUNTER, {}, (uri) => read(uri, String(counter)));
  const items = new ResourceTemplate("matrix://item/{id}", { list: undefined });
  server.registerResource("item", items, {}, (uri, { id }) => read(uri, `item ${id}`));
  server.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    subscribed.add(params.uri);
    return {};
  });
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    subscribed.delete(params.uri);
    return {};
  });
  return server;
}

async function serveHttp(port) {
  const sessions = new Map();
  const open = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, transport),
    });
    await build().connect(transport);
    return transport;
  };
  const listener = createServer(async (request, response) => {
    const id = request.headers["mcp-session-id"];
    if (id !== undefined && !sessions.has(id)) return response.writeHead(404).end();
    const transport = id === undefined ? await open() : sessions.get(id);
    await transport.handleRequest(request, response);
  });
  listener.listen(port, "127.0.0.1", () => console.error("ready"));
}

const [mode, port] = process.argv.slice(2);
if (mode === "http") await serveHttp(Number(port));
else await build().connect(new StdioServerTransport());
