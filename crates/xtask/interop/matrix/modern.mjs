// The Server of the matrix as an MCP server of 2026-07-28 and nothing older, by the TypeScript
// SDK 2.x: `modern.mjs stdio` or `modern.mjs http PORT`.
import { createServer } from "node:http";
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

let isGrown = false;
// Who is told of changes: the listens of the HTTP handler, or those of the one connection.
let tell;

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

  plainTools(tool);
  tool("steps", {}, (_, { mcpReq }) => steps(mcpReq._meta?.progressToken, (note) => mcpReq.notify(note)));
  tool("say", {}, async (_, ctx) => {
    await ctx.mcpReq.log("info", { said: "hello" }, "matrix");
    return text("said");
  });
  tool("ask", {}, asking(() => inputRequired.elicit(form), hello));
  tool("visit", {}, asking(() => inputRequired.elicitUrl(page), visited));
  const ask = () => inputRequired.createMessage(sample);
  tool("think", {}, asking(ask, ({ result }) => thought(result)));
  tool("where", {}, asking(inputRequired.listRoots, places));

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
    counts.touched += 1;
    await tell.resourceUpdated(COUNTER, server);
    return text(counts.touched);
  });
  tool("wait", {}, (_, ctx) => wait(ctx.mcpReq.signal));

  const who = completable(z.string(), whoBegins);
  const greeting = { description: "A greeting.", argsSchema: z.object({ who }) };
  server.registerPrompt("greet", greeting, greet);
  resources(server, new ResourceTemplate("matrix://item/{id}", { list: undefined }));
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
