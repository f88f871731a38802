// The open questions of one call.

import type { Ask } from "../ask.js";
import { AskError } from "../error.js";
import { AnswerFailure } from "../wire/ostler/worker/v1/worker.js";

/** An answer whose payload is whole. */
export interface Answer {
  key: string;
  /** JSON text. */
  value: Buffer | AnswerFailure;
}

/** What comes of a question: the key it went under, and the answer. */
export interface Asked<T> {
  key: string;
  answer: Promise<T>;
}

interface Open {
  key: string;
  ask: Ask<unknown>;
  settle(answer: Answer): void;
  fail(error: AskError): void;
  /** It has been sent, on some link. */
  told: boolean;
}

export class Asks {
  /** Answers that came with the call, by key. */
  private readonly known: Map<string, Answer>;
  /** Keys that are used up, each with the last number it was given. */
  private readonly used = new Map<string, number>();
  private open: Open[] = [];

  constructor(known: Answer[]) {
    this.known = new Map(known.map((answer) => [answer.key, answer]));
  }

  /**
   * Opens a question. One whose answer came with the call is answered at once, if the answer
   * fits; otherwise the client is asked as if there were none [MR-12].
   */
  ask<T>(ask: Ask<T>): Asked<T> {
    const key = this.unusedKey(ask.key);
    const known = this.known.get(key);
    this.known.delete(key);
    const answer = new Promise<T>((resolve, reject) => {
      const settle = (answer: Answer) => {
        try {
          resolve(read(ask, answer));
        } catch (error) {
          reject(error);
        }
      };
      if (known !== undefined && fits(ask, known)) return settle(known);
      this.open.push({ key, ask, settle, fail: reject, told: false });
    });
    // A handler may end without waiting for it, which must not end the process.
    answer.catch(() => undefined);
    return { key, answer };
  }

  /** A question that nobody can be asked any more. */
  static closed<T>(key: string): Asked<T> {
    const answer = Promise.reject<T>(new AskError("cancelled", "the call is cancelled"));
    answer.catch(() => undefined);
    return { key, answer };
  }

  /** Keys are never used twice in one call [TK-6], and the same run gives the same keys. */
  private unusedKey(key: string): string {
    let unused = key;
    let number = this.used.get(key) ?? 1;
    while (this.used.has(unused)) unused = `${key}-${(number += 1)}`;
    this.used.set(unused, 1).set(key, number);
    return unused;
  }

  /** Questions that were not sent yet; they travel together. */
  takeUntold(): Open[] {
    const untold = this.open.filter((open) => !open.told);
    for (const open of untold) open.told = true;
    return untold;
  }

  /** All open questions, for a new link. */
  takeAll(): Open[] {
    for (const open of this.open) open.told = true;
    return this.open;
  }

  /** The first answer to a key counts; others are ignored. */
  answer(answers: Answer[]): void {
    for (const answer of answers) {
      const place = this.open.findIndex((open) => open.key === answer.key);
      if (place >= 0) this.open.splice(place, 1)[0]?.settle(answer);
    }
  }

  /** Nobody will answer any more. */
  failAll(): void {
    const open = this.open;
    this.open = [];
    for (const asked of open) asked.fail(new AskError("cancelled", "the call is cancelled"));
  }
}

function read<T>(ask: Ask<T>, { value }: Answer): T {
  if (typeof value === "number") throw failed(ask, value);
  return ask.read(parse(value));
}

function fits(ask: Ask<unknown>, answer: Answer): boolean {
  if (typeof answer.value === "number") return true;
  try {
    ask.read(parse(answer.value));
    return true;
  } catch {
    return false;
  }
}

function parse(value: Buffer): unknown {
  try {
    return JSON.parse(value.toString());
  } catch {
    throw new AskError("invalid", "the answer does not fit the question: it is no JSON");
  }
}

function failed(ask: Ask<unknown>, failure: AnswerFailure): AskError {
  switch (failure) {
    case AnswerFailure.UNSUPPORTED: {
      const why = `the client cannot be asked: ${ask.needs} is not declared, or not in its revision`;
      return new AskError("unsupported", why, ask.needs);
    }
    case AnswerFailure.TIMED_OUT:
      return new AskError("timedOut", "nobody answered in time");
    case AnswerFailure.INVALID:
      return new AskError("invalid", "the question cannot be shown, or the client's answer does not fit it");
    default:
      return new AskError("refused", "the client refused to answer");
  }
}
