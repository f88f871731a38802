// Questions to the client behind a call, and their answers.

import type { ZodObject } from "zod";
import type { output } from "zod";

import type { Capability } from "./capability.js";
import { AskError } from "./error.js";
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

/** Longest key of a question. */
const KEY_BYTES_MAX = 256;

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
    const bytes = Buffer.byteLength(key);
    if (bytes < 1 || bytes > KEY_BYTES_MAX) {
      throw new AskError("badQuestion", `the key must have 1 to ${KEY_BYTES_MAX} bytes`);
    }
  }

  /** A form with the fields of a flat zod object, or of a JSON Schema of the same kind. */
  static form<S extends ZodObject>(key: string, message: string, schema: S): Ask<Elicited<output<S>>>;
  static form(key: string, message: string, schema: JsonObject): Ask<Elicited<JsonObject>>;
  static form(key: string, message: string, schema: ZodObject | JsonObject): Ask<Elicited<JsonObject>> {
    const requestedSchema = isZod(schema) ? formSchema(schema) : schema;
    const content = (value: unknown) => (isZod(schema) ? checked(schema, value) : (value as JsonObject));
    const params = { mode: "form", message: shown(message), requestedSchema };
    return new Ask(key, QuestionKind.ELICIT_FORM, "elicitForm", encode(params), (answer) =>
      readElicited(answer, content),
    );
  }

  /** A page to visit, for what must not pass through the client. */
  static url(key: string, message: string, url: string): Ask<Elicited<undefined>> {
    const params = { mode: "url", message: shown(message), url: checkUrl(url) };
    return new Ask(key, QuestionKind.ELICIT_URL, "elicitUrl", encode(params), (answer) =>
      readElicited(answer, () => undefined),
    );
  }

  /** A message of the client's model. */
  static sample(key: string, params: SampleParams): Ask<Sampled> {
    return new Ask(key, QuestionKind.SAMPLE, sampleNeeds(params), encode(params), Sampled.read);
  }

  /** The client's roots. */
  static roots(key: string): Ask<Root[]> {
    return new Ask(key, QuestionKind.ROOTS, "roots", encode({}), readRoots);
  }
}

function encode(params: unknown): Buffer {
  return Buffer.from(JSON.stringify(params));
}

function shown(message: string): string {
  if (typeof message === "string" && message !== "") return message;
  throw new AskError("badQuestion", "the message must be a text");
}

/** People are sent to https only, or to this machine [SP-4]; the node checks the rest. */
function checkUrl(url: string): string {
  const { protocol, hostname } = URL.canParse(url) ? new URL(url) : { protocol: "", hostname: "" };
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  if (protocol === "https:" || (protocol === "http:" && isLocal)) return url;
  throw new AskError("badQuestion", "the url must be an absolute https URL");
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
