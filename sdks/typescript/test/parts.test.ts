import assert from "node:assert/strict";
import { test } from "node:test";

import { encode, Lanes } from "../src/runtime/lanes.js";
import { Outbox } from "../src/runtime/outbox.js";
import { Assembler, BadFrame, INLINE_BYTES_MAX, Packer, PART_BYTES_MAX, TooLarge } from "../src/runtime/transfer.js";
import { FromWorker } from "../src/wire/ostler/worker/v1/worker.js";
import { UriTemplate } from "../src/template.js";

const LIMITS = { payloadBytesMax: 1 << 20, openBytesMax: 1 << 20, openLengthMax: 4 };

function packer(): Packer {
  let number = 0n;
  return new Packer(() => (number += 1n));
}

const part = (transfer: bigint, bytes: number) => ({ transfer, data: Buffer.alloc(bytes, 7) });
const named = (transfer: bigint) => ({ inline: Buffer.alloc(0), transfer });

/** Sends payloads of these sizes in one frame; returns how many parts went ahead. */
function sent(sizes: number[]): number {
  const [out, assembler] = [packer(), new Assembler(LIMITS)];
  const all = sizes.map((size) => Buffer.alloc(size, 1));
  const payloads = all.map((bytes) => out.pack(bytes));
  assert.ok(payloads.reduce((sum, { inline }) => sum + inline.length, 0) <= INLINE_BYTES_MAX);
  let parts = 0;
  for (const transfer of out.transfers) {
    for (let part = transfer.nextPart(); part !== undefined; part = transfer.nextPart()) {
      assembler.add(part);
      parts += 1;
    }
  }
  payloads.forEach((payload, index) => assert.deepEqual(assembler.finish(payload), all[index]));
  return parts;
}

test("payloads arrive as they were sent", () => {
  assert.equal(sent([]), 0);
  assert.equal(sent([0, 1, PART_BYTES_MAX - 1]), 0);
  assert.equal(sent([PART_BYTES_MAX]), 0);
  assert.equal(sent([PART_BYTES_MAX + 1]), 2);
  assert.equal(sent([60_000, 60_000, 1 << 19]), 1 + 8);
});

test("a transfer beyond its limit holds no bytes and is refused", () => {
  const assembler = new Assembler(LIMITS);
  for (let count = 0; count < 40; count += 1) assembler.add(part(1n, PART_BYTES_MAX));
  assert.throws(() => assembler.finish(named(1n)), TooLarge);
  assert.throws(() => assembler.finish(named(1n)), BadFrame);
});

test("open transfers share one bound", () => {
  const assembler = new Assembler(LIMITS);
  for (let count = 0; count < 16; count += 1) assembler.add(part(1n, PART_BYTES_MAX));
  assembler.add(part(2n, 1));
  assert.throws(() => assembler.finish(named(2n)), TooLarge);
  assert.equal(assembler.finish(named(1n)).length, 1 << 20);
});

test("what breaks the protocol is told apart from what is too large", () => {
  const assembler = new Assembler(LIMITS);
  for (let number = 1n; number <= 4n; number += 1n) assembler.add(part(number, 1));
  assert.throws(() => assembler.add(part(5n, 1)), BadFrame);
  assert.throws(() => assembler.finish(named(9n)), BadFrame);
});

const frame = (bytes: number) => Buffer.alloc(bytes);

function lengths(lanes: Lanes): number[] {
  const found = [];
  for (let next = lanes.pop(); next !== undefined; next = lanes.pop()) found.push(next.length);
  return found;
}

test("control overtakes data and waits for no credit", () => {
  const lanes = new Lanes(100);
  lanes.pushData(frame(90), []);
  lanes.pushData(frame(20), []);
  lanes.pushControl(frame(1));
  assert.deepEqual(lengths(lanes), [1, 90]);
  lanes.pushControl(frame(2));
  assert.deepEqual(lengths(lanes), [2]);
  assert.equal(lanes.waitingBytes, 20);
  lanes.allow(10);
  assert.deepEqual(lengths(lanes), [20]);
  assert.ok(lanes.isEmpty);
});

test("what flow control does not count keeps its place and spends nothing", () => {
  const lanes = new Lanes(100);
  lanes.pushData(frame(60), []);
  lanes.pushData(frame(70), [], 0);
  lanes.pushData(frame(40), []);
  lanes.pushData(frame(30), [], 0);
  lanes.pushData(frame(20), []);
  assert.equal(lanes.waitingBytes, 220);
  assert.deepEqual(lengths(lanes), [60, 70, 40, 30]);
  lanes.allow(20);
  assert.deepEqual(lengths(lanes), [20]);
  assert.equal(lanes.waitingBytes, 0);
});

test("visits that are told do not use up a link", async () => {
  let left = 0;
  const outbox: Outbox = new Outbox(() => {
    const write = () => ((left += 1), true);
    return { write, end: () => undefined, destroy: () => undefined };
  });
  outbox.welcomed(1n << 19n, 0);
  const call = { hi: 0n, lo: 1n };
  for (let count = 0; count < 3_000; count += 1) {
    outbox.send(() => ({ $case: "visited", value: { call, attempt: 1, key: "k".repeat(256) } }));
  }
  outbox.send(() => ({ $case: "started", value: { call, attempt: 1 } }));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([left, outbox.waitingBytes], [3_001, 0]);
});

test("large payloads leave half of the allowance to small frames", () => {
  const lanes = new Lanes(1 << 19);
  const out = packer();
  out.pack(Buffer.alloc(1 << 20));
  lanes.pushData(frame(50), out.transfers);
  const first = lengths(lanes);
  assert.equal(first.length, 3, "four parts would touch the other half");
  lanes.pushData(frame(60), []);
  assert.deepEqual(lengths(lanes), [60]);
  let rest = 0;
  while (!lanes.isEmpty) {
    lanes.allow(1 << 19);
    rest += lengths(lanes).length;
  }
  assert.equal(first.length + rest, 16 + 1);
  assert.equal(lanes.waitingBytes, 0);
});

test("large payloads take turns", () => {
  const lanes = new Lanes(1 << 22);
  let number = 0n;
  for (let count = 0; count < 2; count += 1) {
    const out = new Packer(() => (number += 1n));
    out.pack(Buffer.alloc(PART_BYTES_MAX * 2));
    lanes.pushData(encode({ $case: "leaving", value: {} }), out.transfers);
  }
  const order = [];
  for (let next = lanes.pop(); next !== undefined; next = lanes.pop()) {
    const { frame } = FromWorker.decode(next);
    order.push(frame?.$case === "part" ? frame.value.transfer : frame?.$case);
  }
  assert.deepEqual(order, [1n, 2n, 1n, 2n, "leaving", "leaving"]);
});

test("a uri gives its variables back, and what does not follow the template does not match", () => {
  const check = (template: string, uri: string, wanted: Record<string, string> | undefined) =>
    assert.deepEqual(new UriTemplate(template).variables(uri), wanted, `${template} ${uri}`);
  const template = "test://template/{id}/data";
  check(template, "test://template/123/data", { id: "123" });
  check(template, "test://template/a%20b/data", { id: "a b" });
  check("x:{a}-{b}", "x:1-2", { a: "1", b: "2" });
  check("file:///{+path}", "file:///a/b", { path: "a/b" });
  check("x:{open", "x:{open", {});
  for (const bad of ["/", "1/2/", "%f/", "%ff/"]) check(template, `test://template/${bad}data`, undefined);
  check(template, "other://template/1/data", undefined);
});
