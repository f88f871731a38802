// A node that breaks the protocol: its link ends, nothing else does.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";

import { Server, ToolError, Worker, z } from "../src/index.js";
import { CallKind, FailureKind } from "../src/wire/ostler/worker/v1/worker.js";
import { callId, type HubLink, linked, start } from "./support/hub.js";

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
  assert.match(logged.join("\n"), /goes on calling/);
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
