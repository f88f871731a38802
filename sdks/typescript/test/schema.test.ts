import assert from "node:assert/strict";
import { test } from "node:test";

import { AskError, type Ctx, Server, type ToolOptions, z } from "../src/index.js";
import { formSchema, inputSchema, type JsonObject, toSchema } from "../src/schema.js";

test("fields, zod types and JSON Schemas are inputs", () => {
  const wanted = { type: "object", properties: { a: { type: "number" } }, required: ["a"] };
  assert.deepEqual(inputSchema({ a: z.number() }).json, wanted);
  assert.deepEqual(inputSchema(z.object({ a: z.number() })).json, wanted);
  assert.deepEqual(inputSchema({}).json, { type: "object", properties: {} });
  const raw = { type: "object", $defs: { a: { $anchor: "a" } } };
  assert.deepEqual(inputSchema(raw), { json: raw, zod: undefined });
});

test("a default is optional going in and certain coming out", () => {
  const type = z.object({ a: z.number().default(1) });
  assert.equal(toSchema(type, "input").json["required"], undefined);
  assert.deepEqual(toSchema(type, "output").json["required"], ["a"]);
});

test("a union of objects is still an object at its root", () => {
  const { json } = inputSchema(z.union([z.object({ a: z.string() }), z.object({ b: z.string() })]));
  assert.equal(json["type"], "object");
});

function form(fields: Record<string, z.ZodType>): JsonObject {
  return formSchema(z.object(fields))["properties"] as JsonObject;
}

test("a form has every kind of field that forms know", () => {
  const fields = {
    text: z.string().min(1).max(9).describe("A text"),
    mail: z.email(),
    page: z.url(),
    day: z.iso.date(),
    odd: z.uuid(),
    count: z.int().min(1).max(5).default(2),
    any: z.int(),
    share: z.number(),
    sure: z.boolean().optional(),
    one: z.enum(["a", "b"]),
    titled: z.union([z.literal("x").meta({ title: "An x" }), z.literal("y").describe("A y"), z.literal("z")]),
    many: z.array(z.enum(["a", "b"])).min(1),
  };
  assert.deepEqual(form(fields), {
    text: { type: "string", minLength: 1, maxLength: 9, description: "A text" },
    mail: { type: "string", format: "email" },
    page: { type: "string", format: "uri" },
    day: { type: "string", format: "date" },
    odd: { type: "string" },
    count: { type: "integer", minimum: 1, maximum: 5, default: 2 },
    any: { type: "integer" },
    share: { type: "number" },
    sure: { type: "boolean" },
    one: { type: "string", enum: ["a", "b"] },
    titled: {
      type: "string",
      oneOf: [
        { const: "x", title: "An x" },
        { const: "y", title: "A y" },
        { const: "z", title: "z" },
      ],
    },
    many: { type: "array", minItems: 1, items: { type: "string", enum: ["a", "b"] } },
  });
  const { required } = formSchema(z.object(fields));
  assert.deepEqual(required, Object.keys(fields).filter((name) => name !== "count" && name !== "sure"));
});

test("what no form can show is refused with its name", () => {
  for (const bad of [z.object({}), z.array(z.string()), z.null(), z.union([z.string(), z.number()])]) {
    assert.throws(() => form({ deep: bad }), (error) => error instanceof AskError && /deep/.test(error.message));
  }
});

/** Checked by the compiler: what handlers get and give has the types of the schemas. */
export function types(server: Server, ctx: Ctx): void {
  server.tool("t", { input: { a: z.number(), b: z.string().optional() } }, ({ a, b }) => a.toFixed() + (b ?? ""));
  server.tool("t", { output: { n: z.number() } }, () => ({ n: 1 }));
  // @ts-expect-error: it is no number
  server.tool("t", { output: { n: z.number() } }, () => ({ n: "1" }));
  // @ts-expect-error: there is no b
  server.tool("t", { input: { a: z.number() } }, ({ b }) => String(b));
  server.tool("t", { input: { type: "object" } }, (args) => Object.keys(args));
  server.prompt("p", { args: { topic: z.string() } }, ({ topic }) => topic.trim());
  void ctx.elicit("k", "?", z.object({ n: z.number() })).then((asked) => asked.action === "accept" && asked.content.n.toFixed());
  const options: ToolOptions<{ a: z.ZodNumber }, undefined> = { input: { a: z.number() } };
  server.tool("t", options, ({ a }) => a);
}
