// What a node that breaks the protocol can do to a worker, and what a careless author can make a
// worker send. Every entry of the corpus is run by a test named here, or does not concern an SDK.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";

import { status } from "@grpc/grpc-js";

import { Server, ToolError, Worker, z } from "../src/index.js";
import { CallKind, FailureKind, RefusedReason } from "../src/wire/ostler/worker/v1/worker.js";
import { callId, type HubLink, linked, start } from "./support/hub.js";

/** Entries, and the tests of this SDK that run them. */
const RUN: Record<string, string> = {
  "GRPC-001": "a node that will not have this worker ends it with the reason",
  "GRPC-002": "a node that will not have this worker ends it with the reason",
  "GRPC-005": "a second welcome ends the link",
  "GRPC-006": "what may pass is waited for, with growing pauses",
  "GRPC-007": "what may pass is waited for, with growing pauses",
  "GRPC-008": "changes of one turn are one new catalog, and refusals are logged",
  "GRPC-012": "changes of one turn are one new catalog, and refusals are logged",
  "GRPC-013": "changes of one turn are one new catalog, and refusals are logged",
  "GRPC-014": "changes of one turn are one new catalog, and refusals are logged",
  "GRPC-016": "changes of one turn are one new catalog, and refusals are logged",
  "GRPC-018": "frames about calls that nobody knows change nothing",
  "GRPC-019": "several nodes are served at once, and a call stays with its own",
  "GRPC-020": "a call that comes twice has one outcome",
  "GRPC-021": "a cancel that comes twice, or late, ends a call once",
  "GRPC-024": "what no node would take is a defect, and the log says why",
  "GRPC-025": "line breaks leave escaped",
  "GRPC-026": "what no node would take is a defect, and the log says why",
  "GRPC-027": "depth ends a call and nothing else",
  "GRPC-029": "a compressed frame that grows beyond any ends the link before it is whole",
  "GRPC-030": "every failed answer has its meaning",
  "GRPC-031": "half a character leaves as a whole one, and none comes in",
  "GRPC-033": "absurd numbers do no harm",
  "GRPC-035": "a defect is logged, and its text stays in the worker",
  "GRPC-040": "a silent node is left and dialled again",
  "GRPC-041": "a node that goes on calling and takes no answers is left",
  "GRPC-042": "what may pass is waited for, with growing pauses",
  "GRPC-044": "a flood of logs fills no link",
  "GRPC-047": "a worker that ends finishes its calls and takes no more",
  "CON-004": "what a call says is in no log",
  "CON-010": "a defect is logged, and its text stays in the worker",
};

/** Entries that concern no SDK, and why. */
const NOT_HERE: Record<string, string> = {
  "GRPC-003": "a worker sends no metadata but its token",
  "GRPC-034": "a process that is killed runs nothing of the SDK",
  "GRPC-036": "the node runs it again, at another worker",
  "GRPC-037": "it is about workers that are gone",
  "CON-006": "nothing is masked",
  "CON-007": "services over HTTP are the bridge's",
  "CON-008": "services over HTTP are the bridge's",
  "CON-009": "processes are the bridge's",
};

test("no entry of the corpus is forgotten", () => {
  const corpus = new URL("../../../../crates/node/tests/it/hostile/corpus.jsonl", import.meta.url);
  const entries = readFileSync(corpus, "utf8").trim().split("\n");
  const layered = entries.map((line) => JSON.parse(line) as { id: string; layer: string });
  const wanted = layered.filter(({ layer }) => layer === "grpc" || layer === "content").map(({ id }) => id);
  assert.deepEqual([...Object.keys(RUN), ...Object.keys(NOT_HERE)].sort(), wanted.sort());
  const here = new URL(".", import.meta.url);
  const files = readdirSync(here).filter((name) => name.endsWith(".test.js"));
  const tests = files.map((name) => readFileSync(new URL(name, here), "utf8")).join("");
  for (const name of Object.values(RUN)) assert.ok(tests.includes(`test("${name}"`), name);
});

function server(): Server {
  return new Server("tools", "1")
    .tool("quick", {}, () => "quick")
    .tool("ask", {}, async (_, ctx) => (await ctx.elicit("k", "?", z.object({ a: z.string() }))).action);
}

/** The link ends for this reason, and a new one serves. */
async function breaks(t: TestContext, why: RegExp, spoil: (link: HubLink) => void): Promise<void> {
  const { hub, clock, link, logged } = await linked(t, server());
  spoil(link);
  await link.ended();
  await clock.redial();
  const next = await hub.welcome();
  next.call(9, "quick");
  assert.equal(await next.text(9), "quick");
  assert.match(logged.join("\n"), why);
}

/** Nothing comes of it. */
async function passes(t: TestContext, tell: (link: HubLink) => void): Promise<void> {
  const { link } = await linked(t, server());
  tell(link);
  link.call(9, "quick");
  assert.equal(await link.text(9), "quick");
}

test("a second welcome ends the link", (t) => breaks(t, /second welcome/, (link) => link.welcome()));

test("a first frame that is no welcome ends the link", async (t) => {
  const { hub, clock, logged } = await start(t, server());
  const link = await hub.link();
  link.send({ $case: "ping", value: { nonce: 1n } });
  await link.ended();
  assert.match(logged.join("\n"), /no welcome/);
  await clock.redial();
  await hub.welcome();
});

test("a version that nobody asked for ends the link", async (t) => {
  const { hub, logged } = await start(t, server());
  const link = await hub.welcome({ protocol: 7 });
  await link.ended();
  assert.match(logged.join("\n"), /no common version/);
});

test("bytes that are no frame end the link", (t) =>
  breaks(t, /breaks the protocol/, (link) => link.sendBytes(Buffer.from([0x12, 0xff, 0xff]))));

test("a frame larger than any ends the link", (t) =>
  breaks(t, /larger than max/, (link) => link.sendBytes(Buffer.alloc((256 << 10) + 1))));

/** A node that greets each link with this message, compressed. */
async function zippingNode(t: TestContext, message: Buffer): Promise<string> {
  const zipped = gzipSync(message);
  const prefix = Buffer.from([1, 0, 0, 0, 0]);
  prefix.writeUInt32BE(zipped.length, 1);
  const node = createServer().listen(0, "127.0.0.1");
  node.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-encoding": "gzip" });
    stream.write(Buffer.concat([prefix, zipped]));
  });
  await once(node, "listening");
  t.after(() => node.close());
  return `http://127.0.0.1:${(node.address() as AddressInfo).port}`;
}

test("a compressed frame that grows beyond any ends the link before it is whole", async (t) => {
  const hub = await zippingNode(t, Buffer.alloc(64 << 20));
  const stop = new AbortController();
  const why = await new Promise<string>((resolve) => {
    const log = (_level: string, _message: string, fields: Record<string, unknown>) => resolve(String(fields["why"]));
    void new Worker(hub, { log }).serve("acme", "tools", server()).runUntil(stop.signal, stop.signal);
  });
  stop.abort();
  assert.match(why, /decompresses to a size larger than 262144/);
});

test("parts that break the rules end the link", async (t) => {
  const part = (transfer: bigint, bytes: number) => (link: HubLink) =>
    link.send({ $case: "part", value: { transfer, data: Buffer.alloc(bytes) } });
  await breaks(t, /number 0/, part(0n, 1));
  await breaks(t, /a part has 0 bytes/, part(1n, 0));
  await breaks(t, /a part has 65537 bytes/, part(1n, (64 << 10) + 1));
});

test("a payload of a transfer that is not open ends the link", (t) =>
  breaks(t, /not open/, (link) => {
    const args = { inline: Buffer.alloc(0), transfer: 5n };
    link.call(1, "quick", {}, { arguments: args });
  }));

test("a frame about no call ends the link", (t) =>
  breaks(t, /names no call/, (link) => link.send({ $case: "cancel", value: { call: undefined, reason: "" } })));

test("a node that pings and takes no answers is left", async (t) => {
  const { hub, clock, logged } = await start(t, server());
  const link = await hub.welcome();
  link.pause();
  for (let nonce = 1n; nonce <= 200_000n; nonce += 1n) link.send({ $case: "ping", value: { nonce } });
  await clock.redial();
  await hub.welcome();
  assert.match(logged.join("\n"), /takes no answers/);
});

test("a node that goes on calling and takes no answers is left", async (t) => {
  const { hub, clock, logged } = await start(t, server(), { heldBytesMax: 1 << 16 });
  const link = await hub.welcome();
  link.grants = false;
  for (let id = 1; id <= 80_000; id += 1) link.call(id, "quick");
  await clock.redial();
  await hub.welcome();
  assert.match(logged.join("\n"), /takes no answers/);
});

test("a node that watches everything is told of as much as there is room for", async (t) => {
  const said = server();
  const { link } = await linked(t, said);
  const uri = (n: number) => `${n}:${"x".repeat(200_000)}`;
  for (let n = 0; n < 100; n += 1) link.send({ $case: "watch", value: { server: 0, uri: uri(n) } });
  await link.settled();
  assert.deepEqual([said.isWatched(uri(0)), said.isWatched(uri(99))], [true, false]);
});

test("texts longer than a frame are cut", async (t) => {
  const long = "x".repeat(1 << 20);
  const said = server().tool("long", {}, (_, ctx) => {
    ctx.progress(1, 2, long);
    ctx.log("info", long, long);
    throw ToolError.invalidParams(long);
  });
  const { link } = await linked(t, said);
  link.call(1, "long", {}, { wantsProgress: true });
  assert.equal((await link.expect("progress")).message.length, 4096);
  assert.equal((await link.failure(1)).message.length, 16_384);
});

test("a frame of a newer version changes nothing", (t) =>
  passes(t, (link) => link.sendBytes(Buffer.from([0xfa, 0x3f, 0x01, 0x61]))));

test("frames about calls that nobody knows change nothing", (t) =>
  passes(t, (link) => {
    const call = callId(77);
    link.send({ $case: "keep", value: { call } });
    link.send({ $case: "cancel", value: { call, reason: "" } });
    link.send({ $case: "forget", value: { call, attempt: 1 } });
    link.send({ $case: "recorded", value: { calls: [call] } });
    link.answer(77, { k: { action: "accept" } });
    link.send({ $case: "watch", value: { server: 99, uri: "a:b" } });
    link.send({ $case: "unwatch", value: { server: 99, uri: "a:b" } });
  }));

test("an argument too large to take ends its call only", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "quick", { a: "x".repeat(17 << 20) });
  assert.equal((await link.failure(1)).kind, FailureKind.INVALID_PARAMS);
  link.call(2, "quick");
  assert.equal(await link.text(2), "quick");
});

test("answers to keys that were not asked, and second answers, change nothing", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "ask");
  await link.expect("started");
  await link.expect("ask");
  link.answer(1, { other: { action: "accept" } });
  link.answer(1, { k: { action: "decline" } });
  link.answer(1, { k: { action: "accept" } });
  assert.equal(await link.text(1), "decline");
});

test("an answer that is no JSON, or no answer, is told to the handler", async (t) => {
  const { link } = await linked(t, server());
  for (const value of [Buffer.from("{"), Buffer.from("null"), Buffer.from('{"action":7}')]) {
    link.call(1, "ask");
    await link.expect("started");
    await link.expect("ask");
    const answer = { $case: "value", value: link.pack(value) } as const;
    link.send({ $case: "answers", value: { call: callId(1), answers: [{ key: "k", answer }] } });
    assert.match(await link.text(1), /does not fit/);
  }
});

test("a reference that is no JSON is the caller's fault", async (t) => {
  const { link } = await linked(t, server().completion(() => []));
  link.call(1, "{", { argument: { name: "a", value: "" } }, { kind: CallKind.COMPLETION });
  assert.equal((await link.failure(1)).kind, FailureKind.INVALID_PARAMS);
  link.call(2, "{}", { argument: 1 }, { kind: CallKind.COMPLETION });
  assert.equal((await link.failure(2)).kind, FailureKind.INVALID_PARAMS);
});

test("a node that will not have this worker ends it with the reason", async (t) => {
  for (const code of [status.INVALID_ARGUMENT, status.PERMISSION_DENIED, status.UNAUTHENTICATED]) {
    const { hub, ended } = await start(t, server());
    hub.refuseWith = { code, details: "not you" };
    await assert.rejects(ended, /not you/);
  }
});

test("what may pass is waited for, with growing pauses", async (t) => {
  const { hub, clock } = await start(t, server());
  let full = 100;
  for (const code of [status.ABORTED, status.ALREADY_EXISTS, status.RESOURCE_EXHAUSTED, status.UNAVAILABLE]) {
    hub.refuseWith = { code, details: "not now" };
    await clock.armed(full / 2, full);
    if (code === status.UNAVAILABLE) hub.refuseWith = undefined;
    clock.advance(full);
    full *= 2;
  }
  await hub.welcome();
});

test("a call that comes twice has one outcome", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "ask");
  await link.expect("started");
  await link.expect("ask");
  link.call(1, "quick");
  assert.equal(await link.text(1), "quick");
  link.answer(1, { k: { action: "accept" } });
  await link.settled();
});

test("a cancel that comes twice, or late, ends a call once", async (t) => {
  const { clock, link } = await linked(t, server().tool("deaf", {}, () => new Promise(() => undefined)));
  const cancel = () => link.send({ $case: "cancel", value: { call: callId(1), reason: "" } });
  link.call(1, "deaf");
  await link.expect("started");
  cancel();
  cancel();
  await link.settled();
  clock.advance(1000);
  assert.equal((await link.failure(1)).kind, FailureKind.CANCELLED);
  cancel();
  await link.settled();
});

/** What careless authors return, and why not. */
const BAD_RESULTS: [unknown, RegExp][] = [
  [{ type: "text" }, /`text` is a text/],
  [[{ type: "image", data: "YQ==" }], /type image: `mimeType`/],
  [{ content: [{ type: "resource", resource: { uri: "a:b" } }] }, /contents: `text`/],
  [{ content: [{ type: "resource" }] }, /contents are an object/],
  [{ content: [{ type: "resource_link", uri: 5, name: "a" }] }, /`uri` is a text/],
  [{ content: [], resultType: "weird" }, /`resultType` is the platform's/],
  [{ content: [], inputRequests: {} }, /`inputRequests` is the platform's/],
  [{ a: 1n }, /BigInt/],
];

test("what no node would take is a defect, and the log says why", async (t) => {
  let output: unknown;
  const careless = () => output as string;
  const said = server().tool("bad", {}, careless).prompt("bad", {}, careless).resource("bad:a", { name: "a" }, careless);
  const { link, logged } = await linked(t, said);
  const check = async (kind: CallKind, target: string, value: unknown, why: RegExp) => {
    output = value;
    link.call(1, target, {}, { kind });
    assert.equal((await link.failure(1)).message, "the handler failed");
    assert.match(logged.at(-1) ?? "", why);
  };
  for (const [value, why] of BAD_RESULTS) await check(CallKind.TOOL, "bad", value, why);
  await check(CallKind.PROMPT, "bad", { role: "robot", content: { type: "text", text: "" } }, /the user or the assistant/);
  await check(CallKind.PROMPT, "bad", { role: "user", content: "a" }, /one of the types/);
  await check(CallKind.RESOURCE, "bad:a", 5, /are an object/);
  await check(CallKind.RESOURCE, "bad:a", { uri: "bad:a" }, /`text` is a text/);
});

test("line breaks leave escaped", async (t) => {
  const broken = "a\r\nb\n\ndata: c\u2028";
  const { link } = await linked(t, server().tool("lines", { output: z.string() }, () => broken));
  link.call(1, "lines");
  const { outcome } = await link.expect("outcome");
  if (outcome?.$case !== "result") assert.fail();
  const json = link.bytes(outcome.value).toString();
  assert.doesNotMatch(json, /[\r\n]/);
  assert.equal((JSON.parse(json) as { structuredContent: unknown }).structuredContent, broken);
});

test("depth ends a call and nothing else", async (t) => {
  const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  const nested = () => {
    let value: unknown[] = [];
    for (let depth = 0; depth < 100_000; depth += 1) value = [value];
    return value;
  };
  const { link } = await linked(t, server().tool("deep", {}, nested).tool("any", { input: { a: z.json() } }, () => ""));
  link.call(1, "any", Buffer.from(`{"a":${deep(30_000)}}`));
  await link.failure(1);
  link.call(2, "deep");
  assert.equal((await link.failure(2)).kind, FailureKind.INTERNAL);
  link.call(3, "quick");
  assert.equal(await link.text(3), "quick");
});

test("half a character leaves as a whole one, and none comes in", async (t) => {
  const half = "\ud83d \\ud83d \ude00";
  const whole = "\ufffd \\ud83d \ufffd";
  const said = server()
    .tool("half", { output: z.string() }, () => half)
    .tool("fails", {}, (_, ctx) => {
      ctx.log("info", half);
      throw ToolError.protocol(-1, half, half);
    });
  const { link } = await linked(t, said);
  link.call(1, "half");
  const text = [{ type: "text", text: JSON.stringify(whole) }];
  assert.deepEqual(await link.result(1), { content: text, structuredContent: whole });
  link.call(2, "fails");
  assert.equal(link.json((await link.expect("log")).data), whole);
  const { message, data } = await link.failure(2);
  assert.deepEqual([message, link.json(data)], [whole, whole]);
  // A call whose target is no UTF-8, and so nothing that anybody offers.
  const call = [0x0a, 0x09, 0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0x2a, 0x02, 0xc3, 0x28];
  link.sendBytes(Buffer.from([0x12, call.length, ...call]));
  assert.equal((await link.expect("refused")).reason, RefusedReason.UNKNOWN_TARGET);
});

test("absurd numbers do no harm", async (t) => {
  const [most, mostOf32] = [2n ** 64n - 1n, 2 ** 32 - 1];
  const said = server().tool("left", {}, (_, ctx) => {
    ctx.progress(NaN, Infinity);
    return (ctx.timeLeftMs ?? 0) > 1;
  });
  const { hub } = await start(t, said);
  const link = await hub.welcome({ byteCredit: most, heartbeatMs: mostOf32, outcomeBytesMax: most });
  link.send({ $case: "grant", value: { bytes: most } });
  link.call(1, "left", {}, { timeLeftMs: most, attempt: mostOf32, wantsProgress: true });
  assert.equal(await link.text(1), "true");
  for (const capacity of [-1, 0, 1.5, NaN, 100_001, 2 ** 31]) {
    const worker = new Worker(hub.url, { capacity }).serve("acme", "tools", said);
    await assert.rejects(worker.runUntil(new AbortController().signal), /capacity/, String(capacity));
  }
});

async function frameOf(link: HubLink) {
  const frame = await link.next();
  return frame === "end" ? assert.fail("the link ended") : frame;
}

test("a flood of logs fills no link", async (t) => {
  const said = server().tool("flood", {}, (_, ctx) => {
    for (let line = 0; line < 10_000; line += 1) ctx.log("info", "AKIAIOSFODNN7EXAMPLE".repeat(10));
    return "done";
  });
  const { link } = await linked(t, said);
  link.call(1, "flood");
  let lines = 0;
  while ((await frameOf(link)).$case !== "outcome") lines += 1;
  assert.ok(lines > 100 && lines < 1_000, String(lines));
});

test("what a call says is in no log", async (t) => {
  const card = "4111111111111111";
  const said = server().tool("pay", { input: { card: z.string() } }, ({ card }, ctx) => {
    ctx.log("info", card);
    if (card.length > 16) throw new ToolError(card);
    return { content: [{ type: "text", text: card }], structuredContent: { card }, _meta: { card } };
  });
  const { link, logged, shutdown, ended } = await linked(t, said, { token: card });
  for (const args of [{ card }, { card: `${card}0` }, { card: Number(card) }, card]) {
    link.call(1, "pay", args);
    for (let frame; frame?.$case !== "outcome"; frame = await frameOf(link));
  }
  shutdown.abort();
  await link.ended();
  await ended;
  assert.doesNotMatch(logged.join("\n"), new RegExp(card));
});
