// What a node must know before it calls, so that it can refuse with the right status.

import { type Capability, capabilityToWire } from "./capability.js";
import { type Declarations as Wire, TaskSupport } from "./wire/ostler/worker/v1/worker.js";

/** What an entry declares about its calls. */
export interface Declarations {
  /** Without these the call is refused before it starts. */
  requires?: Capability[];
  /** OAuth scopes without which the call is refused. */
  scopes?: string[];
  /** Running it twice is harmless: a call of a lost worker is retried once. */
  idempotent?: boolean;
  /** A call that waits for answers and lost its worker may run again from the start, with the answers so far. */
  replaySafe?: boolean;
  /** The longest run. Without it the node's own limit holds. */
  timeoutMs?: number;
  /** Whether calls may become tasks: for clients that can follow them, or only for those. */
  task?: "optional" | "required";
  /** It can be called or read by whoever knows its name, and is in no list. */
  unlisted?: boolean;
}

const TASKS = { optional: TaskSupport.OPTIONAL, required: TaskSupport.REQUIRED };

export function declarationsToWire(said: Declarations): Wire {
  return {
    requires: (said.requires ?? []).map(capabilityToWire),
    scopes: said.scopes ?? [],
    idempotent: said.idempotent ?? false,
    replaySafe: said.replaySafe ?? false,
    timeoutMs: BigInt(Math.max(0, Math.round(said.timeoutMs ?? 0))),
    task: said.task === undefined ? TaskSupport.UNSPECIFIED : TASKS[said.task],
    unlisted: said.unlisted ?? false,
  };
}
