// The Server of the matrix, by the SDK for TypeScript. Usage: worker.mjs HUB
import { Server, ToolError, Worker, z } from "ostler";

const COUNTER = "matrix://counter";
const server = new Server("matrix-typescript", "1.0.0");
let counter = 0;
const waits = { begun: 0, cancelled: 0 };
const tool = (name, input, run, more = {}) =>
  server.tool(name, { description: `The tool ${name}.`, input, ...more }, run);

tool("echo", { text: z.string() }, ({ text }) => text);
const terms = { a: z.number(), b: z.number() };
tool("sum", terms, ({ a, b }) => ({ sum: a + b }), { output: { sum: z.number() } });
tool("fail", {}, () => {
  throw new ToolError("it failed on purpose");
});
tool("steps", {}, (_, ctx) => {
  for (const step of [1, 2]) ctx.progress(step, 2, `step ${step}`);
  return "done";
});
tool("say", {}, (_, ctx) => {
  ctx.log("info", { said: "hello" }, "matrix");
  return "said";
});
tool("ask", {}, async (_, ctx) => {
  const answer = await ctx.elicit("name", "Who are you?", z.object({ name: z.string() }));
  return answer.action === "accept" ? `hello ${answer.content.name}` : "declined";
});
tool("visit", {}, async (_, ctx) => {
  const answer = await ctx.elicitUrl("page", "Please visit.", "https://example.com/visit");
  return answer.action === "accept" ? "agreed" : "declined";
});
tool("think", {}, async (_, ctx) => {
  const messages = [{ role: "user", content: { type: "text", text: "ping" } }];
  const sampled = await ctx.sample("ping", { messages, maxTokens: 16 });
  return `the model said: ${sampled.text}`;
});
tool("where", {}, async (_, ctx) => {
  const roots = await ctx.roots("roots");
  return roots.map(({ uri }) => uri).join("\n");
});
tool("grow", {}, () => {
  if (server.removeTool("grown")) return "shrunk";
  tool("grown", {}, () => "here");
  return "grown";
});
tool("touch", {}, () => {
  counter += 1;
  server.resourceUpdated(COUNTER);
  return String(counter);
});
tool("wait", {}, async (_, ctx) => {
  waits.begun += 1;
  try {
    await ctx.sleep(60_000);
  } catch (cancelled) {
    waits.cancelled += 1;
    throw cancelled;
  }
  return "not cancelled";
});
tool("waits", {}, () => `${waits.begun} ${waits.cancelled}`);
tool("slow", {}, async (_, ctx) => {
  await ctx.sleep(2_000);
  return "done";
});
tool("big", { bytes: z.int() }, ({ bytes }) => "x".repeat(bytes));

server
  .watchable()
  .prompt("greet", { description: "A greeting.", args: { who: z.string() } }, ({ who }) => `Greet ${who}.`)
  .completion(({ value }) => ["ada", "alan", "grace"].filter((name) => name.startsWith(value)))
  .resource(COUNTER, { name: "counter", mimeType: "text/plain" }, () => String(counter))
  .template("matrix://item/{id}", { name: "item", mimeType: "text/plain" }, ({ id }) => `item ${id}`);

await new Worker(process.argv[2]).serve("default", "typescript", server).run();
