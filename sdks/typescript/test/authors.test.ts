// What an author's code does wrong harms its own call, and nothing else.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Server, ToolError } from "../src/index.js";
import { FailureKind } from "../src/wire/ostler/worker/v1/worker.js";
import { linked } from "./support/hub.js";

/** What no author should throw. */
const THROWN: Record<string, () => unknown> = {
  "a code that is too large": () => ToolError.protocol(5_000_000_000, "x"),
  "a code that is no integer": () => ToolError.protocol(1.5, "x"),
  "a message that is no text": () => ToolError.notFound({} as string),
  "a scope that is no text": () => ToolError.needsScope(7 as never),
  "a capability that nobody knows": () => ToolError.needsCapability("fly" as never),
  "a kind that nobody knows": () => new ToolError("x", { kind: 1.5 as never, message: "x" }),
  "more scopes than a frame holds": () => ToolError.needsScope(...Array.from({ length: 9_000 }, () => "x".repeat(40))),
  "no object": () => undefined,
  "an object that has no text": () => Object.create(null) as unknown,
  "an error that has no text": () =>
    Object.defineProperty(new Error("x"), "stack", {
      get() {
        throw new Error("no stack");
      },
    }),
};

for (const [what, make] of Object.entries(THROWN)) {
  test(`a handler that throws ${what} has a defect`, async (t) => {
    const server = new Server("tools", "1")
      .tool("quick", {}, () => "quick")
      .tool("now", {}, () => {
        throw make();
      })
      .tool("later", {}, async () => {
        await Promise.resolve();
        throw make();
      });
    const { link, logged } = await linked(t, server, { capacity: 1 });
    for (const tool of ["now", "later"]) {
      link.call(1, tool);
      assert.equal((await link.failure(1)).kind, FailureKind.INTERNAL);
      link.call(2, "quick");
      assert.equal(await link.text(2), "quick");
    }
    assert.equal(logged.filter((line) => line.includes("fail")).length, 2, logged.join("\n"));
  });
}

test("a log that throws ends nothing", async (t) => {
  const server = new Server("tools", "1").tool("fail", {}, () => {
    throw new Error("x");
  });
  for (const log of failing("the log")) {
    const { link } = await linked(t, server, { capacity: 1, log });
    for (let id = 1; id <= 2; id += 1) {
      link.call(id, "fail");
      assert.equal((await link.failure(id)).kind, FailureKind.INTERNAL);
    }
  }
});

test("a hook of watched resources that fails ends nothing", async (t) => {
  for (const hook of failing("the hook")) {
    const server = new Server("tools", "1").tool("quick", {}, () => "quick").watchable(hook);
    const { hub, clock, link, logged } = await linked(t, server);
    link.send({ $case: "watch", value: { server: 0, uri: "a:b" } });
    link.call(1, "quick");
    assert.equal(await link.text(1), "quick");
    link.cut();
    await clock.redial();
    await hub.welcome();
    assert.equal(logged.filter((line) => line.includes("the hook")).length, 2, "watched, and no more");
  }
});

test("work at the end of a call that fails takes nothing from its outcome", async (t) => {
  const done: string[] = [];
  const server = new Server("tools", "1").tool("work", {}, (_, ctx) => {
    failing("the work").forEach((work) => ctx.atEnd(work));
    ctx.atEnd(() => done.push("the rest"));
    return "here";
  });
  const { link, logged } = await linked(t, server, { capacity: 1 });
  for (let id = 1; id <= 2; id += 1) {
    link.call(id, "work");
    assert.equal(await link.text(id), "here");
  }
  assert.equal(logged.filter((line) => line.includes("the work")).length, 4);
  assert.equal(done.length, 2);
});

test("an entry that requires what nobody knows is refused where it is said", () => {
  const server = new Server("tools", "1");
  assert.throws(() => server.tool("t", { requires: ["fly" as never] }, () => ""), /fly/);
});

/** Now and later; TypeScript takes either for a function that returns nothing. */
function failing(why: string): (() => unknown)[] {
  return [
    () => {
      throw new Error(why);
    },
    () => Promise.reject(new Error(why)),
  ];
}
