// JSON Schemas made of zod types.

import { z } from "zod";

import { AskError } from "./error.js";

export type JsonObject = { [key: string]: unknown };

/** The fields of an object, each with its zod type. */
export type Shape = Record<string, z.ZodType>;

/** What a schema may be given as: fields, a zod type, or JSON Schema, which is not checked here. */
export type SchemaLike = Shape | z.ZodType | JsonObject;

/** The value that a schema stands for. */
export type ValueOf<S> = S extends z.ZodType
  ? z.output<S>
  : S extends Shape
    ? z.output<z.ZodObject<S>>
    : JsonObject;

export interface Schema {
  /** For the wire. */
  json: JsonObject;
  /** Checks and converts; `undefined` for a JSON Schema. */
  zod: z.ZodType | undefined;
}

export type Parsed = { ok: true; value: unknown } | { ok: false; why: string };

export function isZod(schema: unknown): schema is z.ZodType {
  return schema instanceof z.core.$ZodType;
}

/** `io` says which side of a zod type goes on the wire: what is taken in or what comes out. */
export function toSchema(schema: SchemaLike, io: "input" | "output"): Schema {
  if (isZod(schema)) return { json: toJson(schema, io), zod: schema };
  const fields = Object.values(schema);
  if (!fields.every(isZod)) return { json: schema, zod: undefined };
  const zod = z.object(schema as Shape);
  return { json: toJson(zod, io), zod };
}

function toJson(schema: z.ZodType, io: "input" | "output"): JsonObject {
  // 2020-12 is what MCP takes a schema for that names no dialect.
  const json = z.toJSONSchema(schema, { io }) as JsonObject;
  return defined({ ...json, $schema: undefined });
}

/** An input is an object at its root, whatever the type is [T-4]. */
export function inputSchema(schema: SchemaLike): Schema {
  const made = toSchema(schema, "input");
  return made.json["type"] === "object" ? made : { ...made, json: { ...made.json, type: "object" } };
}

export function parse(schema: z.ZodType, value: unknown): Parsed {
  const parsed = schema.safeParse(value);
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, why: explain(parsed.error) };
}

/** Every issue on one line, in words that a model can act on. */
function explain(error: z.ZodError): string {
  const one = ({ path, message }: z.core.$ZodIssue) => (path.length === 0 ? message : `${path.join(".")}: ${message}`);
  return error.issues.slice(0, 20).map(one).join("; ");
}

/** The arguments of a prompt: those of an object whose fields are strings. */
export function promptArguments(schema: Schema): JsonObject[] {
  const { properties = {}, required = [] } = schema.json as { properties?: JsonObject; required?: string[] };
  return Object.entries(properties).map(([name, field]) => {
    const { description, title } = field as JsonObject;
    return { name, required: required.includes(name), ...defined({ title, description }) };
  });
}

/** Without the members that are `undefined`. */
export function defined(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

// ---- forms -----------------------------------------------------------------------------

/**
 * The `requestedSchema` of a form: a flat object of texts, numbers, booleans and choices, of which
 * an array lets several be chosen [SP-3]. What zod says beyond that is left out.
 */
export function formSchema(schema: z.ZodObject): JsonObject {
  const { properties, required } = toJson(schema, "input") as { properties: JsonObject; required?: string[] };
  const fields = Object.entries(properties).map(([name, field]) => [name, formField(name, field as JsonObject)]);
  return { type: "object", properties: Object.fromEntries(fields), ...defined({ required }) };
}

/** Which keywords a field of each type may have. */
const KEYWORDS: Record<string, string[]> = {
  string: ["format", "minLength", "maxLength", "enum", "oneOf"],
  number: ["minimum", "maximum"],
  integer: ["minimum", "maximum"],
  boolean: [],
  array: ["items", "minItems", "maxItems"],
};
const COMMON = ["type", "title", "description", "default"];
const FORMATS = ["email", "uri", "date", "date-time"];

function formField(name: string, field: JsonObject): JsonObject {
  const made = { ...field, ...choices(field) };
  const keywords = KEYWORDS[String(made["type"])];
  if (keywords === undefined) throw notOfForms(name);
  if (made["type"] === "array") made["items"] = formItems(name, made["items"] as JsonObject | undefined);
  const isAllowed = ([key, value]: [string, unknown]) =>
    (COMMON.includes(key) || keywords.includes(key)) &&
    (key !== "format" || FORMATS.includes(String(value))) &&
    // A bound that only says what JavaScript can count to says nothing to a person.
    Math.abs(Number(key.endsWith("imum") ? value : 0)) !== Number.MAX_SAFE_INTEGER;
  return Object.fromEntries(Object.entries(made).filter(isAllowed));
}

/** Literals with descriptions become choices with titles. */
function choices(field: JsonObject): JsonObject {
  if (typeof field["const"] === "string") return { type: "string", enum: [field["const"]] };
  const options = field["anyOf"] ?? field["oneOf"];
  if (!Array.isArray(options)) return {};
  const titled = (options as JsonObject[]).map(({ const: value, title, description }) => ({
    const: value,
    title: title ?? description ?? value,
  }));
  return titled.every((choice) => typeof choice.const === "string") ? { type: "string", oneOf: titled } : {};
}

function formItems(name: string, items: JsonObject | undefined): JsonObject {
  const { oneOf, enum: values } = { ...items, ...choices(items ?? {}) };
  if (oneOf !== undefined) return { anyOf: oneOf };
  if (values !== undefined) return { type: "string", enum: values };
  throw notOfForms(name);
}

function notOfForms(name: string): AskError {
  const why = `the field ${name} of a form is neither text, number, boolean nor a choice`;
  return new AskError("badQuestion", why);
}
