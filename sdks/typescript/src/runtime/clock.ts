/** Time as the runtime sees it; tests drive their own. */
export interface Clock {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Runs `work` later; what is returned calls it off. */
  after(ms: number, work: () => void): () => void;
}

/** The longest span a timer of Node takes; longer ones would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, Math.min(ms, TIMER_MS_MAX));
    return () => clearTimeout(timer);
  },
};
