// The Server of the matrix as an MCP server of 2026-07-28 and nothing older, by the TypeScript
// SDK 2.x: `modern.mjs stdio` or `modern.mjs http PORT`.
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler } from "@modelcontextprotocol/node";
import {
  McpServer,
  ResourceTemplate,
  completable,
  createMcpHandler,
  inputRequired,
  inputResponse,
} from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { z } from "zod";

const COUNTER = "matrix://counter";
let counter = 0;
let waited = 0;
let isGrown = false;
// Who is told of changes: the listens of the HTTP handler, or those of the one connection.
let tell;
const text = (words) => ({ content: [{ type: "text", text: String(words) }] });

/** Asks until the client has answered, then goes on with what it said. */
const asking = (build, go) => (_, ctx) => {
  const answer = inputResponse(ctx.mcpReq.inputResponses, "it");
  return answer.kind === "missing"
    ? inputRequired({ inputRequests: { it: build() } })
    : go(answer);
};

function build() {
  const server = new McpServer(
    { name: "matrix-modern", version: "1.0.0" },
    {
      capabilities: {
        logging: {},
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
      },
    },
  );
  const tool = (name, input, run, more = {}) =>
    server.registerTool(
      name,
      { description: `The tool ${name}.`, inputSchema: z.object(input), ...more },
      run,
    );

  tool("echo", { text: z.string() }, ({ text: words }) => text(words));
  tool(
    "sum",
    { a: z.number(), b: z.number() },
    ({ a, b }) => {
      const structuredContent = { sum: a + b };
      return { ...text(JSON.stringify(structuredContent)), structuredContent };
    },
    { outputSchema: z.object({ sum: z.number() }) },
  );
  tool("fail", {}, () => ({ ...text("it failed on purpose"), isError: true }));
  tool("steps", {}, async (_, ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (const progress of [1, 2]) {
      if (progressToken === undefined) continue;
      const params = { progressToken, progress, total: 2, message: `step ${progress}` };
      await ctx.mcpReq.notify({ method: "notifications/progress", params });
    }
    return text("done");
  });
  tool("say", {}, async (_, ctx) => {
    await ctx.mcpReq.log("info", { said: "hello" }, "matrix");
    return text("said");
  });
  const requestedSchema = {
    type: "object",
    properties: { name: { type: "string" } },
    required: ["name"],
  };
  const form = () => inputRequired.elicit({ message: "Who are you?", requestedSchema });
  const hello = ({ action, content }) =>
    text(action === "accept" ? `hello ${content.name}` : "declined");
  tool("ask", {}, asking(form, hello));
  const page = () =>
    inputRequired.elicitUrl({ message: "Please visit.", url: "https://example.com/visit" });
  tool("visit", {}, asking(page, ({ action }) => text(action === "accept" ? "agreed" : "declined")));
  const messages = [{ role: "user", content: { type: "text", text: "ping" } }];
  const sample = () => inputRequired.createMessage({ messages, maxTokens: 16 });
  tool("think", {}, asking(sample, ({ result }) => text(`the model said: ${result.content.text}`)));
  const uris = ({ roots }) => text(roots.map((root) => root.uri).join("\n"));
  tool("where", {}, asking(inputRequired.listRoots, uris));

  const here = () => tool("grown", {}, () => text("here"));
  let grown = isGrown ? here() : undefined;
  tool("grow", {}, () => {
    isGrown = !isGrown;
    if (isGrown) grown = here();
    else grown?.remove();
    tell.toolsChanged(server);
    return text(isGrown ? "grown" : "shrunk");
  });
  tool("touch", {}, async () => {
    counter += 1;
    await tell.resourceUpdated(COUNTER, server);
    return text(counter);
  });
  tool("wait", {}, async (_, ctx) => {
    await sleep(60_000, undefined, { signal: ctx.mcpReq.signal }).catch(() => (waited += 1));
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
  const greeting = { description: "A greeting.", argsSchema: z.object({ who }) };
  server.registerPrompt("greet", greeting, greet);
  const read = (uri, words) => ({ contents: [{ uri: uri.href, mimeType: "text/plain", text: words }] });
  server.registerResource("counter", COUNTER, {}, (uri) => read(uri, String(counter)));
  const items = new ResourceTemplate("matrix://item/{id}", { list: undefined });
  server.registerResource("item", items, {}, (uri, { id }) => read(uri, `item ${id}`));
  return server;
}

const [mode, port] = process.argv.slice(2);
if (mode === "http") {
  const handler = createMcpHandler(build, { legacy: "reject" });
  tell = handler.notify;
  const listener = createServer(toNodeHandler(handler));
  listener.listen(Number(port), "127.0.0.1", () => console.error("ready"));
} else {
  // Adding and removing tools tells of itself here.
  tell = {
    toolsChanged: () => {},
    resourceUpdated: (uri, server) => server.server.sendResourceUpdated({ uri }),
  };
  serveStdio(build, { legacy: "reject" });
}
