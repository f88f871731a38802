import { describe, guard } from "./guard.js";

/** Where a worker says what happens to it; fields are for search. */
export type Log = (level: "info" | "warn" | "error", message: string, fields: Record<string, unknown>) => void;

/** An author's log may fail; what it was to say then goes to standard error. */
export function guarded(log: Log): Log {
  return (level, message, fields) => {
    guard(
      () => log(level, message, fields),
      (why) => logToStderr(level, message, { ...fields, and_the_log_failed: why }),
    );
  };
}

/** One line a message on standard error. */
export const logToStderr: Log = (level, message, fields) => {
  const pairs = Object.entries(fields).map(([name, value]) => ` ${name}=${describe(value)}`);
  process.stderr.write(`${new Date().toISOString()} ${level} ${message}${pairs.join("")}\n`);
};
