/**
 * A speech apart from its connections: what is to be said, and how far its audio has come.
 *
 * Pure: no clock, no I/O. A new connection is asked for the same again, with the seed and the options that the first one told, from the end
 * of the last chunk on. The text is cut into the same sentences again: where a server did not wait any longer for text, and spoke what it
 * had, the next one is told to.
 */

import { Break, PASSING, VoiceError, number, read } from "./errors.js";

const WIDTHS = { pcm_s16le: 2, pcm_f32le: 4, mulaw: 1, alaw: 1 };
// The only request of its connection.
const REQUEST = "speech";

export class Speaking {
  output = null;
  hasRoom = true;
  keepaliveEvery = 20_000;
  #options;
  #isWhole;
  #items = [];
  #hasEnded;
  #isCancelled = false;
  #started = null;
  #position = 0;
  #nChunks = 0;
  #heardEnds = [];
  #nConnections = 0;
  // Of the connection.
  #isReady = false;
  #isBegun = false;
  #hasCancel = false;
  #instance = "";
  #nSent = 0;
  #chunk = null;
  #from = 0;
  #fatal = null;

  /** With `whole`, a text that is all there. */
  constructor(options, whole = null) {
    this.#options = { ...options };
    this.#isWhole = whole !== null;
    this.#hasEnded = this.#isWhole;
    if (whole !== null) {
      this.#items.push({ kind: "text", text: whole });
    }
  }

  // --- what the user wants ---

  /** The next piece. `isLate`: so long after the one before it that the server may have spoken that one meanwhile. */
  push(text, isLate) {
    this.#add({ kind: "text", text, isLate });
  }

  flush() {
    this.#add({ kind: "flush" });
  }

  end() {
    this.#add({ kind: "end" });
    this.#hasEnded = true;
  }

  cancel() {
    this.#isCancelled = true;
    return this.#isBegun || this.output ? [] : this.#cancelled();
  }

  // --- connections ---

  get hasAdvanced() {
    return this.#from < this.#position;
  }

  /** Whether the server has something to answer. While text is still coming it may wait for that. */
  get isOwed() {
    return !this.#isReady || (this.#isBegun && (this.#hasEnded || this.#isCancelled));
  }

  connected() {
    this.#nConnections += 1;
    if (this.#nConnections > 1) {
      this.#markCuts();
    }
    this.#isReady = this.#isBegun = this.#hasCancel = false;
    this.#nSent = 0;
    this.#chunk = this.#fatal = null;
    this.#from = this.#position;
  }

  /** What comes next on this connection, if anything can be sent now. */
  outgoing() {
    if (!this.#isReady || this.output) {
      return null;
    }
    if (this.#isCancelled) {
      const isSaid = this.#hasCancel;
      this.#hasCancel = true;
      return isSaid ? null : JSON.stringify({ type: "cancel", request_id: REQUEST });
    }
    while (this.#nSent < this.#items.length) {
      const item = this.#items[this.#nSent];
      if (item.kind === "end" && !this.#isBegun) {
        // Nothing was to be said: a request of its own says so too. Its end comes next.
        return this.#text("");
      }
      this.#nSent += 1;
      if (item.kind === "text") {
        return this.#text(item.text);
      }
      if (this.#isBegun) {
        return JSON.stringify({ type: item.kind, request_id: REQUEST });
      }
    }
    return null;
  }

  /** What to send so that the server knows that somebody is there, while nothing was said yet. */
  keepalive() {
    return this.#isReady && !this.#isBegun ? JSON.stringify({ type: "keepalive" }) : null;
  }

  /** Takes in a text frame. */
  onText(text) {
    const it = read(text);
    switch (it.type) {
      case "ready":
        this.#isReady = true;
        this.#instance = it.instance;
        if (this.#nConnections === 1) {
          // A server elsewhere may have other defaults.
          const { voice, ...given } = this.#options;
          this.#options = { ...it.config, ...given, ...(voice === undefined ? {} : { voice_id: voice }) };
        }
        return [];
      case "synthesis_started":
        return this.#onStarted(it);
      case "audio_chunk":
        this.#chunk = it;
        return [];
      case "synthesis_complete":
        if (number(it, "total_samples") !== this.#position) {
          throw Break.protocol(`the speech has ${it.total_samples} samples, and ${this.#position} came`);
        }
        this.output = { type: "complete", total_samples: this.#position, connections: this.#nConnections };
        return [this.output];
      case "cancelled":
        return this.#cancelled();
      case "error":
        return this.#onError(it);
      default:
        // Not for this client, or newer than it.
        return [];
    }
  }

  /** Takes in a binary frame, as an ArrayBuffer. */
  onBinary(data) {
    const it = this.#chunk;
    this.#chunk = null;
    if (it === null) {
      throw Break.protocol("audio that no `audio_chunk` describes");
    }
    const width = WIDTHS[this.#options.encoding ?? "pcm_s16le"];
    const [start, n] = [number(it, "start_sample"), number(it, "samples")];
    if (data.byteLength !== n * width) {
      throw Break.protocol(`${data.byteLength} bytes are not ${n} samples`);
    }
    if (this.#position < start) {
      throw Break.protocol(`a gap: audio from sample ${start} after sample ${this.#position}`);
    }
    if (start + n <= this.#position) {
      return [];
    }
    let words = it.estimated_words ?? [];
    if (0 < this.#from && this.#from === this.#position) {
      // Told with the last chunk of the connection before, in which they began.
      words = words.filter((word) => this.#position / it.sample_rate <= word.start);
    }
    if (this.#heardEnds.at(-1) !== it.text_end) {
      this.#heardEnds.push(it.text_end);
    }
    this.#nChunks += 1;
    const event = {
      type: "audio_chunk",
      chunk_id: this.#nChunks,
      start_sample: this.#position,
      samples: start + n - this.#position,
      sample_rate: it.sample_rate,
      text_start: it.text_start,
      text_end: it.text_end,
      estimated_words: words,
      audio: data.slice((this.#position - start) * width),
    };
    this.#position = start + n;
    return [event];
  }

  /** The connection ended, in this way as far as the socket knows. What the server said of it before counts more. */
  broken(why) {
    const reason = this.#fatal ?? why;
    this.#fatal = null;
    this.#isReady = this.#isBegun = false;
    // Nobody is left to be told to stop.
    return [reason, this.#isCancelled && !this.output ? this.#cancelled() : []];
  }

  // --- inside ---

  #add(item) {
    if (!this.#hasEnded) {
      this.#items.push(item);
    }
  }

  #text(text) {
    const message = { type: this.#isWhole ? "synthesize" : "text", request_id: REQUEST, text };
    if (!this.#isBegun) {
      this.#isBegun = true;
      Object.assign(message, this.#options);
      if (this.#position > 0) {
        message.skip_samples = this.#position;
      }
    }
    return JSON.stringify(message);
  }

  #cancelled() {
    this.output = { type: "cancelled", end_sample: this.#position, connections: this.#nConnections };
    return [this.output];
  }

  /** Tells the next server where to cut, wherever the last one may have cut because no more text came. */
  #markCuts() {
    if (this.#isWhole) {
      return;
    }
    const marked = [];
    let nChars = 0;
    let nEnds = 0;
    this.#items.forEach((item, nth) => {
      marked.push(item);
      if (item.kind !== "text") {
        return;
      }
      // As the server counts: characters, not halves of them.
      const letters = Array.from(item.text);
      nChars += letters.length;
      let end = null;
      while (nEnds < this.#heardEnds.length && this.#heardEnds[nEnds] <= nChars) {
        end = this.#heardEnds[nEnds];
        nEnds += 1;
      }
      if (end === null || nChars - end > letters.length) {
        return;
      }
      // Only marks and spaces may be left of this piece behind the sentence.
      const rest = letters.slice(letters.length - (nChars - end)).join("");
      const following = this.#items[nth + 1];
      const waited = following === undefined || following.isLate === true;
      if (waited && !/[\p{L}\p{N}]/u.test(rest)) {
        marked.push({ kind: "flush" });
      }
    });
    this.#items = marked;
  }

  #onStarted(it) {
    const chosen = { seed: number(it, "seed"), encoding: it.encoding, sample_rate: number(it, "sample_rate") };
    if (this.#started === null) {
      // What the first server chose, the next one has to be told.
      Object.assign(this.#options, chosen);
      this.#started = it;
      return [it];
    }
    if (Object.entries(chosen).some(([key, value]) => this.#options[key] !== value)) {
      throw Break.protocol("another instance speaks with other options than were asked for");
    }
    return [{ type: "resumed", start_sample: this.#position, instance: this.#instance }];
  }

  #onError(it) {
    const said = Break.said(it.code, it.message);
    if (it.request_id != null) {
      // The end of the request. A text that did not come in time does not come sooner elsewhere.
      if (it.code === "TIMEOUT") {
        said.final = new VoiceError(it.code, it.message);
      }
      throw said;
    }
    if (it.recoverable || !PASSING.has(it.code)) {
      throw said;
    }
    this.#fatal = said;
    return [];
  }
}
