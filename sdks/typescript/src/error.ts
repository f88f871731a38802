// Why a handler gives no result, and why an ask got no answer.

import { type Capability, capabilityToWire } from "./capability.js";
import { toJson } from "./json.js";
import { NO_BYTES } from "./runtime/transfer.js";
import { FailureKind } from "./wire/ostler/worker/v1/worker.js";

/** Why there is no result, as the platform hears it. */
export interface Failure {
  kind: FailureKind;
  message: string;
  code?: number;
  /** JSON text. */
  data?: Buffer;
  capabilities?: Capability[];
  scopes?: string[];
}

/** JSON-RPC 2.0, section 5.1. */
const INTERNAL_ERROR = -32603;

/**
 * Thrown by a handler to say why it gives no result. `new ToolError(text)` means that the tool
 * ran and did not succeed: the model reads the text, and can act on it. The static functions make
 * the errors that are answered as protocol errors instead.
 *
 * Whatever else a handler throws is a defect: it goes to the worker's log with its stack, and the
 * client hears that the handler failed, and nothing of the text.
 */
export class ToolError extends Error {
  override readonly name = "ToolError";

  /** `failure` is for the static functions. */
  constructor(
    message: string,
    readonly failure?: Failure,
  ) {
    super(message);
  }

  /** The request makes no sense: -32602. */
  static invalidParams(message: string): ToolError {
    return new ToolError(message, { kind: FailureKind.INVALID_PARAMS, message: text(message) });
  }

  /** There is no such resource or prompt. */
  static notFound(message: string): ToolError {
    return new ToolError(message, { kind: FailureKind.NOT_FOUND, message: text(message) });
  }

  /** The client lacks what this call needs. */
  static needsCapability(...capabilities: Capability[]): ToolError {
    capabilities.forEach(capabilityToWire);
    const message = `the client lacks ${capabilities.join(", ")}`;
    return new ToolError(message, { kind: FailureKind.NEEDS_CAPABILITY, message, capabilities });
  }

  /** The caller lacks OAuth scopes. */
  static needsScope(...scopes: string[]): ToolError {
    const message = `the caller lacks ${scopes.map(text).join(", ")}`;
    return new ToolError(message, { kind: FailureKind.NEEDS_SCOPE, message, scopes });
  }

  /** A JSON-RPC error of the author's own. The code has 32 bits. */
  static protocol(code: number, message: string, data?: unknown): ToolError {
    if ((code | 0) !== code) throw new TypeError(`${String(code)} is no code of an error`);
    const json = data === undefined ? NO_BYTES : Buffer.from(toJson(data));
    return new ToolError(message, { kind: FailureKind.PROTOCOL, message: text(message), code, data: json });
  }

  /** It stopped because it was told to. From a call that was not (`ctx.isCancelled`) it is a defect. */
  static cancelled(): ToolError {
    const message = "the call is cancelled";
    return new ToolError(message, { kind: FailureKind.CANCELLED, message });
  }

  static timedOut(): ToolError {
    const message = "timed out";
    return new ToolError(message, { kind: FailureKind.TIMED_OUT, message });
  }
}

/** The mistakes of JavaScript's authors are found where they are made. */
function text(said: string): string {
  if (typeof said === "string") return said;
  throw new TypeError(`${typeof said} is no text`);
}

/** Why an ask got no answer. */
export type AskReason =
  /** The client does not declare this, or its revision has no words for the question. */
  | "unsupported"
  /** The client answered with an error. */
  | "refused"
  | "timedOut"
  /** The answer does not fit the question. */
  | "invalid"
  /** The call was cancelled or has ended. */
  | "cancelled"
  /** The question itself is not allowed; a defect in the worker. */
  | "badQuestion";

/**
 * Thrown by asks. One that a handler lets pass is answered as what it means: `unsupported` as a
 * missing capability, `cancelled` as that; the rest become text for the model.
 */
export class AskError extends Error {
  override readonly name = "AskError";

  constructor(
    readonly reason: AskReason,
    message: string,
    readonly capability?: Capability,
  ) {
    super(message);
  }

  toToolError(): ToolError {
    if (this.reason === "cancelled") return ToolError.cancelled();
    if (this.reason !== "unsupported" || this.capability === undefined) return new ToolError(this.message);
    return ToolError.needsCapability(this.capability);
  }
}

/** How an error of a prompt or a resource travels; of a tool, what is not text for its model. */
export function toFailure(error: ToolError): Failure {
  const { message } = error;
  return error.failure ?? { kind: FailureKind.PROTOCOL, message, code: INTERNAL_ERROR };
}

export const CANCELLED: Failure = { kind: FailureKind.CANCELLED, message: "" };

/** What the client hears of a defect: nothing that could be a secret. */
export const DEFECT: Failure = { kind: FailureKind.INTERNAL, message: "the handler failed" };

/** Longer ones would not fit into a frame. */
const MESSAGE_LENGTH_MAX = 16_384;

export function failureToWire(failure: Failure) {
  const { kind, code = 0, capabilities = [], scopes = [] } = failure;
  const message = failure.message.slice(0, MESSAGE_LENGTH_MAX);
  return { kind, message, code, capabilities: capabilities.map(capabilityToWire), scopes };
}
