/** Speech to text, as a stream. */

import { VoiceError } from "./errors.js";
import { Link } from "./link.js";
import { Listening } from "./listening.js";

/** Opens a stream and waits until a server has taken it. */
export async function listen(url, { config = {}, maxKeptSeconds = 240, ...options } = {}) {
  const core = new Listening(config, maxKeptSeconds);
  const link = new Link(core, url, options);
  return new Stream(core, link, await link.next());
}

class Stream {
  #core;
  #link;
  #first;

  constructor(core, link, first) {
    this.#core = core;
    this.#link = link;
    this.#first = first;
  }

  async send(audio) {
    await this.#link.room();
    this.#core.push(bytesOf(audio));
    this.#link.wake();
  }

  async finalize(id) {
    await this.#link.room();
    this.#core.finalize(id);
    this.#link.wake();
  }

  finish() {
    this.#core.finish();
    this.#link.wake();
    return this.#link.result;
  }

  close() {
    this.#link.close();
  }

  async *[Symbol.asyncIterator]() {
    const first = this.#first;
    this.#first = null;
    if (first !== null) {
      yield first;
    }
    yield* this.#link.events();
  }
}

/** A copy: microphones use their buffers again. */
function bytesOf(audio) {
  if (audio instanceof ArrayBuffer) {
    return new Uint8Array(audio.slice(0));
  }
  if (ArrayBuffer.isView(audio)) {
    return Uint8Array.from(new Uint8Array(audio.buffer, audio.byteOffset, audio.byteLength));
  }
  throw new VoiceError("IMPOSSIBLE", "audio is an ArrayBuffer or a view of one, such as an Int16Array");
}
