/** How often and how soon to connect again. Pure: what is random is given. */

import { VoiceError } from "./errors.js";

/** See `Patience` in index.d.ts. Times are in milliseconds. */
export const PATIENCE = {
  attempts: 12,
  firstWait: 100,
  longestWait: 5_000,
  longestRetryAfter: 60_000,
  connect: 10_000,
  silence: 30_000,
};

/** The attempts since the last progress. */
export class Retry {
  #patience;
  #nFailed = 0;

  constructor(patience) {
    this.#patience = patience;
  }

  /** Something was delivered, or could have been for long: whatever happens next is a new trouble. */
  progressed() {
    this.#nFailed = 0;
  }

  /** How long to wait before the next attempt; throws if there is none. `random` is in [0, 1). */
  after(why, random) {
    if (why.final) {
      throw why.final;
    }
    this.#nFailed += 1;
    if (this.#nFailed >= this.#patience.attempts) {
      throw new VoiceError("GAVE_UP", `${this.#nFailed} attempts without progress; the last one: ${why.message}`);
    }
    const window = Math.min(this.#patience.firstWait * 2 ** (this.#nFailed - 1), this.#patience.longestWait);
    return Math.min(why.retryAfter ?? 0, this.#patience.longestRetryAfter) + window * random;
  }
}
