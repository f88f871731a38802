import assert from "node:assert/strict";
import { test } from "node:test";

import { answered, Ask, AskError, Server, Stranger, toolFailed, toolOutput, VISIT_ROUNDS_MAX, Visitors, z } from "../src/index.js";
import { AnswerFailure, FailureKind, QuestionKind } from "../src/wire/ostler/worker/v1/worker.js";
import { deferred } from "./support/deferred.js";
import { caller, callId, type HubLink, linked } from "./support/hub.js";

const Name = z.object({ name: z.string().min(1) });

const shown: { invitation?: string } = {};
const visitors = new Visitors<string>();

function server(done: Promise<string> = new Promise(() => undefined)): Server {
  return new Server("tools", "1")
    .tool("greet", {}, async (_, ctx) => {
      const asked = await ctx.elicit("name", "Who?", Name);
      return asked.action === "accept" ? `hello ${asked.content.name}` : asked.action;
    })
    .tool("raw", {}, async (_, ctx) => JSON.stringify(await ctx.elicit("k", "?", { type: "object", properties: { sure: { type: "boolean" } } })))
    .tool("url", {}, async (_, ctx) => (await ctx.elicitUrl("page", "Go", "https://x.test/")).action)
    .tool("joined", {}, async (_, ctx) => {
      const [form, roots] = await Promise.all([ctx.elicit("f", "?", Name), ctx.roots("r")]);
      return `${form.action} ${roots.length}`;
    })
    .tool("all", {}, async (_, ctx) => {
      const [form, said] = await ctx.askAll(Ask.form("f", "?", Name), Ask.sample("s", { messages: [], maxTokens: 1 }));
      const reason = said.status === "rejected" ? (said.reason as AskError).reason : said.value.text;
      return `${form.status === "fulfilled" ? form.value.action : form.status} ${reason}`;
    })
    .tool("twice", {}, async (_, ctx) => {
      const first = await ctx.roots("r");
      const second = await ctx.roots("r");
      return `${first.length}${second.length}`;
    })
    .tool("alike", {}, async (_, ctx) => {
      const asked = await Promise.all(["a", "a", "a-2", "a"].map((key) => ctx.roots(key)));
      return asked.map(({ length }) => length).join("");
    })
    .tool("talk", {}, async (_, ctx) => {
      const tools = [{ name: "add", inputSchema: { type: "object" } }, { name: "sub", inputSchema: { type: "object" } }];
      const params = { messages: [{ role: "user" as const, content: { type: "text" as const, text: "2+2?" } }], maxTokens: 9, tools };
      const said = await ctx.sample("s", params);
      const [use, other] = said.toolUses;
      if (use === undefined || other === undefined) return said.text;
      const outputs = [toolOutput(use, { type: "text", text: "4" }), toolFailed(other, "no such tool")];
      return (await ctx.sample("s", answered(params, said, outputs))).text;
    })
    .tool("bad", { input: { what: z.string() } }, ({ what }, ctx) => {
      switch (what) {
        case "key":
          return ctx.roots("");
        case "url":
          return ctx.elicitUrl("k", "Go", "javascript:alert(1)");
        case "message":
          return ctx.elicit("k", "", Name);
        default:
          return ctx.elicit("k", "?", z.object({ deep: z.object({ a: z.string() }) }));
      }
    })
    .tool("unawaited", {}, (_, ctx) => {
      void ctx.roots("r");
      return "done";
    })
    .tool("visit", {}, async (_, ctx) => {
      const visited = await ctx.visit({ key: "go", message: "Go", url: "https://x.test/" }, done);
      return visited.action === "accept" ? visited.content : visited.action;
    })
    .tool("invite", {}, async (_, ctx) => {
      const { state, visited } = visitors.invite(ctx);
      shown.invitation = state;
      const came = await ctx.visit({ key: "go", message: "Go", url: `https://x.test/?state=${state}` }, visited);
      return came.action === "accept" ? came.content : came.action;
    });
}

/** The questions of the next frame, by key. */
async function asked(link: HubLink): Promise<Record<string, unknown>> {
  const { questions } = await link.expect("ask");
  return Object.fromEntries(questions.map(({ key, params }) => [key, link.json(params)]));
}

async function begin(link: HubLink, id: number, tool: string, more: object = {}): Promise<void> {
  link.call(id, tool, {}, more);
  await link.expect("started");
}

test("a form is asked and answered", async (t) => {
  const { link } = await linked(t, server());
  const schema = { type: "object", properties: { name: { type: "string", minLength: 1 } }, required: ["name"] };
  const answers = { accept: "hello Ann", decline: "decline", cancel: "cancel" };
  for (const [action, wanted] of Object.entries(answers)) {
    await begin(link, 1, "greet");
    assert.deepEqual(await asked(link), { name: { mode: "form", message: "Who?", requestedSchema: schema } });
    link.answer(1, { name: { action, content: { name: "Ann" } } });
    assert.equal(await link.text(1), wanted);
  }
});

test("content that breaks the form is no answer", async (t) => {
  const { link } = await linked(t, server());
  await begin(link, 1, "greet");
  await asked(link);
  link.answer(1, { name: { action: "accept", content: { name: "" } } });
  assert.match(await link.text(1), /the answer does not fit the question: name/);
});

test("a raw form and a page are asked for, too", async (t) => {
  const { link } = await linked(t, server());
  await begin(link, 1, "raw");
  await asked(link);
  link.answer(1, { k: { action: "accept", content: { any: 1 } } });
  assert.equal(await link.text(1), '{"action":"accept","content":{"any":1}}');
  await begin(link, 2, "url");
  assert.deepEqual(await asked(link), { page: { mode: "url", message: "Go", url: "https://x.test/" } });
  link.answer(2, { page: { action: "accept" } });
  assert.equal(await link.text(2), "accept");
});

test("questions of one step travel together", async (t) => {
  const { link } = await linked(t, server());
  await begin(link, 1, "joined");
  const { questions } = await link.expect("ask");
  assert.deepEqual(questions.map(({ kind }) => kind), [QuestionKind.ELICIT_FORM, QuestionKind.ROOTS]);
  link.answer(1, { r: { roots: [{ uri: "file:///a" }] } });
  link.answer(1, { f: { action: "decline" } });
  assert.equal(await link.text(1), "decline 1");
});

test("a list of questions gives an answer to each", async (t) => {
  const { link } = await linked(t, server());
  await begin(link, 1, "all");
  await asked(link);
  const answer = { $case: "failure", value: AnswerFailure.REFUSED } as const;
  link.send({ $case: "answers", value: { call: callId(1), answers: [{ key: "s", answer }] } });
  link.answer(1, { f: { action: "cancel" } });
  assert.equal(await link.text(1), "cancel refused");
});

test("a key used twice gets a number", async (t) => {
  const { link } = await linked(t, server());
  await begin(link, 1, "twice");
  assert.deepEqual(Object.keys(await asked(link)), ["r"]);
  link.answer(1, { r: { roots: [] } });
  assert.deepEqual(Object.keys(await asked(link)), ["r-2"]);
  link.answer(1, { "r-2": { roots: [{ uri: "a:" }] } });
  assert.equal(await link.text(1), "01");
});

test("a key that looks like a used one with its number gets one of its own", async (t) => {
  const { link } = await linked(t, server());
  await begin(link, 1, "alike");
  assert.deepEqual(Object.keys(await asked(link)), ["a", "a-2", "a-2-2", "a-3"]);
  link.answer(1, { a: { roots: [] }, "a-2": { roots: [] }, "a-2-2": { roots: [{ uri: "file:///a" }] }, "a-3": { roots: [] } });
  assert.equal(await link.text(1), "0010");
});

test("an answer that came with the call is not asked for, unless it does not fit", async (t) => {
  const { link } = await linked(t, server());
  const known = (value: unknown) => ({ answers: [{ key: "name", answer: { $case: "value" as const, value: link.pack(value) } }] });
  link.call(1, "greet", {}, known({ action: "accept", content: { name: "Ann" } }));
  assert.equal(await link.text(1), "hello Ann");
  await begin(link, 2, "greet", known({ action: "accept", content: {} }));
  await asked(link);
  link.answer(2, { name: { action: "decline" } });
  assert.equal(await link.text(2), "decline");
});

test("an answer to a raw form that came with the call must fit it", async (t) => {
  const { link } = await linked(t, server());
  const value = link.pack({ action: "accept", content: { sure: "rm -rf" } });
  await begin(link, 1, "raw", { answers: [{ key: "k", answer: { $case: "value", value } }] });
  await asked(link);
  link.answer(1, { k: { action: "accept", content: { sure: true } } });
  assert.equal(await link.text(1), '{"action":"accept","content":{"sure":true}}');
});

test("a conversation with tools goes on with what they gave", async (t) => {
  const { link } = await linked(t, server());
  await begin(link, 1, "talk");
  await asked(link);
  const uses = [
    { type: "tool_use", id: "1", name: "add", input: {} },
    { type: "tool_use", id: "2", name: "sub", input: {} },
  ];
  link.answer(1, { s: { role: "assistant", model: "m", content: uses, stopReason: "toolUse" } });
  const again = (await asked(link))["s-2"] as { messages: { role: string; content: unknown }[] };
  assert.deepEqual(again.messages.map(({ role }) => role), ["user", "assistant", "user"]);
  assert.deepEqual(again.messages[2]?.content, [
    { type: "tool_result", toolUseId: "1", content: [{ type: "text", text: "4" }] },
    { type: "tool_result", toolUseId: "2", content: [{ type: "text", text: "no such tool" }], isError: true },
  ]);
  link.answer(1, { "s-2": { role: "assistant", model: "m", content: { type: "text", text: "4" } } });
  assert.equal(await link.text(1), "4");
});

test("every failed answer has its meaning", async (t) => {
  const { link } = await linked(t, server());
  const fail = async (value: AnswerFailure) => {
    await begin(link, 1, "greet");
    await asked(link);
    const answer = { $case: "failure", value } as const;
    link.send({ $case: "answers", value: { call: callId(1), answers: [{ key: "name", answer }] } });
  };
  await fail(AnswerFailure.UNSUPPORTED);
  const { kind, capabilities } = await link.failure(1);
  assert.deepEqual([kind, capabilities], [FailureKind.NEEDS_CAPABILITY, [1]]);
  await fail(AnswerFailure.REFUSED);
  assert.equal(await link.text(1), "the client refused to answer");
  await fail(AnswerFailure.TIMED_OUT);
  assert.equal(await link.text(1), "nobody answered in time");
  await fail(AnswerFailure.INVALID);
  assert.match(await link.text(1), /does not fit/);
});

test("a question that may not be asked fails in the worker", async (t) => {
  const { link } = await linked(t, server());
  for (const [what, why] of Object.entries({ key: /key/, url: /https/, message: /message/, form: /field deep/ })) {
    link.call(1, "bad", { what });
    assert.match(await link.text(1), why);
  }
});

test("a question that its handler does not wait for harms nobody", async (t) => {
  const { link } = await linked(t, server());
  link.call(1, "unawaited");
  assert.equal(await link.text(1), "done");
  await link.settled();
});

test("a cancel ends the wait for an answer", async (t) => {
  const { link } = await linked(t, server());
  await begin(link, 1, "greet");
  await asked(link);
  link.send({ $case: "cancel", value: { call: callId(1), reason: "" } });
  assert.equal((await link.failure(1)).kind, FailureKind.CANCELLED);
});

test("a cancel ends the wait for several answers, and is no answer", async (t) => {
  const { link, logged } = await linked(t, server());
  await begin(link, 1, "all");
  await asked(link);
  link.answer(1, { f: { action: "decline" } });
  link.send({ $case: "cancel", value: { call: callId(1), reason: "" } });
  assert.equal((await link.failure(1)).kind, FailureKind.CANCELLED);
  assert.deepEqual(logged.filter((line) => line.includes("failed")), []);
});

test("a visit is asked for again until the page is done, and then told", async (t) => {
  const page = deferred<string>();
  const { link, clock } = await linked(t, server(page.promise));
  await begin(link, 1, "visit");
  assert.deepEqual(Object.keys(await asked(link)), ["go"]);
  link.answer(1, { go: { action: "accept" } });
  await clock.armed(60_000, 60_000);
  clock.advance(60_000);
  assert.deepEqual(Object.keys(await asked(link)), ["go-2"]);
  link.answer(1, { "go-2": { action: "accept" } });
  await link.settled();
  page.resolve("done");
  assert.equal((await link.expect("visited")).key, "go");
  assert.equal((await link.expect("visited")).key, "go-2");
  assert.equal(await link.text(1), "done");
});

test("a page that is done ends the visit while the user is asked again", async (t) => {
  const page = deferred<string>();
  const { link, clock } = await linked(t, server(page.promise));
  await begin(link, 1, "visit");
  await asked(link);
  link.answer(1, { go: { action: "accept" } });
  await clock.armed(60_000, 60_000);
  clock.advance(60_000);
  await asked(link);
  page.resolve("done");
  await link.expect("visited");
  assert.equal(await link.text(1), "done");
});

test("who does not want to go ends the visit, and nobody is sent for ever", async (t) => {
  const { link, clock } = await linked(t, server());
  await begin(link, 1, "visit");
  await asked(link);
  link.answer(1, { go: { action: "decline" } });
  assert.equal(await link.text(1), "decline");
  await begin(link, 2, "visit");
  for (let round = 1; round <= VISIT_ROUNDS_MAX; round += 1) {
    const [key = ""] = Object.keys(await asked(link));
    link.answer(2, { [key]: { action: "accept" } });
    await clock.armed(60_000, 60_000);
    clock.advance(60_000);
  }
  assert.equal(await link.text(2), "nobody answered in time");
});

test("only who was invited is admitted, once, and while they are waited for", async (t) => {
  const { link } = await linked(t, server());
  const invited = caller({ tenant: "t", issuer: "i", subject: "s" });
  const admit = (subject: string) => visitors.admit(shown.invitation ?? "", (who) => who.subject === subject, "welcome");
  await begin(link, 1, "invite", { caller: invited });
  await asked(link);
  link.answer(1, { go: { action: "accept" } });
  await link.settled();
  assert.throws(() => admit("other"), Stranger);
  admit("s");
  assert.throws(() => admit("s"), Stranger);
  await link.expect("visited");
  assert.equal(await link.text(1), "welcome");
  await begin(link, 2, "invite", { caller: invited });
  await asked(link);
  link.answer(2, { go: { action: "cancel" } });
  assert.equal(await link.text(2), "cancel");
  assert.throws(() => admit("s"), Stranger);
});

