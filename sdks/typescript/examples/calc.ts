// A worker of three tools. `node build/examples/calc.js` links it to the node on this machine; it is
// then served at `/default/calc/mcp`.

import { Server, ToolError, Worker, z } from "../src/index.js";

const pair = { a: z.number(), b: z.number() };

const server = new Server("calc", "1.0.0")
  .tool("add", { description: "Adds two numbers.", input: pair }, ({ a, b }) => a + b)
  .tool("divide", { description: "Divides a by b.", input: pair, output: { quotient: z.number() } }, ({ a, b }) => {
    if (b === 0) throw new ToolError("division by zero");
    return { quotient: a / b };
  })
  .tool("discount", { description: "Takes off what the user allows." , input: { price: z.number() } }, async ({ price }, ctx) => {
    const asked = await ctx.elicit("percent", "How many percent off?", z.object({ percent: z.number().min(0).max(50) }));
    if (asked.action !== "accept") return "no discount";
    return (price * (100 - asked.content.percent)) / 100;
  });

const [hub = "http://127.0.0.1:7070", tokenFile] = process.argv.slice(2);
await new Worker(hub, tokenFile === undefined ? {} : { tokenFile }).serve("default", "calc", server).run();
