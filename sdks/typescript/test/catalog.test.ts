import assert from "node:assert/strict";
import { test } from "node:test";

import { Server, ToolError, z } from "../src/index.js";
import { CallKind, Catalog } from "../src/wire/ostler/worker/v1/worker.js";
import { type HubLink, linked, start } from "./support/hub.js";

function json(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes).toString());
}

function server(): Server {
  return new Server("tools", "1")
    .about({ title: "Tools" })
    .instructions("Be kind.")
    .prompt("write", { description: "Writes.", args: { topic: z.string().describe("What about"), mood: z.string().optional() } }, ({ topic, mood }) => `${topic} ${mood}`)
    .prompt("talk", {}, () => [{ role: "assistant", content: { type: "text", text: "hi" } }, "and you?"] as never)
    .resource("note:a", { name: "a", mimeType: "text/plain", size: 1 }, () => "text")
    .resource("note:b", { name: "b" }, () => Buffer.from("abc"))
    .resource("note:c", { name: "c", mimeType: "a/b" }, () => [{ uri: "note:c1", text: "1" }, { uri: "note:c2", mimeType: "x/y", blob: "" }])
    .resource("note:d", { name: "d", mimeType: "a/b" }, () => ({ uri: "note:d", text: "1", blob: undefined, mimeType: undefined }) as never)
    .resource("note:gone", { name: "gone" }, () => {
      throw ToolError.notFound("gone");
    })
    .template("item://{id}/data", { name: "item", mimeType: "text/plain" }, ({ id }, ctx) => `${id} ${ctx.target}`)
    .completion(({ reference, argument, value, context }) =>
      value === "many" ? Array.from({ length: 101 }, (_, n) => String(n)) : [JSON.stringify({ reference, argument, value, context })],
    )
    .watchable();
}

async function read(link: HubLink, kind: CallKind, target: string, args: unknown = {}): Promise<unknown> {
  link.call(1, target, args, { kind });
  return link.result(1);
}

test("the catalog says what is offered and declared", async (t) => {
  const said = new Server("n", "v").about({ title: "N" }).instructions("i").tool(
    "t",
    {
      title: "T",
      description: "d",
      input: { a: z.number().optional() },
      output: { b: z.string() },
      annotations: { readOnlyHint: true },
      icons: [{ src: "https://x.test/i.png" }],
      meta: { "x.y/z": 1 },
      ui: "ui://t",
      requires: ["sample"],
      scopes: ["a:b"],
      idempotent: true,
      replaySafe: true,
      timeoutMs: 1500,
      task: "required",
      unlisted: true,
    },
    () => ({ b: "" }),
  );
  const { hub } = await start(t, said);
  const link = await hub.link();
  const catalog = Catalog.decode(link.bytes(link.hello.servers[0]?.catalog));
  assert.deepEqual(json(catalog.serverInfo), { name: "n", version: "v", title: "N" });
  assert.deepEqual([catalog.instructions, catalog.completions, catalog.logging, catalog.resourceWatch], ["i", false, true, false]);
  const [tool] = catalog.tools;
  assert.deepEqual(json(tool?.definition ?? Buffer.alloc(0)), {
    name: "t",
    inputSchema: { type: "object", properties: { a: { type: "number" } } },
    outputSchema: { type: "object", properties: { b: { type: "string" } }, required: ["b"], additionalProperties: false },
    annotations: { readOnlyHint: true },
    title: "T",
    description: "d",
    icons: [{ src: "https://x.test/i.png" }],
    _meta: { "x.y/z": 1, ui: { resourceUri: "ui://t" } },
  });
  assert.deepEqual(tool?.declarations, {
    requires: [3],
    scopes: ["a:b"],
    idempotent: true,
    replaySafe: true,
    timeoutMs: 1500n,
    task: 2,
    unlisted: true,
  });
});

test("prompts give messages, and refuse arguments that do not fit", async (t) => {
  const { hub } = await start(t, server());
  const link = await hub.welcome();
  const { prompts } = Catalog.decode(link.bytes(link.hello.servers[0]?.catalog));
  const wanted = [{ name: "topic", required: true, description: "What about" }, { name: "mood", required: false }];
  assert.deepEqual(json(prompts[0]?.definition ?? Buffer.alloc(0)), { name: "write", arguments: wanted, description: "Writes." });
  const text = (role: string, text: string) => ({ role, content: { type: "text", text } });
  assert.deepEqual(await read(link, CallKind.PROMPT, "write", { topic: "t", mood: "m" }), { messages: [text("user", "t m")] });
  assert.deepEqual(await read(link, CallKind.PROMPT, "talk"), { messages: [text("assistant", "hi"), text("user", "and you?")] });
  link.call(1, "write", {}, { kind: CallKind.PROMPT });
  assert.match((await link.failure(1)).message, /topic/);
});

test("resources give text or bytes", async (t) => {
  const { link } = await linked(t, server());
  const check = async (uri: string, ...contents: object[]) => {
    assert.deepEqual(await read(link, CallKind.RESOURCE, uri), { contents });
  };
  await check("note:a", { uri: "note:a", mimeType: "text/plain", text: "text" });
  await check("note:b", { uri: "note:b", blob: "YWJj" });
  await check("note:c", { uri: "note:c1", mimeType: "a/b", text: "1" }, { uri: "note:c2", mimeType: "x/y", blob: "" });
  await check("note:d", { uri: "note:d", mimeType: "a/b", text: "1" });
  const uri = "item://a%20b/data";
  await check(uri, { uri, mimeType: "text/plain", text: `a b ${uri}` });
  link.call(1, "note:gone", {}, { kind: CallKind.RESOURCE });
  assert.equal((await link.failure(1)).message, "gone");
});

test("completions give values, a hundred at most", async (t) => {
  const { link } = await linked(t, server());
  const reference = { type: "ref/prompt", name: "write" };
  const target = JSON.stringify(reference);
  const complete = async (value: string) => {
    const args = { argument: { name: "topic", value }, context: { arguments: { mood: "m" } } };
    return ((await read(link, CallKind.COMPLETION, target, args)) as { completion: Record<string, unknown> }).completion;
  };
  const values = [JSON.stringify({ reference, argument: "topic", value: "a", context: { mood: "m" } })];
  assert.deepEqual(await complete("a"), { total: 1, hasMore: false, values });
  const many = await complete("many");
  assert.deepEqual([many["total"], many["hasMore"], (many["values"] as string[]).length], [101, true, 100]);
});

test("changes of one turn are one new catalog, and refusals are logged", async (t) => {
  const said = server();
  const { link, logged } = await linked(t, said);
  said.tool("a", {}, () => 1).tool("b", {}, () => 2);
  assert.equal(said.removePrompt("write"), true);
  assert.equal(said.removePrompt("write"), false);
  const { server: index, catalog } = await link.expect("catalogChanged");
  const { tools, prompts } = Catalog.decode(link.bytes(catalog));
  assert.deepEqual([index, tools.length, prompts.length], [0, 2, 1]);
  link.send({ $case: "catalogTaken", value: { server: 0, refusals: [{ server: 0, kind: "tool", name: "a", reason: "odd" }] } });
  await link.settled();
  assert.match(logged.join("\n"), /did not take an entry.* tool a odd/);
});

test("a change between hello and welcome is told", async (t) => {
  const said = server();
  const { hub } = await start(t, said);
  const link = await hub.link();
  said.tool("a", {}, () => 1);
  link.welcome();
  await link.expect("catalogChanged");
});

test("updates reach those who watch, and the author learns who does", async (t) => {
  const seen: [string, boolean][] = [];
  const said = server().watchable((uri, isWatched) => seen.push([uri, isWatched]));
  const { link, hub, clock } = await linked(t, said);
  said.resourceUpdated("note:a");
  link.send({ $case: "watch", value: { server: 0, uri: "note:a" } });
  link.send({ $case: "watch", value: { server: 0, uri: "note:a" } });
  link.send({ $case: "watch", value: { server: 0, uri: "note:b" } });
  await link.settled();
  assert.equal(said.isWatched("note:a"), true);
  said.resourceUpdated("note:a");
  assert.deepEqual(await link.expect("resourceUpdated"), { server: 0, uri: "note:a" });
  link.send({ $case: "unwatch", value: { server: 0, uri: "note:a" } });
  await link.settled();
  said.resourceUpdated("note:a");
  link.cut();
  await clock.redial();
  await (await hub.welcome()).settled();
  assert.deepEqual(seen, [["note:a", true], ["note:b", true], ["note:a", false], ["note:b", false]]);
});

test("a skill brings its files along and takes them away", async (t) => {
  const skill = {
    name: "pdf",
    description: 'Fills in "forms".',
    instructions: "# How\n",
    frontmatter: { metadata: { level: 2 }, "a: b": 1, No: 2, "allowed-tools": 3 },
    files: { "scripts/a.py": { mimeType: "text/x-python", content: "abc" } },
  };
  const said = new Server("n", "v").skill(skill);
  const { hub } = await start(t, said);
  const link = await hub.welcome();
  const { skills, resources } = Catalog.decode(link.bytes(link.hello.servers[0]?.catalog));
  const text = '---\nname: "pdf"\ndescription: "Fills in \\"forms\\"."\nmetadata: {"level":2}\n"a: b": 1\n"No": 2\nallowed-tools: 3\n---\n\n# How\n';
  const manifest = { uri: "skill://pdf/SKILL.md", mimeType: "text/markdown", text };
  assert.deepEqual(await read(link, CallKind.RESOURCE, "skill://pdf/SKILL.md"), { contents: [manifest] });
  const entry = json(skills[0]?.definition ?? Buffer.alloc(0)) as { uri: string; resources: unknown[] };
  const digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assert.deepEqual(entry.resources[1], { uri: "skill://pdf/scripts/a.py", digest, size: 3 });
  assert.deepEqual(resources.map(({ declarations }) => declarations?.unlisted), [false, true]);
  assert.equal(said.removeSkill("pdf"), true);
  const { catalog } = await link.expect("catalogChanged");
  assert.deepEqual(Catalog.decode(link.bytes(catalog)).resources, []);
});

test("the page of an app is found, and in no list", async (t) => {
  const { hub } = await start(t, new Server("n", "v").ui("ui://page", { name: "page" }, () => "<p>"));
  const link = await hub.welcome();
  const [page] = Catalog.decode(link.bytes(link.hello.servers[0]?.catalog)).resources;
  assert.equal(page?.declarations?.unlisted, true);
  const contents = [{ uri: "ui://page", mimeType: "text/html;profile=mcp-app", text: "<p>" }];
  assert.deepEqual(await read(link, CallKind.RESOURCE, "ui://page"), { contents });
});

test("a catalog larger than a frame goes ahead of the hello", async (t) => {
  const said = new Server("n", "v");
  for (let n = 0; n < 200; n += 1) said.tool(`t${n}`, { description: "x".repeat(10_000) }, () => n);
  const { hub } = await start(t, said);
  const link = await hub.welcome();
  assert.equal(Catalog.decode(link.bytes(link.hello.servers[0]?.catalog)).tools.length, 200);
  link.call(1, "t7");
  assert.equal(await link.text(1), "7");
});
