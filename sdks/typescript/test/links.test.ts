import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { Server, Worker, WorkerError, z } from "../src/index.js";
import { FailureKind, KnownCallState, RefusedReason } from "../src/wire/ostler/worker/v1/worker.js";
import { TestClock } from "./support/clock.js";
import { callId, Hub, type HubLink, linked, NEVER_MS, start } from "./support/hub.js";

const RUNNING = KnownCallState.RUNNING;
const HELD = KnownCallState.HELD;
const ENDED = KnownCallState.ENDED;

function server(): Server {
  return new Server("tools", "1")
    .tool("nap", { input: { ms: z.number(), says: z.string() } }, async ({ ms, says }, ctx) => {
      await ctx.sleep(ms);
      return says;
    })
    .tool("quick", {}, () => "quick")
    .tool("ask", {}, async (_, ctx) => {
      ctx.becomeTask();
      return (await ctx.elicit("k", "?", z.object({ a: z.string() }))).action;
    });
}

async function keep(link: HubLink, id: number): Promise<void> {
  await link.expect("started");
  link.send({ $case: "keep", value: { call: callId(id) } });
  assert.deepEqual(await link.expect("kept"), { call: callId(id), attempt: 1 });
}

test("the hello says who the worker is", async (t) => {
  const { hub } = await start(t, server(), { token: "secret", capacity: 3 });
  const link = await hub.link();
  const { protocolMin, protocolMax, workerId, capacity, sdk, servers, callsTruncated } = link.hello;
  assert.deepEqual([protocolMin, protocolMax, workerId, capacity, callsTruncated], [1, 1, "w", 3, false]);
  assert.deepEqual([servers[0]?.tenant, servers[0]?.server], ["acme", "tools"]);
  assert.match(sdk, /^ostler-typescript\//);
  assert.ok(link.hello.instanceEpoch > 1n << 53n, "it does not fit a double");
  assert.equal(link.authorization, "Bearer secret");
});

test("a token file is read anew for each link", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "ostler-"));
  t.after(() => rm(folder, { recursive: true }));
  const tokenFile = join(folder, "token");
  await writeFile(tokenFile, "first\n");
  const { hub, clock } = await start(t, server(), { tokenFile });
  const link = await hub.welcome();
  assert.equal(link.authorization, "Bearer first");
  await writeFile(tokenFile, "second\n");
  link.cut();
  await clock.redial();
  assert.equal((await hub.link()).authorization, "Bearer second");
});

/** A worker of these nodes whose token is in a file that a test writes. */
async function withTokenFile(t: TestContext, hubs: string[]) {
  const folder = await mkdtemp(join(tmpdir(), "ostler-"));
  t.after(() => rm(folder, { recursive: true }));
  const tokenFile = join(folder, "token");
  const [clock, logged, stop] = [new TestClock(), [] as string[], new AbortController()];
  const log = (_level: string, message: string, fields: Record<string, unknown>) => {
    logged.push(`${message} ${Object.values(fields).join(" ")}`);
  };
  const worker = new Worker(hubs, { tokenFile, clock, log }).serve("acme", "tools", server());
  const run = () => worker.runUntil(stop.signal, stop.signal);
  return { tokenFile, clock, logged, stop, run };
}

test("what is wrong with one node ends no worker that serves another", async (t) => {
  const [first, second] = [await Hub.start(t), await Hub.start(t)];
  const { tokenFile, clock, logged, stop, run } = await withTokenFile(t, [first.url, second.url]);
  await writeFile(tokenFile, "secret");
  const ended = run();
  const [link, other] = [await first.welcome(), await second.link()];
  await link.settled();
  second.refuseWith = { code: 16, details: "no such token" };
  other.cut();
  await clock.redial();
  await clock.armed(100, 200);
  assert.match(logged.join("\n"), /no such token/);
  await writeFile(tokenFile, "");
  clock.advance(200);
  await clock.armed(200, 400);
  assert.match(logged.join("\n"), /printable/);
  link.call(1, "quick");
  assert.equal(await link.text(1), "quick");
  stop.abort();
  await link.ended();
  await ended;
});

test("a worker that is told to end while it reads its token links to nobody", async (t) => {
  const hub = await Hub.start(t);
  const { tokenFile, stop, run } = await withTokenFile(t, [hub.url]);
  execFileSync("mkfifo", [tokenFile]);
  const ended = run();
  stop.abort();
  await new Promise((resolve) => setImmediate(resolve));
  await writeFile(tokenFile, "secret");
  await ended;
});

test("a refused credential ends the worker with the reason", async (t) => {
  const hub = await Hub.start(t);
  hub.refuseWith = { code: 16, details: "no such token: 100% sure" };
  const worker = new Worker(hub.url, { log: () => undefined }).serve("acme", "tools", server());
  await assert.rejects(worker.runUntil(new AbortController().signal), (error) => {
    return error instanceof WorkerError && error.message.includes("no such token: 100% sure");
  });
});

test("what cannot be a worker says why", async () => {
  const run = (worker: Worker) => worker.runUntil(new AbortController().signal);
  await assert.rejects(run(new Worker("localhost:1")), /at least one Server/);
  const zero = new Worker("localhost:1", { capacity: 0 }).serve("a", "b", server());
  await assert.rejects(run(zero), /capacity/);
  const noFile = new Worker("localhost:1", { tokenFile: "/nosuch" }).serve("a", "b", server());
  await assert.rejects(run(noFile), /nosuch/);
  const badToken = new Worker("localhost:1", { token: "a\r\nb" }).serve("a", "b", server());
  await assert.rejects(run(badToken), /printable/);
  for (const hub of ["http://[x", "ftp://x", "file:///x", ""]) assert.throws(() => new Worker(hub), /address/, hub);
});

test("a node that cannot be reached is dialled again, with growing pauses", async (t) => {
  const { clock: time, shutdown, ended } = await start(t, server(), {
    dial: (_hub, _bearer, listener) => {
      setImmediate(() => listener.ended(new Error("refused")));
      return { write: () => true, end: () => undefined, destroy: () => undefined };
    },
  });
  for (const full of [100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
    await time.armed(full / 2, full);
    time.advance(full);
  }
  shutdown.abort();
  await ended;
});

test("why a node cannot be reached is logged", async () => {
  const shutdown = new AbortController();
  const why = await new Promise<string>((resolve) => {
    const log = (_level: string, _message: string, fields: Record<string, unknown>) => resolve(String(fields["why"]));
    const worker = new Worker("http://127.0.0.1:1", { log }).serve("a", "b", server());
    void worker.runUntil(shutdown.signal);
  });
  shutdown.abort();
  assert.match(why, /connect ECONNREFUSED 127.0.0.1:1/);
});

test("a ping is answered, with its whole nonce", async (t) => {
  const { link } = await linked(t, server());
  link.send({ $case: "ping", value: { nonce: 0xffff_ffff_ffff_fffen } });
  assert.equal((await link.expect("pong")).nonce, 0xffff_ffff_ffff_fffen);
});

test("a silent node is left and dialled again", async (t) => {
  const { hub, clock } = await start(t, server());
  const link = await hub.welcome({ heartbeatMs: 1000 });
  link.call(1, "quick");
  await link.text(1);
  clock.advance(3000);
  await link.ended();
  await clock.redial();
  await hub.welcome();
});

test("a node that does not greet is left", async (t) => {
  const { hub, clock } = await start(t, server());
  const link = await hub.link();
  clock.advance(10_000);
  await link.ended();
});

test("a plain call ends with its link", async (t) => {
  const { hub, clock, link } = await linked(t, server());
  link.call(1, "nap", { ms: NEVER_MS, says: "never" });
  await link.expect("started");
  link.cut();
  await clock.armed(1000, 1000);
  await clock.armed(50, 100);
  clock.advance(2000);
  const next = await hub.welcome();
  assert.deepEqual(next.known(), [{ id: 1n, attempt: 1, state: ENDED }]);
});

test("a plain call goes on when the link is back in time", async (t) => {
  const { hub, clock, link } = await linked(t, server());
  link.call(1, "nap", { ms: 500, says: "here" });
  await link.expect("started");
  link.cut();
  await clock.redial();
  const next = await hub.welcome();
  assert.deepEqual(next.known(), [{ id: 1n, attempt: 1, state: RUNNING }]);
  await next.settled();
  clock.advance(2000);
  assert.equal(await next.text(1), "here");
});

test("a kept call runs on without a link and offers its outcome until it is recorded", async (t) => {
  const { hub, clock, link } = await linked(t, server());
  const epoch = link.hello.instanceEpoch;
  link.call(1, "nap", { ms: 5000, says: "kept" });
  await keep(link, 1);
  link.cut();
  await clock.redial();
  let next = await hub.link();
  assert.equal(next.hello.instanceEpoch, epoch);
  assert.deepEqual(next.known(), [{ id: 1n, attempt: 1, state: RUNNING }]);
  clock.advance(5000);
  next.welcome();
  for (let lost = 0; lost < 3; lost += 1) {
    assert.equal(await next.text(1), "kept");
    next.cut();
    await clock.redial();
    next = await hub.welcome();
    assert.deepEqual(next.known(), [{ id: 1n, attempt: 1, state: HELD }]);
  }
  assert.equal(await next.text(1), "kept");
  next.send({ $case: "recorded", value: { calls: [callId(1)] } });
  next.call(2, "quick");
  await next.text(2);
  next.cut();
  await clock.redial();
  const states = (await hub.welcome()).known().map(({ id, state }) => [id, state]);
  assert.deepEqual(states, [[1n, ENDED], [2n, ENDED]]);
});

test("many outcomes that are offered again do not end the new link", async (t) => {
  const { hub, clock, link } = await linked(t, server(), { capacity: 100 });
  const next = async (link: HubLink, count: number) => {
    for (let seen = 0; seen < count; seen += 1) assert.notEqual(await link.next(), "end");
  };
  for (let batch = 0; batch < 120; batch += 1) {
    for (let id = batch * 100; id < (batch + 1) * 100; id += 1) {
      link.call(id, "nap", { ms: 1, says: "" });
      link.send({ $case: "keep", value: { call: callId(id) } });
    }
    // Each started and is kept, and then they end.
    await next(link, 200);
    clock.advance(1);
    await next(link, 100);
  }
  link.cut();
  await clock.redial();
  const other = await hub.link();
  assert.equal(other.known().length, 12_000);
  other.welcome();
  // Comes before the worker can have said all of it.
  other.send({ $case: "ping", value: { nonce: 1n } });
  await next(other, 12_001);
});

test("an outcome between hello and welcome is offered", async (t) => {
  const { hub, clock, link } = await linked(t, server());
  link.call(1, "nap", { ms: 500, says: "between" });
  await link.expect("started");
  link.cut();
  await clock.redial();
  const next = await hub.link();
  clock.advance(600);
  next.welcome();
  assert.equal(await next.text(1), "between");
});

test("a grace that ends between hello and welcome is told", async (t) => {
  const { hub, clock, link } = await linked(t, server());
  link.call(1, "nap", { ms: NEVER_MS, says: "never" });
  await link.expect("started");
  link.cut();
  await clock.redial();
  const next = await hub.link();
  clock.advance(2000);
  await new Promise((resolve) => setImmediate(resolve));
  next.welcome();
  assert.equal((await next.failure(1)).kind, FailureKind.CANCELLED);
});

test("open questions and promises are said again on a new link", async (t) => {
  const { hub, clock, link } = await linked(t, server());
  link.call(1, "ask");
  await link.expect("becomeTask");
  await link.expect("started");
  const asked = await link.expect("ask");
  link.send({ $case: "keep", value: { call: callId(1) } });
  await link.expect("kept");
  link.cut();
  await clock.redial();
  const next = await hub.welcome();
  await next.expect("kept");
  await next.expect("becomeTask");
  const again = await next.expect("ask");
  assert.deepEqual(again.questions, asked.questions);
  next.answer(1, { k: { action: "decline" } });
  assert.equal(await next.text(1), "decline");
});

test("what nobody owns is forgotten", async (t) => {
  const { hub, clock, link } = await linked(t, server());
  link.call(1, "nap", { ms: NEVER_MS, says: "" });
  link.call(2, "nap", { ms: 100, says: "" });
  await link.expect("started");
  await link.expect("started");
  link.send({ $case: "keep", value: { call: callId(2) } });
  await link.expect("kept");
  clock.advance(100);
  await link.text(2);
  link.send({ $case: "forget", value: { call: callId(1), attempt: 9 } });
  link.send({ $case: "forget", value: { call: callId(1), attempt: 1 } });
  link.send({ $case: "forget", value: { call: callId(2), attempt: 1 } });
  link.call(3, "quick");
  assert.equal(await link.text(3), "quick");
  link.cut();
  await clock.redial();
  const states = (await hub.welcome()).known().map(({ state }) => state);
  assert.deepEqual(states, [ENDED, ENDED, ENDED]);
});

test("a newer attempt replaces an older one", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "nap", { ms: NEVER_MS, says: "old" });
  await link.expect("started");
  link.call(1, "quick", {}, { attempt: 2 });
  const { attempt } = await link.expect("outcome");
  assert.equal(attempt, 2);
  await link.settled();
});

test("at the bound of held outcomes no call is taken", async (t) => {
  const { clock, link } = await linked(t, server(), { heldBytesMax: 300 });
  link.call(1, "nap", { ms: 10, says: "x".repeat(100) });
  await keep(link, 1);
  clock.advance(10);
  await link.text(1);
  link.call(2, "quick");
  assert.equal((await link.expect("refused")).reason, RefusedReason.BUSY);
  link.send({ $case: "recorded", value: { calls: [callId(1)] } });
  link.call(3, "quick");
  assert.equal(await link.text(3), "quick");
});

test("ended calls that are too many to name are said to be", async (t) => {
  const { hub, clock, link } = await linked(t, server());
  for (let id = 1; id <= 16_400; id += 1) {
    link.call(id, "quick");
    await link.text(id);
  }
  link.cut();
  await clock.redial();
  const next = await hub.welcome();
  assert.deepEqual([next.hello.callsTruncated, next.known().length], [true, 16_384]);
  next.cut();
  await clock.armed(50, 100);
  clock.advance(60_000);
  const last = await hub.welcome();
  assert.deepEqual([last.hello.callsTruncated, last.known().length], [false, 0]);
});

test("taken-in bytes are acknowledged", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "quick", { a: "x".repeat(200_000) });
  await link.text(1);
  assert.ok(link.consumed > 190_000n, String(link.consumed));
});

test("a worker that ends finishes its calls and takes no more", async (t) => {
  const { clock, link, shutdown, ended } = await linked(t, server());
  link.call(1, "nap", { ms: 500, says: "finished" });
  await link.expect("started");
  shutdown.abort();
  await link.expect("leaving");
  link.call(2, "quick");
  assert.equal((await link.expect("refused")).reason, RefusedReason.DRAINING);
  clock.advance(500);
  assert.equal(await link.text(1), "finished");
  await link.ended();
  await ended;
});

test("a worker that ends does not wait for ever", async (t) => {
  const { clock, link, shutdown, ended, logged } = await linked(t, server());
  link.call(1, "nap", { ms: NEVER_MS, says: "" });
  await link.expect("started");
  shutdown.abort();
  await link.expect("leaving");
  await clock.armed(30_000, 30_000);
  clock.advance(30_000);
  await link.ended();
  await ended;
  assert.ok(logged.some((line) => line.includes("still ran")));
});

test("told a second time a worker ends at once", async (t) => {
  const { link, shutdown, now, ended } = await linked(t, server());
  link.call(1, "nap", { ms: NEVER_MS, says: "" });
  await link.expect("started");
  shutdown.abort();
  await link.expect("leaving");
  now.abort();
  await link.ended();
  await ended;
});

test("several nodes are served at once, and a call stays with its own", async (t) => {
  const [first, second] = [await Hub.start(t), await Hub.start(t)];
  const shutdown = new AbortController();
  const worker = new Worker([first.url, second.url], { log: () => undefined }).serve("acme", "tools", server());
  const ended = worker.runUntil(shutdown.signal);
  const links = [await first.welcome(), await second.welcome()] as const;
  links[1].call(1, "ask");
  await links[1].expect("becomeTask");
  links[0].send({ $case: "cancel", value: { call: callId(1), reason: "not mine" } });
  links[0].call(2, "quick");
  assert.equal(await links[0].text(2), "quick");
  await links[1].expect("started");
  await links[1].expect("ask");
  links[1].answer(1, { k: { action: "cancel" } });
  assert.equal(await links[1].text(1), "cancel");
  shutdown.abort();
  await Promise.all(links.map((link) => link.ended()));
  await ended;
});
