// A worker behind a real node, called by the official clients of both eras.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text as readAll } from "node:stream/consumers";
import { test, type TestContext } from "node:test";

import { Ask, type Ctx, Server, text, ToolError, Worker, z } from "../src/index.js";
import { CLIENTS, type Peer } from "./support/clients.js";
import { deferred } from "./support/deferred.js";
import { binary, Node } from "./support/node.js";

const Name = z.object({ name: z.string() });

/** What a handler tells its test. */
interface Marks {
  /** The kept call has begun; it ends when the test says so. */
  begun: ReturnType<typeof deferred<Ctx>>;
  go: ReturnType<typeof deferred<string>>;
  cancelled: ReturnType<typeof deferred<void>>;
  runs: number;
}

function server(marks: Marks): Server {
  return new Server("tools", "1")
    .tool("add", { input: { a: z.number(), b: z.number() }, output: { sum: z.number() } }, ({ a, b }) => ({ sum: a + b }))
    .tool("fail", {}, () => {
      throw new ToolError("no luck");
    })
    .tool("defect", {}, () => {
      throw new Error("secret");
    })
    .tool("content", {}, () => [text("a"), text("b")])
    .tool("large", { input: { bytes: z.number() } }, ({ bytes }) => "x".repeat(bytes))
    .tool("report", {}, (_, ctx) => {
      ctx.progress(1, 2, "half");
      ctx.log("warning", "careful", "me");
      return "reported";
    })
    .tool("elicit", {}, async (_, ctx) => {
      const asked = await ctx.elicit("name", "Who?", Name);
      return asked.action === "accept" ? `hello ${asked.content.name}` : asked.action;
    })
    .tool("page", {}, async (_, ctx) => (await ctx.elicitUrl("page", "Go", "https://x.test/")).action)
    .tool("sample", {}, async (_, ctx) => {
      const said = await ctx.sample("s", { messages: [{ role: "user", content: { type: "text", text: "?" } }], maxTokens: 9 });
      return said.text;
    })
    .tool("both", {}, async (_, ctx) => {
      const [name, roots] = await ctx.askAll(Ask.form("n", "Who?", Name), Ask.roots("r"));
      return `${name.status} ${roots.status === "fulfilled" ? roots.value[0]?.uri : ""}`;
    })
    .tool("task", { task: "optional" }, async (_, ctx) => {
      ctx.becomeTask();
      await ctx.sleep(10);
      return "followed";
    })
    .tool("wait", {}, async (_, ctx) => {
      ctx.signal.addEventListener("abort", () => marks.cancelled.resolve());
      marks.begun.resolve(ctx);
      await ctx.sleep(60_000);
    })
    .tool("kept", {}, async (_, ctx) => {
      marks.runs += 1;
      ctx.progress(1);
      marks.begun.resolve(ctx);
      return marks.go.promise;
    })
    .tool("followed", { task: "optional" }, async (_, ctx) => {
      marks.runs += 1;
      ctx.becomeTask();
      return marks.go.promise;
    })
    .tool("who", {}, (_, ctx) => `${ctx.caller.tenant} ${ctx.caller.session !== ""} ${ctx.client.has("elicitForm")} ${(ctx.timeLeftMs ?? 0) > 0}`)
    .prompt("write", { args: { topic: z.string() } }, ({ topic }) => `about ${topic}`)
    .resource("note:a", { name: "a", mimeType: "text/plain" }, () => "a note")
    .template("item://{id}", { name: "item" }, ({ id }) => Buffer.from(String(id)))
    .completion(({ value }) => [`${value}rse`])
    .watchable();
}

interface World {
  node: Node;
  server: Server;
  marks: Marks;
  logged: string[];
  shutdown: AbortController;
  ended: Promise<void>;
}

async function world(t: TestContext): Promise<World> {
  const node = await Node.start(t);
  const marks = { begun: deferred<Ctx>(), go: deferred<string>(), cancelled: deferred<void>(), runs: 0 };
  const shutdown = new AbortController();
  const logged: string[] = [];
  const linked = deferred<void>();
  const log = (_: string, message: string, fields: Record<string, unknown>) => {
    logged.push(`${message} ${JSON.stringify(fields)}`);
    if (message === "linked") linked.resolve();
  };
  const made = server(marks);
  const worker = new Worker(node.hub, { id: "w", log, drainMs: 5000 }).serve("default", "tools", made);
  const ended = worker.runUntil(shutdown.signal);
  t.after(() => {
    shutdown.abort();
    marks.go.resolve("late");
    return ended;
  });
  await linked.promise;
  return { node, server: made, marks, logged, shutdown, ended };
}

const said = async (peer: Peer, tool: string) => (await peer.call(tool)).content.map(({ text }) => text).join("|");

for (const [name, connect] of Object.entries(CLIENTS)) {
  test(`${name}: every verb`, async (t) => {
    const { node, logged } = await world(t);
    const peer = await connect(node.url, t);
    assert.ok((await peer.tools()).includes("add"));
    const sum = await peer.call("add", { a: 1, b: 2.5 });
    assert.deepEqual([sum.structuredContent, sum.content[0]?.text], [{ sum: 3.5 }, '{"sum":3.5}']);
    const failed = await peer.call("fail");
    assert.deepEqual([failed.isError, failed.content[0]?.text], [true, "no luck"]);
    await assert.rejects(peer.call("defect"), (error: Error) => !error.message.includes("secret"));
    assert.ok(logged.some((line) => line.includes("secret")));
    assert.equal(await said(peer, "content"), "a|b");
    assert.equal(((await peer.call("large", { bytes: 1 << 20 })).content[0]?.text ?? "").length, 1 << 20);
    assert.equal(await said(peer, "elicit"), "hello Ada");
    assert.equal(await said(peer, "page"), "accept");
    assert.equal(await said(peer, "sample"), "forty-two");
    assert.equal(await said(peer, "both"), "fulfilled file:///work");
    assert.equal(await said(peer, "task"), "followed");
    assert.equal(await said(peer, "who"), `default ${!name.includes("modern")} true true`);
    const messages = [{ role: "user", content: { type: "text", text: "about horses" } }];
    assert.deepEqual(await peer.prompt("write", { topic: "horses" }), messages);
    assert.deepEqual(await peer.complete("write", "topic", "ho"), ["horse"]);
    assert.deepEqual(await peer.read("note:a"), [{ uri: "note:a", mimeType: "text/plain", text: "a note" }]);
    assert.deepEqual(await peer.read("item://7"), [{ uri: "item://7", blob: "Nw==" }]);
  });

  test(`${name}: progress and logs`, async (t) => {
    const { node } = await world(t);
    const peer = await connect(node.url, t);
    const progress: unknown[] = [];
    await peer.call("report", {}, { onprogress: (one) => progress.push(one) });
    assert.deepEqual(progress, [{ progress: 1, total: 2, message: "half" }]);
    await peer.until("careful");
  });

  test(`${name}: changes while it runs`, async (t) => {
    const { node, server } = await world(t);
    const watched = deferred<void>();
    server.watchable(() => watched.resolve());
    const peer = await connect(node.url, t);
    await peer.watch("note:a");
    await watched.promise;
    server.resourceUpdated("note:a");
    await peer.until("updated note:a");
    server.tool("late", {}, () => "here");
    await peer.until("tools changed");
    assert.equal(await said(peer, "late"), "here");
    assert.ok((await peer.tools()).includes("late"));
  });

  test(`${name}: a cancel reaches the handler`, async (t) => {
    const { node, marks } = await world(t);
    const peer = await connect(node.url, t);
    const stop = new AbortController();
    const call = peer.call("wait", {}, { signal: stop.signal });
    await marks.begun.promise;
    stop.abort();
    await assert.rejects(call);
    await marks.cancelled.promise;
  });
}

// Clients of the modern era have nothing to come back with but a task, which SDK 2 does not follow.
for (const name of ["SDK 1, legacy", "SDK 2, legacy"]) {
  test(`${name}: a call outlives a killed node, runs once and is told once`, async (t) => {
    const { node, marks, logged } = await world(t);
    const peer = await (CLIENTS[name] ?? assert.fail())(node.url, t);
    const resumable = deferred<void>();
    const call = peer.call("kept", {}, { timeout: 60_000, onresumptiontoken: () => resumable.resolve(), onprogress: () => undefined });
    await Promise.all([marks.begun.promise, resumable.promise]);
    await node.kill();
    marks.go.resolve("kept");
    await node.run();
    assert.equal((await call).content[0]?.text, "kept");
    assert.equal(marks.runs, 1);
    assert.equal(logged.filter((line) => line.startsWith("linked")).length, 2);
  });
}

test("ostler call, modern: a task outlives a killed node, runs once and is told once", async (t) => {
  const { node, marks } = await world(t);
  const args = ["call", "followed", "--url", node.url.href];
  const child = spawn(binary(), args, { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stderr })) if (line.includes("[task")) break;
  await node.kill();
  marks.go.resolve("followed");
  await node.run();
  const [output] = await Promise.all([readAll(child.stdout), once(child, "exit")]);
  assert.equal(output.trim(), "followed");
  assert.equal(marks.runs, 1);
});

test("a worker that is told to end finishes what runs", async (t) => {
  const { node, marks, shutdown, ended } = await world(t);
  const peer = await (CLIENTS["SDK 2, modern"] ?? assert.fail())(node.url, t);
  const call = peer.call("kept");
  await marks.begun.promise;
  shutdown.abort();
  await assert.rejects(peer.call("add", { a: 1, b: 1 }));
  marks.go.resolve("finished");
  assert.equal((await call).content[0]?.text, "finished");
  await ended;
});

test("a worker process that is told to end exits with 0", async (t) => {
  const node = await Node.start(t);
  const child = spawn(process.execPath, ["build/examples/calc.js", node.hub], { stdio: ["ignore", "inherit", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stderr })) if (line.includes("linked")) break;
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
});
