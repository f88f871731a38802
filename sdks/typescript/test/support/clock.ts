// Time that a test drives.

import type { Clock } from "../../src/index.js";

interface Timer {
  at: number;
  ms: number;
  work: () => void;
}

export class TestClock implements Clock {
  private time = 0;
  private readonly timers = new Set<Timer>();
  private readonly waiting = new Set<() => void>();

  now(): number {
    return this.time;
  }

  after(ms: number, work: () => void): () => void {
    const timer = { at: this.time + ms, ms, work };
    this.timers.add(timer);
    for (const wake of [...this.waiting]) wake();
    return () => this.timers.delete(timer);
  }

  /** Runs everything that is due within so many milliseconds, in order. */
  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers.delete(due);
      this.time = Math.max(this.time, due.at);
      due.work();
    }
    this.time = end;
  }

  /** Waits until somebody waits for between `min` and `max` milliseconds. */
  async armed(min: number, max: number): Promise<void> {
    while (![...this.timers].some(({ ms }) => ms >= min && ms <= max)) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.waiting.delete(wake);
          resolve();
        };
        this.waiting.add(wake);
      });
    }
  }

  /** Lets the pause between two dials pass. */
  async redial(): Promise<void> {
    await this.armed(50, 100);
    this.advance(100);
  }
}
