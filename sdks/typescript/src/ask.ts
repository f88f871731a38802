// Questions to the client behind a call, and their answers.

import type { ZodObject } from "zod";
import type { output } from "zod";

import type { Capability } from "./capability.js";
import { checkForm, checkKey, checkPage } from "./check/question.js";
import { Refused } from "./check/refused.js";
import { checkSample } from "./check/sample.js";
import { AskError } from "./error.js";
import { toJson } from "./json.js";
import { type SampleParams, Sampled, sampleNeeds } from "./sample.js";
import { formSchema, isZod, type JsonObject, parse } from "./schema.js";
import { QuestionKind } from "./wire/ostler/worker/v1/worker.js";

/** What a person did with an elicitation. All three are normal [SP-6]. */
export type Elicited<T> =
  | { action: "accept"; content: T }
  | { action: "decline" }
  /** Dismissed without a choice. */
  | { action: "cancel" };

/** A place the client lets servers work in. Information, not a permission [SP-8]. */
export interface Root {
  uri: string;
  name?: string;
}

/**
 * One question. Its key names it to the client and must be the same in every run of the handler.
 */
export class Ask<T> {
  private constructor(
    readonly key: string,
    readonly kind: QuestionKind,
    /** What the client must be able to do. */
    readonly needs: Capability,
    /** JSON text. */
    readonly params: Buffer,
    /** Makes of an answer what the author wants of it, or throws `AskError`. */
    readonly read: (answer: unknown) => T,
  ) {
    asked(() => checkKey(key));
  }

  /** A form with the fields of a flat zod object, or of a JSON Schema of the same kind. */
  static form<S extends ZodObject>(key: string, message: string, schema: S): Ask<Elicited<output<S>>>;
  static form(key: string, message: string, schema: JsonObject): Ask<Elicited<JsonObject>>;
  static form(key: string, message: string, schema: ZodObject | JsonObject): Ask<Elicited<JsonObject>> {
    const requestedSchema = isZod(schema) ? formSchema(schema) : schema;
    const params = encode({ mode: "form", message, requestedSchema });
    const form = asked(() => checkForm(plain(params)));
    const content = (value: unknown) => (isZod(schema) ? checked(schema, value) : fits(() => form.check(value)));
    return new Ask(key, QuestionKind.ELICIT_FORM, "elicitForm", params, (answer) => readElicited(answer, content));
  }

  /** A page to visit, for what must not pass through the client. */
  static url(key: string, message: string, url: string): Ask<Elicited<undefined>> {
    const params = encode({ mode: "url", message, url });
    asked(() => checkPage(plain(params)));
    return new Ask(key, QuestionKind.ELICIT_URL, "elicitUrl", params, (answer) =>
      readElicited(answer, () => undefined),
    );
  }

  /** A message of the client's model. */
  static sample(key: string, params: SampleParams): Ask<Sampled> {
    const encoded = encode(params);
    asked(() => checkSample(plain(encoded)));
    return new Ask(key, QuestionKind.SAMPLE, sampleNeeds(params), encoded, Sampled.read);
  }

  /** The client's roots. */
  static roots(key: string): Ask<Root[]> {
    return new Ask(key, QuestionKind.ROOTS, "roots", encode({}), readRoots);
  }
}

function encode(params: unknown): Buffer {
  return Buffer.from(toJson(params));
}

/** As the client will read it, whatever JavaScript made of it. */
function plain(params: Buffer): JsonObject {
  return JSON.parse(params.toString()) as JsonObject;
}

function asked<T>(check: () => T): T {
  return refusedAs(check, (why) => new AskError("badQuestion", why));
}

function fits<T>(check: () => T): T {
  return refusedAs(check, (why) => new AskError("invalid", `the answer does not fit the question: ${why}`));
}

function refusedAs<T>(check: () => T, error: (why: string) => AskError): T {
  try {
    return check();
  } catch (refused) {
    throw refused instanceof Refused ? error(refused.message) : refused;
  }
}

function checked(schema: ZodObject, value: unknown): JsonObject {
  const parsed = parse(schema, value);
  if (parsed.ok) return parsed.value as JsonObject;
  throw new AskError("invalid", `the answer does not fit the question: ${parsed.why}`);
}

function readElicited<T>(answer: unknown, read: (content: unknown) => T): Elicited<T> {
  const { action, content } = (answer ?? {}) as { action?: unknown; content?: unknown };
  switch (action) {
    case "accept":
      return { action, content: read(content ?? {}) };
    case "decline":
    case "cancel":
      return { action };
    default:
      throw new AskError("invalid", "the answer does not fit the question: it has no action");
  }
}

function readRoots(answer: unknown): Root[] {
  const { roots } = (answer ?? {}) as { roots?: unknown };
  const isRoot = (root: unknown) => typeof (root as Root | null)?.uri === "string";
  if (Array.isArray(roots) && roots.every(isRoot)) return roots as Root[];
  throw new AskError("invalid", "the answer does not fit the question: it has no roots");
}
