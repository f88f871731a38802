import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { AskError, type Ctx, embedded, image, Server, text, ToolError, z } from "../src/index.js";
import { CallKind, FailureKind, RefusedReason } from "../src/wire/ostler/worker/v1/worker.js";
import { caller, callId, linked } from "./support/hub.js";

const forever = () => new Promise<never>(() => undefined);

const ERRORS: Record<string, () => unknown> = {
  failed: () => new ToolError("no luck"),
  params: () => ToolError.invalidParams("p"),
  missing: () => ToolError.notFound("m"),
  capability: () => ToolError.needsCapability("sample"),
  scope: () => ToolError.needsScope("a:b"),
  protocol: () => ToolError.protocol(-32050, "own", { a: 1 }),
  timedOut: () => ToolError.timedOut(),
  cancelled: () => ToolError.cancelled(),
  defect: () => new Error("password=hunter2"),
  ask: () => new AskError("timedOut", "nobody answered in time"),
};

function server(): Server {
  const pair = { a: z.int(), b: z.int() };
  return new Server("tools", "1")
    .tool("add", { input: pair }, ({ a, b }) => a + b)
    .tool("later", { input: pair }, async ({ a, b }) => Promise.resolve(a + b))
    .tool("swap", { input: pair, output: z.object(pair) }, ({ a, b }) => ({ a: b, b: a }))
    .tool("broken", { output: z.object(pair) }, () => ({ a: "x" }) as never)
    .tool("items", { output: { content: z.array(z.string()), total: z.number() } }, () => ({ content: [], total: 0 }))
    .tool("list", { output: { content: z.array(z.string()) } }, () => ({ content: [] }))
    .tool("by_hand", { output: z.object(pair) }, () => ({ content: [text("1, 2")], structuredContent: { a: 1, b: 2 } }))
    .tool("no_luck", { output: z.object(pair) }, () => ({ content: [text("no luck")], isError: true }))
    .tool("number", { output: z.number() }, () => 5)
    .tool("nothing", {}, () => undefined)
    .tool("loose", {}, () => ({ any: ["thing"] }))
    .tool("mixed", {}, () => [text("a"), image(Buffer.from("abc"), "image/png"), embedded({ uri: "a:b", text: "c" })])
    .tool("whole", {}, () => ({ content: [text("a")], structuredContent: { a: 1 }, isError: true, _meta: { "x.y/z": 1 } }))
    .tool("absent", {}, () => ({ content: [{ type: "resource", resource: { uri: "a:b", text: "c", blob: undefined } }], requestState: undefined }))
    .tool("complete", {}, () => ({ content: [text("a")], resultType: "complete" }))
    .tool("complete_by_hand", { output: z.object(pair) }, () => {
      const structuredContent = { a: 1, b: 2 };
      return { content: [text("1, 2")], structuredContent, resultType: "complete", requestState: undefined };
    })
    .tool("raw", { input: { type: "object" } }, (args) => JSON.stringify(args))
    .tool("fail", { input: { how: z.string() } }, ({ how }) => {
      throw ERRORS[how]?.();
    })
    .tool("fail_later", { input: { how: z.string() } }, async ({ how }) => {
      await Promise.resolve();
      throw ERRORS[how]?.();
    })
    .tool("report", {}, async (_, ctx) => {
      ctx.progress(1, 2, "half");
      ctx.log("warning", { a: 1 }, "me");
      await Promise.resolve();
      ctx.log("debug", "b");
      return "done";
    })
    .tool("wait", {}, async (_, ctx) => {
      await ctx.sleep(1 << 30);
    })
    .tool("clean_up", {}, async (_, ctx) => {
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
      return "cleaned up";
    })
    .tool("fetches", {}, (_, ctx) => new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")))))
    .tool("ignores", {}, forever)
    .tool("large", { input: { bytes: z.string() } }, ({ bytes }) => bytes + bytes)
    .tool("who", {}, who);
}

function who(_: unknown, ctx: Ctx): string {
  const { caller, client, trace, timeLeftMs, target, callId } = ctx;
  return JSON.stringify({ caller, client: [...client], trace, timeLeftMs, target, callId });
}

async function result(t: TestContext, tool: string, args: unknown = {}): Promise<unknown> {
  const { link } = await linked(t, server());
  link.call(1, tool, args);
  return link.result(1);
}

const said = (text: string) => ({ content: [{ type: "text", text }] });

test("a call that ends at once is one frame", async (t) => {
  assert.deepEqual(await result(t, "add", { a: 1, b: 2 }), said("3"));
});

test("a call that ends within its turn is one frame, too", async (t) => {
  assert.deepEqual(await result(t, "later", { a: 1, b: 2 }), said("3"));
});

test("a structured result says itself as text, too", async (t) => {
  const wanted = { ...said('{"a":2,"b":1}'), structuredContent: { a: 2, b: 1 } };
  assert.deepEqual(await result(t, "swap", { a: 1, b: 2 }), wanted);
  assert.deepEqual(await result(t, "number"), { ...said("5"), structuredContent: 5 });
});

test("an output that looks like a result is the output", async (t) => {
  const items = { content: [], total: 0 };
  assert.deepEqual(await result(t, "items"), { ...said(JSON.stringify(items)), structuredContent: items });
  assert.deepEqual(await result(t, "list"), { ...said('{"content":[]}'), structuredContent: { content: [] } });
  assert.deepEqual(await result(t, "by_hand"), { ...said("1, 2"), structuredContent: { a: 1, b: 2 } });
  assert.deepEqual(await result(t, "no_luck"), { ...said("no luck"), isError: true });
});

test("plain values and content become results", async (t) => {
  assert.deepEqual(await result(t, "nothing"), { content: [] });
  assert.deepEqual(await result(t, "loose"), said('{"any":["thing"]}'));
  const mixed = [
    { type: "text", text: "a" },
    { type: "image", data: "YWJj", mimeType: "image/png" },
    { type: "resource", resource: { uri: "a:b", text: "c" } },
  ];
  assert.deepEqual(await result(t, "mixed"), { content: mixed });
});

test("a result built by hand goes out as it is", async (t) => {
  const wanted = { ...said("a"), structuredContent: { a: 1 }, isError: true, _meta: { "x.y/z": 1 } };
  assert.deepEqual(await result(t, "whole"), wanted);
});

test("a result says what a node takes from it, and what is undefined is not there", async (t) => {
  const resource = { type: "resource", resource: { uri: "a:b", text: "c" } };
  assert.deepEqual(await result(t, "absent"), { content: [resource] });
  const resultType = "complete";
  assert.deepEqual(await result(t, "complete"), { ...said("a"), resultType });
  const structuredContent = { a: 1, b: 2 };
  assert.deepEqual(await result(t, "complete_by_hand"), { ...said("1, 2"), structuredContent, resultType });
});

test("arguments that do not fit are told to the model", async (t) => {
  const why = "invalid arguments: a: Invalid input: expected number, received string; b: Invalid input: expected number, received undefined";
  assert.deepEqual(await result(t, "add", { a: "x" }), { ...said(why), isError: true });
});

test("arguments of a tool with a raw schema come as they are", async (t) => {
  assert.deepEqual(await result(t, "raw", { any: [1] }), said('{"any":[1]}'));
});

test("garbage for arguments is told to the model", async (t) => {
  const { link } = await linked(t, server());
  for (const garbage of ["{", "[1]", "null", '"a"', "\xff\xfe", ""]) {
    link.call(1, "raw", Buffer.from(garbage, "latin1"));
    const { isError } = (await link.result(1)) as { isError: boolean };
    assert.equal(isError, true, garbage);
  }
});

test("every error keeps its kind", async (t) => {
  const { link } = await linked(t, server());
  const check = async (how: string, wanted: Record<string, unknown>) => {
    for (const tool of ["fail", "fail_later"]) {
      link.call(1, tool, { how });
      const { data, ...found } = await link.failure(1);
      const nothing = { message: "", code: 0, capabilities: [], scopes: [], data: "" };
      assert.deepEqual({ ...found, data: link.bytes(data).toString() }, { ...nothing, ...wanted });
    }
  };
  await check("params", { kind: FailureKind.INVALID_PARAMS, message: "p" });
  await check("missing", { kind: FailureKind.NOT_FOUND, message: "m" });
  await check("capability", { kind: FailureKind.NEEDS_CAPABILITY, message: "the client lacks sample", capabilities: [3] });
  await check("scope", { kind: FailureKind.NEEDS_SCOPE, message: "the caller lacks a:b", scopes: ["a:b"] });
  await check("protocol", { kind: FailureKind.PROTOCOL, message: "own", code: -32050, data: '{"a":1}' });
  await check("timedOut", { kind: FailureKind.TIMED_OUT, message: "timed out" });
});

test("a tool error and an unanswered question are texts for the model", async (t) => {
  assert.deepEqual(await result(t, "fail", { how: "failed" }), { ...said("no luck"), isError: true });
  assert.deepEqual(await result(t, "fail", { how: "ask" }), { ...said("nobody answered in time"), isError: true });
});

test("a defect is logged, and its text stays in the worker", async (t) => {
  const { link, logged } = await linked(t, server());
  for (const tool of ["fail", "fail_later"]) {
    link.call(1, tool, { how: "defect" });
    const { kind, message } = await link.failure(1);
    assert.deepEqual({ kind, message }, { kind: FailureKind.INTERNAL, message: "the handler failed" });
  }
  assert.equal(logged.filter((line) => line.includes("hunter2")).length, 2);
});

test("an end that nobody asked for is a defect, lest the node takes the worker for lost", async (t) => {
  const { link } = await linked(t, server());
  for (const tool of ["fail", "fail_later"]) {
    link.call(1, tool, { how: "cancelled" });
    assert.equal((await link.failure(1)).kind, FailureKind.INTERNAL);
  }
});

test("a result that breaks its own schema is a defect", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "broken");
  assert.equal((await link.failure(1)).kind, FailureKind.INTERNAL);
});

test("chatter arrives in order ahead of the outcome", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "report", {}, { wantsProgress: true });
  const progress = await link.expect("progress");
  assert.deepEqual([progress.progress, progress.total, progress.message], [1, 2, "half"]);
  const first = await link.expect("log");
  assert.deepEqual([first.level, first.logger, link.json(first.data)], [3, "me", { a: 1 }]);
  assert.equal(link.json((await link.expect("log")).data), "b");
  assert.equal(await link.text(1), "done");
});

test("progress that nobody wants is not sent", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "report");
  await link.expect("log");
});

test("a cancelled handler may end by itself", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "clean_up");
  await link.expect("started");
  link.send({ $case: "cancel", value: { call: callId(1), reason: "" } });
  assert.equal(await link.text(1), "cleaned up");
});

test("what an aborted handler throws is its end", async (t) => {
  const { link } = await linked(t, server());
  for (const tool of ["wait", "fetches"]) {
    link.call(1, tool);
    await link.expect("started");
    link.send({ $case: "cancel", value: { call: callId(1), reason: "" } });
    assert.equal((await link.failure(1)).kind, FailureKind.CANCELLED);
  }
});

test("a handler that ignores a cancel is left behind after a moment, and still counts", async (t) => {
  const { link, clock } = await linked(t, server(), { capacity: 1 });
  link.call(1, "ignores");
  await link.expect("started");
  link.send({ $case: "cancel", value: { call: callId(1), reason: "" } });
  await clock.armed(1000, 1000);
  clock.advance(1000);
  assert.equal((await link.failure(1)).kind, FailureKind.CANCELLED);
  link.call(2, "add", { a: 1, b: 1 });
  assert.equal((await link.expect("refused")).reason, RefusedReason.BUSY);
});

test("more calls than the capacity are refused as busy", async (t) => {
  const { link } = await linked(t, server(), { capacity: 1 });
  link.call(1, "wait");
  link.call(2, "add", { a: 1, b: 1 });
  assert.deepEqual(await link.expect("refused"), { call: callId(2), attempt: 1, reason: RefusedReason.BUSY });
});

test("an unknown target is refused", async (t) => {
  const { link } = await linked(t, server());
  const check = async (target: string, more: object) => {
    link.call(1, target, {}, more);
    assert.equal((await link.expect("refused")).reason, RefusedReason.UNKNOWN_TARGET);
  };
  await check("nosuch", {});
  await check("__proto__", {});
  await check("add", { server: 7 });
  await check("add", { kind: CallKind.PROMPT });
  await check("add", { kind: 99 as never });
  await check("{}", { kind: CallKind.COMPLETION });
});

test("payloads larger than a frame go both ways", async (t) => {
  const { link } = await linked(t, server());
  const bytes = "x".repeat(1 << 20);
  link.call(1, "large", { bytes });
  assert.equal(await link.text(1), bytes + bytes);
});

test("a small outcome overtakes a large one that waits for credit", async (t) => {
  const { link } = await linked(t, server());
  link.grants = false;
  link.call(1, "large", { bytes: "x".repeat(1 << 20) });
  link.call(2, "add", { a: 1, b: 1 });
  assert.equal(await link.text(2), "2");
  link.grants = true;
  link.send({ $case: "grant", value: { bytes: 1n << 19n } });
  assert.equal((await link.text(1)).length, 2 << 20);
});

test("a handler knows who calls and how long it may take", async (t) => {
  const { link } = await linked(t, server());
  const said = { tenant: "acme", issuer: "i", subject: "s", client: "c", scopes: ["x"], session: "1" };
  const [traceparent, tracestate] = ["00-1-2-01", "a=b"];
  link.call(1, "who", {}, { caller: caller(said), client: { capabilities: [1, 8, 99 as never] }, timeLeftMs: 5000n, traceparent, tracestate });
  assert.deepEqual(JSON.parse(await link.text(1)), {
    caller: said,
    client: ["elicitForm", "ui"],
    trace: { traceparent, tracestate },
    timeLeftMs: 5000,
    target: "who",
    callId: "fedcba98765432100000000000000001",
  });
});
