// The closed sets that authors see as words and the wire as numbers.

import { Capability as WireCapability, LogLevel as WireLogLevel } from "./wire/ostler/worker/v1/worker.js";

const CAPABILITIES = {
  elicitForm: WireCapability.ELICIT_FORM,
  elicitUrl: WireCapability.ELICIT_URL,
  sample: WireCapability.SAMPLE,
  sampleTools: WireCapability.SAMPLE_TOOLS,
  sampleContext: WireCapability.SAMPLE_CONTEXT,
  roots: WireCapability.ROOTS,
  tasks: WireCapability.TASKS,
  ui: WireCapability.UI,
} as const;

/** What the client behind a call can do. */
export type Capability = keyof typeof CAPABILITIES;

export function capabilityToWire(capability: Capability): WireCapability {
  if (Object.hasOwn(CAPABILITIES, capability)) return CAPABILITIES[capability];
  throw new TypeError(`there is no capability ${String(capability)}`);
}

/** Those that this version knows; a newer node may name others. */
export function capabilitiesFromWire(numbers: WireCapability[]): ReadonlySet<Capability> {
  const known = Object.entries(CAPABILITIES) as [Capability, WireCapability][];
  return new Set(known.filter(([, number]) => numbers.includes(number)).map(([name]) => name));
}

const LOG_LEVELS = {
  debug: WireLogLevel.DEBUG,
  info: WireLogLevel.INFO,
  notice: WireLogLevel.NOTICE,
  warning: WireLogLevel.WARNING,
  error: WireLogLevel.ERROR,
  critical: WireLogLevel.CRITICAL,
  alert: WireLogLevel.ALERT,
  emergency: WireLogLevel.EMERGENCY,
} as const;

/** The levels of MCP's log messages. */
export type LogLevel = keyof typeof LOG_LEVELS;

export function logLevelToWire(level: LogLevel): WireLogLevel {
  return LOG_LEVELS[level];
}
