// Authors' functions that nobody waits for, and what is thrown by anybody.

/** Runs `work`. What it throws, now or later, is told and harms nothing else. */
export function guard(work: () => unknown, failed: (why: string) => void): void {
  const tell = (error: unknown) => failed(describe(error));
  try {
    Promise.resolve(work()).catch(tell);
  } catch (error) {
    tell(error);
  }
}

/** Anything can be thrown, also what cannot be made a text. */
export function describe(error: unknown): string {
  try {
    return error instanceof Error ? String(error.stack ?? error.message) : String(error);
  } catch {
    return "something that cannot be said";
  }
}
