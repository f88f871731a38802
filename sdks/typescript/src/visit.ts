// Pages to send users to, and who may visit them.

import { randomBytes } from "node:crypto";

import type { Ctx } from "./ctx.js";
import type { CallerAssertion } from "./runtime/call.js";

/** A page to send the user to, for `Ctx.visit`. */
export interface Visit {
  key: string;
  /** Says why. */
  message: string;
  /** https, and says nothing of the user. */
  url: string;
  /** How long to wait for the page before the user is asked again; a minute unless said. */
  patienceMs?: number;
}

/**
 * How often the user is asked. A node that is not configured otherwise lets one call ask in 16
 * rounds (`limits.ask_rounds_max`), and whoever waits for a page may ask other things too.
 */
export const VISIT_ROUNDS_MAX = 12;

export const VISIT_PATIENCE_MS = 60_000;

/**
 * Nobody who is like this visitor is expected: the state is made up, used, too old, or somebody
 * else's. Which of these it is tells a stranger something, so it is not said.
 */
export class Stranger extends Error {
  override readonly name = "Stranger";

  constructor() {
    super("this visitor is not expected");
  }
}

/** Ends when the invited user was admitted. */
export interface Invitation<T> {
  /** What goes into the URL, and is all that does: 128 random bits, as base64url. */
  state: string;
  visited: Promise<T>;
}

interface Invited<T> {
  caller: CallerAssertion;
  admit(brings: T): void;
}

/**
 * Who is expected at the pages of a worker, and nobody else: tools invite, pages admit. `T` is
 * what a visit brings.
 *
 * The page's own server makes the visitor sign in first, and then compares who they are with who
 * was invited: tenant, issuer and subject, for two issuers may know different people by the same
 * subject [SP-4].
 */
export class Visitors<T> {
  /** One per call that waits, so there are no more than calls. */
  private readonly invited = new Map<string, Invited<T>>();

  /** Expects whoever made this call, until the call ends. */
  invite(ctx: Ctx): Invitation<T> {
    const state = randomBytes(16).toString("base64url");
    const visited = new Promise<T>((resolve) => {
      this.invited.set(state, { caller: ctx.caller, admit: resolve });
    });
    ctx.atEnd(() => this.invited.delete(state));
    return { state, visited };
  }

  /**
   * Lets a visitor in who has signed in, with what the visit brings. `isSame` compares them with
   * who was invited; a state serves once, and a stranger does not use it up.
   */
  admit(state: string, isSame: (caller: CallerAssertion) => boolean, brings: T): void {
    const invited = this.invited.get(state);
    if (invited === undefined || !isSame(invited.caller)) throw new Stranger();
    this.invited.delete(state);
    invited.admit(brings);
  }
}
