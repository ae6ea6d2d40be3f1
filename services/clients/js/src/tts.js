/** Text to speech, as a stream. Every speech has a connection of its own, so a balancer can place each one where there is room. */

import { Link } from "./link.js";
import { Speaking } from "./speaking.js";

// Servers wait longer than this for more text before they speak what they have. In milliseconds.
const LATE = 250;

/** Speaks a text that is all there. */
export function speak(url, text, { speech = {}, ...options } = {}) {
  const core = new Speaking(speech, text);
  return new Speech(core, new Link(core, url, options));
}

/** Speaks a text that is still being written. Connects at once, so that the first word need not wait for it. */
export function openSpeech(url, { speech = {}, ...options } = {}) {
  const core = new Speaking(speech);
  return new Speech(core, new Link(core, url, options));
}

class Speech {
  #core;
  #link;
  #pushedAt = null;

  constructor(core, link) {
    this.#core = core;
    this.#link = link;
  }

  async push(text) {
    const now = Date.now();
    const isLate = this.#pushedAt !== null && now - this.#pushedAt >= LATE;
    this.#pushedAt = now;
    await this.#link.room();
    this.#core.push(text, isLate);
    this.#link.wake();
  }

  async flush() {
    await this.#link.room();
    this.#core.flush();
    this.#link.wake();
  }

  async end() {
    await this.#link.room();
    this.#core.end();
    this.#link.wake();
  }

  cancel() {
    this.#link.tell(this.#core.cancel());
    this.#link.wake();
  }

  /** All of the audio, at once. */
  async audio() {
    const parts = [];
    for await (const event of this) {
      if (event.type === "audio_chunk") {
        parts.push(new Uint8Array(event.audio));
      }
    }
    const all = new Uint8Array(parts.reduce((n, it) => n + it.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  close() {
    this.#link.close();
  }

  [Symbol.asyncIterator]() {
    return this.#link.events();
  }
}
