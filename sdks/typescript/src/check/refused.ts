// What the checks of questions and answers have in common.

import type { JsonObject } from "../schema.js";

/** Why a question or an answer is bad. */
export class Refused extends Error {}

export function refuse(why: string): never {
  throw new Refused(why);
}

/** Says where it was that `check` refused something. */
export function within<T>(where: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw error instanceof Refused ? new Refused(`${where}${error.message}`) : error;
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
