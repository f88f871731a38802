// The restricted schema of form elicitations [SP-3]: a flat object of primitive fields. What is
// richer is refused, because clients build a form from it and know nothing else.
//
// This and its neighbours say what `crates/protocol/src/ask` says, in the same words: the node
// refuses what is refused here, but tells nobody who wrote it.

import type { JsonObject } from "../schema.js";
import { isObject, refuse, within } from "./refused.js";

/** Fields of one form; nobody fills in more. */
const FIELDS_MAX = 256;

/** Members that every field may have. */
const COMMON = ["type", "title", "description", "default"];
/** Members of a schema besides those. */
const ROOT = ["$schema", "$comment", "properties", "required", "additionalProperties"];
const FORMATS: unknown[] = [undefined, "email", "uri", "date", "date-time"];

/** Refuses a value that is not of its field. */
type Rule = (value: unknown) => void;

interface Field {
  name: string;
  isRequired: boolean;
  rule: Rule;
}

/** A form as its schema describes it. */
export class Form {
  private constructor(private readonly fields: Field[]) {}

  /** Reads a `requestedSchema`. */
  static parse(schema: unknown): Form {
    if (!isObject(schema)) refuse("`requestedSchema` must be an object");
    refuseOthers(schema, ROOT, "requestedSchema");
    if (schema["type"] !== "object") refuse('`requestedSchema.type` must be "object"');
    const { properties } = schema;
    if (!isObject(properties)) refuse("`requestedSchema.properties` must be an object");
    const fields = Object.entries(properties);
    if (fields.length > FIELDS_MAX) refuse(`more than ${FIELDS_MAX} fields`);
    const required = readRequired(schema["required"], properties);
    const field = ([name, described]: [string, unknown]): Field => {
      const rule = within(`field \`${name}\`: `, () => readRule(described));
      return { name, isRequired: required.includes(name), rule };
    };
    return new Form(fields.map(field));
  }

  /** Checks the content of an accepted form. Fields nobody asked for are let pass [MR-7]. */
  check(content: unknown): JsonObject {
    if (!isObject(content)) refuse("`content` must be an object");
    for (const { name, isRequired, rule } of this.fields) {
      if (Object.hasOwn(content, name)) within(`field \`${name}\` `, () => rule(content[name]));
      else if (isRequired) refuse(`field \`${name}\` is missing`);
    }
    return content;
  }
}

/** The names of required fields, all of which are described. */
function readRequired(required: unknown, properties: JsonObject): string[] {
  if (required === undefined) return [];
  const names = strings(required, "`requestedSchema.required`");
  const unknown = names.find((name) => !Object.hasOwn(properties, name));
  return unknown === undefined ? names : refuse(`required field \`${unknown}\` is not described`);
}

function readRule(schema: unknown): Rule {
  if (!isObject(schema)) refuse("must be described by an object");
  const rule = ruleOf(schema);
  if (schema["default"] !== undefined) within("`default` ", () => rule(schema["default"]));
  return rule;
}

function ruleOf(schema: JsonObject): Rule {
  switch (schema["type"]) {
    case "string":
      return schema["enum"] === undefined && schema["oneOf"] === undefined ? text(schema) : choice(schema);
    case "number":
    case "integer":
      return number(schema);
    case "boolean":
      refuseOthers(schema, [], "a boolean");
      return (value) => void (typeof value === "boolean" || refuse("must be true or false"));
    case "array":
      return choices(schema);
    default:
      return refuse("`type` must be string, number, integer, boolean, or array of an enum");
  }
}

function text(schema: JsonObject): Rule {
  refuseOthers(schema, ["minLength", "maxLength", "format"], "a string");
  if (!FORMATS.includes(schema["format"])) refuse("`format` must be email, uri, date or date-time");
  const checkLength = bounds(schema, "minLength", "maxLength", "characters");
  return (value) => {
    if (typeof value !== "string") refuse("must be a string");
    checkLength([...value].length);
  };
}

/** `format` (of generated schemas: "int64") only annotates a number, so it may stay. */
function number(schema: JsonObject): Rule {
  refuseOthers(schema, ["minimum", "maximum", "format"], "a number");
  const [minimum, maximum] = [bound(schema, "minimum"), bound(schema, "maximum")];
  return (value) => {
    if (typeof value !== "number") refuse("must be a number");
    if (schema["type"] === "integer" && !Number.isInteger(value)) refuse("must be an integer");
    if (minimum !== undefined && value < minimum) refuse(`must be at least ${minimum}`);
    if (maximum !== undefined && value > maximum) refuse(`must be at most ${maximum}`);
  };
}

function choice(schema: JsonObject): Rule {
  const { enum: values, oneOf, enumNames } = schema;
  if (values !== undefined && oneOf !== undefined) refuse("an enum has either `enum` or `oneOf`");
  const isTitled = oneOf !== undefined;
  refuseOthers(schema, isTitled ? ["oneOf"] : ["enum", "enumNames"], isTitled ? "a titled enum" : "an enum");
  const options = isTitled ? titled(oneOf, "`oneOf`") : strings(values, "`enum`");
  if (enumNames !== undefined && strings(enumNames, "`enumNames`").length !== options.length) {
    refuse("`enumNames` must name each value of `enum`");
  }
  return oneOfThese(options);
}

function choices(schema: JsonObject): Rule {
  refuseOthers(schema, ["items", "minItems", "maxItems"], "a multi-select");
  const { items } = schema;
  if (!isObject(items)) refuse("`items` must be an object");
  const isOption = oneOfThese(itemOptions(items));
  const checkCount = bounds(schema, "minItems", "maxItems", "items");
  return (value) => {
    if (!Array.isArray(value)) refuse("must be an array");
    checkCount(value.length);
    value.forEach(isOption);
  };
}

function itemOptions(items: JsonObject): string[] {
  const { enum: values, anyOf, type } = items;
  if ((values === undefined) === (anyOf === undefined)) refuse("`items` must have either `enum` or `anyOf`");
  refuseOthers(items, [values === undefined ? "anyOf" : "enum"], "`items`");
  if (values === undefined) return titled(anyOf, "`items.anyOf`");
  if (type !== "string") refuse('`items.type` must be "string"');
  return strings(values, "`items.enum`");
}

function oneOfThese(options: string[]): Rule {
  if (options.length === 0) refuse("an enum needs a value");
  return (value) => {
    if (!options.some((option) => option === value)) refuse(`must be one of ${options.join(", ")}`);
  };
}

/** A keyword that is not understood could change what an answer must be, so it is refused. */
function refuseOthers(schema: JsonObject, known: string[], ofWhat: string): void {
  const other = Object.keys(schema).find((name) => !known.includes(name) && !COMMON.includes(name));
  if (other !== undefined) refuse(`\`${other}\` is not allowed on ${ofWhat} of a form`);
}

function strings(value: unknown, name: string): string[] {
  const isText = (item: unknown) => typeof item === "string";
  return Array.isArray(value) && value.every(isText) ? value : refuse(`${name} must be an array of strings`);
}

/** The values of `[{const, title}]`. */
function titled(value: unknown, name: string): string[] {
  const why = `${name} must be an array of {const, title}`;
  const option = (item: unknown): string => {
    if (!isObject(item) || typeof item["title"] !== "string") return refuse(why);
    return typeof item["const"] === "string" ? item["const"] : refuse(why);
  };
  return Array.isArray(value) ? value.map(option) : refuse(why);
}

/** Checks a length against two members of a schema. */
function bounds(schema: JsonObject, least: string, most: string, ofWhat: string): (length: number) => void {
  const [min = 0, max = Infinity] = [count(schema, least), count(schema, most)];
  return (length) => {
    if (length < min) refuse(`must have at least ${min} ${ofWhat}`);
    if (length > max) refuse(`must have at most ${max} ${ofWhat}`);
  };
}

function count(schema: JsonObject, name: string): number | undefined {
  const value = schema[name];
  const isCount = value === undefined || (Number.isInteger(value) && (value as number) >= 0);
  return isCount ? (value as number | undefined) : refuse(`\`${name}\` must be a non-negative integer`);
}

function bound(schema: JsonObject, name: string): number | undefined {
  const value = schema[name];
  return value === undefined || typeof value === "number" ? value : refuse(`\`${name}\` must be a number`);
}
