// What a call costs a worker, at least: `node build/examples/echo.js`, then load on `/mcp`.

import { Server, Worker, z } from "../src/index.js";

const server = new Server("echo", "1.0.0").tool(
  "echo",
  { description: "Says the message again.", input: { message: z.string() } },
  async ({ message }) => Promise.resolve(message),
);

const [hub = "http://127.0.0.1:7070"] = process.argv.slice(2);
await new Worker(hub).serve("default", "default", server).run();
