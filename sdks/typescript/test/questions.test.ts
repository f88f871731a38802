// Which questions may be asked, and which answers fit: the vectors of `crates/protocol/src/ask`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Ask, AskError, type JsonObject, type SampleParams, z } from "../src/index.js";

/** Why a question is refused, or nothing. */
function refused(make: () => unknown): string {
  try {
    make();
    return "";
  } catch (error) {
    assert.ok(error instanceof AskError, String(error));
    assert.equal(error.reason, "badQuestion");
    return error.message;
  }
}

const form = (schema: unknown, message = "m") => refused(() => Ask.form("k", message, schema as JsonObject));
const page = (url: string, message = "m") => refused(() => Ask.url("k", message, url));
const field = (described: unknown) => ({ type: "object", properties: { f: described } });

const said = (role: string, text: string) => ({ role, content: { type: "text", text } });
const sample = (more: object) =>
  refused(() => Ask.sample("k", { messages: [said("user", "hi")], maxTokens: 10, ...more } as SampleParams));

const PERSON = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name"],
};

test("good questions pass", () => {
  assert.equal(form(PERSON), "");
  assert.equal(page("https://x.example/a?b"), "");
  assert.equal(sample({}), "");
});

test("a key has a bounded length", () => {
  const why = "the key must have 1 to 256 bytes";
  for (const [length, wanted] of [[0, why], [1, ""], [256, ""], [257, why]] as const) {
    assert.equal(refused(() => Ask.roots("k".repeat(length))), wanted);
  }
});

test("nothing is hidden from whoever is asked", () => {
  assert.equal(form(PERSON, "m".repeat(20 << 10)), "`message` is longer than 16384 bytes");
  assert.equal(form(PERSON, 7 as never), "`message` must be a string");
  assert.equal(form(PERSON, ""), "`message` is empty");
  const hidden = "a\u202Eb";
  assert.equal(form(PERSON, hidden), "`message` holds the character U+202E");
  assert.equal(page("https://x.example", hidden), "`message` holds the character U+202E");
  for (const [bad, code] of [["\x1b[31m", "001B"], ["a\0", "0000"], ["\u{E0041}", "E0041"], ["\u2067", "2067"], ["\x7f", "007F"], ["\x85", "0085"]]) {
    assert.equal(form(PERSON, bad), `\`message\` holds the character U+${code}`);
  }
  for (const good of ["two\nlines\tand a tab", "Größe, 日本語, 👩‍🚀", "<!-- shown as is -->"]) assert.equal(form(PERSON, good), "");
  assert.equal(form(field({ type: "string", title: hidden })), "`requestedSchema`: title holds the character U+202E");
  assert.equal(form(field({ type: "string", enum: [hidden] })), "`requestedSchema`: holds the character U+202E");
  assert.equal(form({ type: "object", properties: { "\u202E": { type: "string" } } }), "`requestedSchema`: holds the character U+202E");
  const described = z.object({ a: z.string().describe(hidden) });
  assert.equal(refused(() => Ask.form("k", "m", described)), "`requestedSchema`: description holds the character U+202E");
  assert.equal(sample({ messages: [said("user", "\x1b[31m")] }), "");
});

test("only safe web addresses can be opened", () => {
  const good = ["https://x.example", "https://x.example:8443/a?b=c#d", "https://xn--bcher-kva.example/", "https://[2001:db8::1]/"];
  const here = ["http://localhost:3000/", "http://127.0.0.1/a", "http://[::1]:80"];
  for (const url of [...good, ...here]) assert.equal(page(url), "", url);
  const bad: Record<string, string[]> = {
    "`url` must be an absolute https URL": ["", "x", "javascript:alert(1)", "file:///etc/passwd", "HTTPS://x.example"],
    "`url` must name a host": [
      ...["https://", "https:///path", "https://:443", "https://[::1", "https://x.example:port", "https://a%2eb"],
      ...["https://x.example:443:1", "https://x.example:", "https://x.example:65536", "https://[fe80::1%251]/", "https://[1]/"],
    ],
    "`url` must have no characters but those of RFC 3986; encode them": [
      ...["https://a b", "https://a\nb", "https://a\x7f", "https://bücher.example", "https://evil.example\\@good.example"],
      ...['https://x.example/"onclick=', "https://x.example/<b>", "https://x.example/`id`", "https://x.example/{a|b}^"],
      ...[" https://x.example", "https://x.example\n"],
    ],
    "`url` must not carry credentials": ["https://user:secret@x.example", "https://good.example@evil.example/"],
    "`url` must be https, except on this machine": ["http://x.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example"],
    "`url` is longer than 4096 bytes": [`https://x.example/${"a".repeat(4 << 10)}`],
  };
  for (const [why, urls] of Object.entries(bad)) for (const url of urls) assert.equal(page(url), why, url);
});

test("richer fields are refused with a reason", () => {
  const kinds = "field `f`: `type` must be string, number, integer, boolean, or array of an enum";
  const vectors: [unknown, string][] = [
    [{ type: "object" }, kinds],
    [{ type: ["string", "null"] }, kinds],
    [{ $ref: "#/$defs/a" }, kinds],
    [{ type: "string", pattern: "a" }, "field `f`: `pattern` is not allowed on a string of a form"],
    [{ type: "string", format: "ipv4" }, "field `f`: `format` must be email, uri, date or date-time"],
    [{ type: "string", minLength: -1 }, "field `f`: `minLength` must be a non-negative integer"],
    [{ type: "number", multipleOf: 2 }, "field `f`: `multipleOf` is not allowed on a number of a form"],
    [{ type: "number", minimum: "1" }, "field `f`: `minimum` must be a number"],
    [{ type: "boolean", enum: [true] }, "field `f`: `enum` is not allowed on a boolean of a form"],
    [{ type: "array", items: { type: "string" } }, "field `f`: `items` must have either `enum` or `anyOf`"],
    [{ type: "array", items: { enum: ["a"] } }, 'field `f`: `items.type` must be "string"'],
    [{ type: "array", items: { type: "string", enum: [1] } }, "field `f`: `items.enum` must be an array of strings"],
    [{ type: "string", enum: [] }, "field `f`: an enum needs a value"],
    [{ type: "string", enum: ["a"], oneOf: [] }, "field `f`: an enum has either `enum` or `oneOf`"],
    [{ type: "string", enum: ["a"], enumNames: [] }, "field `f`: `enumNames` must name each value of `enum`"],
    [{ type: "string", oneOf: [{ const: "a", title: "A" }], enumNames: ["A"] }, "field `f`: `enumNames` is not allowed on a titled enum of a form"],
    [{ type: "string", oneOf: [{ const: "a" }] }, "field `f`: `oneOf` must be an array of {const, title}"],
    [{ type: "integer", default: "x" }, "field `f`: `default` must be a number"],
    [{ type: "string", enum: ["a"], default: "b" }, "field `f`: `default` must be one of a"],
    [true, "field `f`: must be described by an object"],
  ];
  for (const [described, why] of vectors) assert.equal(form(field(described)), why);
});

test("richer forms are refused with a reason", () => {
  const fields = Object.fromEntries(Array.from({ length: 257 }, (_, at) => [`f${at}`, { type: "string" }]));
  const vectors: [unknown, string][] = [
    [undefined, "`requestedSchema` must be an object"],
    [[], "`requestedSchema` must be an object"],
    [{ type: "array" }, '`requestedSchema.type` must be "object"'],
    [{ type: "object" }, "`requestedSchema.properties` must be an object"],
    [{ type: "object", properties: {}, $defs: {} }, "`$defs` is not allowed on requestedSchema of a form"],
    [{ type: "object", properties: {}, required: ["a"] }, "required field `a` is not described"],
    [{ type: "object", properties: {}, required: ["toString"] }, "required field `toString` is not described"],
    [{ type: "object", properties: {}, required: "a" }, "`requestedSchema.required` must be an array of strings"],
    [{ type: "object", properties: fields }, "more than 256 fields"],
  ];
  for (const [schema, why] of vectors) assert.equal(form(schema), why);
});

/** Why the content of an accepted form does not fit, or nothing. */
function unfit(schema: JsonObject, content: unknown): string {
  try {
    const answered = Ask.form("k", "m", schema).read({ action: "accept", content });
    assert.deepEqual(answered, { action: "accept", content: content ?? {} });
    return "";
  } catch (error) {
    assert.ok(error instanceof AskError && error.reason === "invalid", String(error));
    return error.message.replace("the answer does not fit the question: ", "");
  }
}

test("each kind of field takes its values only", () => {
  const titled = [{ const: "a", title: "A" }];
  const vectors: [JsonObject, unknown[], unknown[]][] = [
    [{ type: "string", minLength: 2, maxLength: 3, format: "email" }, ["äö", "abc", "👩👩👩"], ["ä", "abcd", 12, null]],
    [{ type: "number", minimum: 0.5, maximum: 2 }, [0.5, 2], [0.4, 2.1, "1"]],
    [{ type: "integer", maximum: 2 ** 53 }, [2 ** 53, 42.0, -1], [2 ** 53 + 2, 1.5, true]],
    [{ type: "boolean" }, [true, false], ["true", 0]],
    [{ type: "string", enum: ["a", "b"], enumNames: ["A", "B"] }, ["a"], ["c", "A", ["a"]]],
    [{ type: "string", oneOf: titled }, ["a"], ["A"]],
    [{ type: "array", items: { type: "string", enum: ["a", "b"] }, minItems: 1, maxItems: 2 }, [["a"], ["a", "b"]], [[], ["a", "b", "a"], ["c"], "a"]],
    [{ type: "array", items: { anyOf: titled } }, [[], ["a"]], [["A"], [1]]],
  ];
  for (const [described, good, bad] of vectors) {
    for (const f of good) assert.equal(unfit(field(described), { f }), "", JSON.stringify([described, f]));
    for (const f of bad) assert.match(unfit(field(described), { f }), /^field `f` must/, JSON.stringify([described, f]));
  }
});

test("an accepted form fits its schema", () => {
  assert.equal(unfit(PERSON, { name: "Ann", age: 42 }), "");
  assert.equal(unfit(PERSON, { name: "Ann", extra: [1] }), "");
  assert.equal(unfit(PERSON, {}), "field `name` is missing");
  assert.equal(unfit(PERSON, undefined), "field `name` is missing");
  assert.equal(unfit(PERSON, []), "`content` must be an object");
  assert.equal(unfit(PERSON, { name: "Ann", age: 1.5 }), "field `age` must be an integer");
});

test("bad sampling is refused", () => {
  const tokens = "`maxTokens` must be a positive integer";
  for (const maxTokens of [undefined, 0, 1.5, NaN]) assert.equal(sample({ maxTokens }), tokens);
  assert.equal(sample({ messages: undefined }), "`messages` must be an array");
  assert.equal(sample({ messages: Array.from({ length: 10_001 }, () => said("user", "")) }), "more than 10000 messages");
  assert.equal(sample({ messages: [said("system", "x")] }), 'messages[0]: `role` must be "user" or "assistant"');
  assert.equal(sample({ messages: [{ role: "user" }] }), "messages[0]: `content` is missing");
  const tools = "`tools` must be an array of {name, inputSchema}";
  for (const bad of [{}, [{ name: "t" }], null]) assert.equal(sample({ tools: bad }), tools);
  const mode = "`toolChoice.mode` must be auto, required or none";
  for (const toolChoice of [{ mode: "any" }, "auto"]) assert.equal(sample({ toolChoice }), mode);
  assert.equal(sample({ includeContext: "all" }), "`includeContext` must be none, thisServer or allServers");
  const video = sample({ messages: [{ role: "user", content: { type: "video" } }] });
  assert.equal(video, "messages[0]: `content` must be text, image, audio, tool_use or tool_result");
  const image = sample({ messages: [{ role: "user", content: [{ type: "image", data: "" }] }] });
  assert.equal(image, "messages[0]: `mimeType` of a image must be a string");
});

test("only the assistant uses tools and only the user gives results", () => {
  const one = (role: string, block: object) => sample({ messages: [{ role, content: [block] }] });
  const asks = { type: "tool_use", id: "a", name: "t", input: {} };
  assert.equal(one("user", asks), "messages[0]: only the assistant uses tools");
  assert.equal(one("assistant", { ...asks, input: null }), "messages[0]: `input` of a tool_use must be an object");
  const gives = { type: "tool_result", toolUseId: "a", content: [] };
  assert.equal(one("assistant", gives), "messages[0]: only the user gives tool results");
  assert.equal(one("user", { ...gives, content: "x" }), "messages[0]: `content` of a tool_result must be an array");
});

test("each tool use is answered by the next message", () => {
  const use = (id: string) => ({ type: "tool_use", id, name: "t", input: {} });
  const asks = { role: "assistant", content: [{ type: "text", text: "let me see" }, use("a"), use("b")] };
  const answer = (...ids: string[]) => {
    const content: object[] = ids.map((toolUseId) => ({ type: "tool_result", toolUseId, content: [] }));
    return { role: "user", content };
  };
  const must = "messages[1]: must answer each tool_use of the message before, and only those";
  assert.equal(sample({ messages: [asks, answer("b", "a")] }), "");
  assert.equal(sample({ messages: [asks, answer("a")] }), must);
  assert.equal(sample({ messages: [asks, answer("a", "b", "c")] }), must);
  assert.equal(sample({ messages: [asks, said("user", "hm")] }), must);
  assert.equal(sample({ messages: [asks] }), "the last tool_use is not answered");
  const mixed = answer("a", "b");
  mixed.content.push({ type: "text", text: "x" });
  assert.equal(sample({ messages: [asks, mixed] }), "messages[1]: tool_results stand alone");
});
