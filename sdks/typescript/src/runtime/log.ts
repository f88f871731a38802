/** Where a worker says what happens to it; fields are for search. */
export type Log = (level: "info" | "warn" | "error", message: string, fields: Record<string, unknown>) => void;

/** One line a message on standard error. */
export const logToStderr: Log = (level, message, fields) => {
  const pairs = Object.entries(fields).map(([name, value]) => ` ${name}=${String(value)}`);
  process.stderr.write(`${new Date().toISOString()} ${level} ${message}${pairs.join("")}\n`);
};
