// The Server of the matrix as an MCP server of the legacy era, by the TypeScript SDK 1.x:
// `legacy.mjs stdio` or `legacy.mjs http PORT`.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
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
import {
  COUNTER,
  counts,
  form,
  greet,
  hello,
  page,
  places,
  plainTools,
  resources,
  sample,
  steps,
  text,
  thought,
  visited,
  wait,
  whoBegins,
} from "./parts.mjs";

function build() {
  const server = new McpServer(
    { name: "matrix-legacy", version: "1.0.0" },
    { capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } } },
  );
  const subscribed = new Set();
  const tool = (name, inputSchema, run, more = {}) =>
    server.registerTool(name, { description: `The tool ${name}.`, inputSchema, ...more }, run);

  plainTools(tool);
  tool("steps", {}, (_, extra) => steps(extra._meta?.progressToken, (note) => extra.sendNotification(note)));
  tool("say", {}, async (_, extra) => {
    const params = { level: "info", logger: "matrix", data: { said: "hello" } };
    await extra.sendNotification({ method: "notifications/message", params });
    return text("said");
  });
  const ask = (extra, params) =>
    extra.sendRequest({ method: "elicitation/create", params }, ElicitResultSchema);
  tool("ask", {}, async (_, extra) => hello(await ask(extra, { mode: "form", ...form })));
  tool("visit", {}, async (_, extra) =>
    visited(await ask(extra, { mode: "url", ...page, elicitationId: randomUUID() })),
  );
  tool("think", {}, async (_, extra) => {
    const request = { method: "sampling/createMessage", params: sample };
    return thought(await extra.sendRequest(request, CreateMessageResultSchema));
  });
  tool("where", {}, async (_, extra) =>
    places(await extra.sendRequest({ method: "roots/list" }, ListRootsResultSchema)),
  );
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
    counts.touched += 1;
    if (subscribed.has(COUNTER)) await server.server.sendResourceUpdated({ uri: COUNTER });
    return text(counts.touched);
  });
  tool("wait", {}, (_, extra) => wait(extra.signal));

  const who = completable(z.string(), whoBegins);
  server.registerPrompt("greet", { description: "A greeting.", argsSchema: { who } }, greet);
  resources(server, new ResourceTemplate("matrix://item/{id}", { list: undefined }));
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
