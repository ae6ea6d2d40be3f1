/**
 * A listening stream apart from its connections: the audio that is not answered for, and where it goes on after a break.
 *
 *     samples   0 ---------- settled ---------- sent ---------- pushed
 *                  delivered    |  kept, sent again |  kept, not sent yet
 *
 * Pure: no clock, no I/O. What is kept begins where everything before is delivered: at the server's `safe_sample`, or at the end of the
 * last `final`, whichever is later. A new connection begins there, so no word is told twice, and none is lost.
 */

import { Break, PASSING, VoiceError, number, read } from "./errors.js";

const WIDTHS = { pcm_s16le: 2, pcm_f32le: 4, mulaw: 1, alaw: 1 };
// Small enough for every balancer, large enough to catch up fast.
const MAX_FRAME = 32 * 1024;
// `ready` comes for the connection and for the options.
const N_READY = 2;

/** Bytes from a position on. */
class Kept {
  from = 0;
  length = 0;
  #pieces = [];
  #skipped = 0; // of the first piece

  push(bytes) {
    if (bytes.length > 0) {
      this.#pieces.push(bytes);
      this.length += bytes.length;
    }
  }

  drop(n) {
    this.from += n;
    this.length -= n;
    this.#skipped += n;
    let nGone = 0;
    while (nGone < this.#pieces.length && this.#pieces[nGone].length <= this.#skipped) {
      this.#skipped -= this.#pieces[nGone].length;
      nGone += 1;
    }
    this.#pieces.splice(0, nGone);
  }

  slice(position, n) {
    const out = new Uint8Array(n);
    let skip = position - this.from + this.#skipped;
    let filled = 0;
    for (const piece of this.#pieces) {
      if (skip < piece.length) {
        const part = piece.subarray(skip, skip + n - filled);
        out.set(part, filled);
        filled += part.length;
      }
      skip = Math.max(skip - piece.length, 0);
      if (filled === n) {
        break;
      }
    }
    return out;
  }
}

export class Listening {
  output = null;
  hasAdvanced = false;
  #config;
  #frameBytes;
  #maxKept;
  #kept = new Kept();
  #finalizes = [];
  #isFinishing = false;
  #ready = null;
  #nConnections = 0;
  // Segments, in numbers that count through all connections.
  #offset = 0;
  #begun = 0;
  #ended = 0;
  #answered = 0;
  #inTurn = null;
  // Of the connection.
  #startSample = 0;
  #hasConfig = false;
  #hasClose = false;
  #nReady = 0;
  #nFinalizes = 0;
  #sent = 0;
  #fatal = null;

  constructor(config, maxKeptSeconds) {
    if ("start_sample" in config) {
      throw new VoiceError("IMPOSSIBLE", "`start_sample` is the client's own business; a stream begins at 0");
    }
    // What both sides count samples with must not depend on a server's defaults.
    this.#config = { encoding: "pcm_s16le", sample_rate: 16000, channels: 1, ...config };
    const width = WIDTHS[this.#config.encoding];
    if (width === undefined) {
      const known = Object.keys(WIDTHS).join(", ");
      throw new VoiceError("IMPOSSIBLE", `a stream can be resumed in the encodings ${known}. Given: ${this.#config.encoding}`);
    }
    this.#frameBytes = width * this.#config.channels;
    this.#maxKept = Math.max(maxKeptSeconds * this.#config.sample_rate * this.#frameBytes, MAX_FRAME);
  }

  // --- what the user wants ---

  push(bytes) {
    this.#kept.push(bytes);
  }

  finalize(id) {
    this.#finalizes.push({ at: this.#pushed, id });
  }

  finish() {
    this.#isFinishing = true;
  }

  get hasRoom() {
    return this.#kept.length < this.#maxKept;
  }

  /** Everything before this sample is delivered. */
  get settled() {
    return Math.floor(this.#kept.from / this.#frameBytes);
  }

  // --- connections ---

  /** A connection was made: from here on everything is said anew that is not answered for. */
  connected() {
    this.#nConnections += 1;
    this.#startSample = this.settled;
    this.#hasConfig = this.#hasClose = this.hasAdvanced = false;
    this.#nReady = this.#nFinalizes = 0;
    this.#sent = this.#kept.from;
    this.#fatal = null;
  }

  /** What comes next on this connection, if anything can be sent now. */
  outgoing() {
    if (!this.#hasConfig) {
      this.#hasConfig = true;
      return JSON.stringify({ type: "config", ...this.#config, start_sample: this.#startSample });
    }
    if (this.#nReady < N_READY || this.#hasClose) {
      return null;
    }
    const mark = this.#finalizes[this.#nFinalizes];
    if (mark !== undefined) {
      // Of one whose audio is delivered only the answer is missing.
      if (mark.at <= this.#sent) {
        this.#nFinalizes += 1;
        return JSON.stringify({ type: "finalize", id: mark.id });
      }
      return this.#audio(mark.at);
    }
    if (this.#sent < this.#pushed) {
      return this.#audio(this.#pushed);
    }
    if (this.#isFinishing) {
      this.#hasClose = true;
      return JSON.stringify({ type: "close" });
    }
    return null;
  }

  /** What to send so that the server knows that somebody is there. */
  keepalive() {
    return this.#nReady === N_READY && !this.#hasClose ? JSON.stringify({ type: "keepalive" }) : null;
  }

  get keepaliveEvery() {
    return ((this.#ready?.limits?.idle_timeout_s ?? 60) * 1000) / 3;
  }

  /** Whether the server has something to answer. Less than a second of audio may be silence that it has no word about. */
  get isOwed() {
    const nUnanswered = this.#sent - this.#kept.from;
    return this.#nReady < N_READY || this.#hasClose || this.#nFinalizes > 0 || nUnanswered > this.#frameBytes * this.#config.sample_rate;
  }

  /** Takes in a text frame. */
  onText(text) {
    const it = read(text);
    const renumber = () => {
      it.segment_id = number(it, "segment_id") + this.#offset;
      return it.segment_id;
    };
    switch (it.type) {
      case "ready":
        return this.#onReady(it);
      case "speech_start":
        if (renumber() <= this.#begun) {
          return [];
        }
        this.#begun = it.segment_id;
        return [it];
      case "speech_end":
        if (renumber() <= this.#ended) {
          return [];
        }
        this.#ended = it.segment_id;
        return [it];
      case "partial":
        renumber();
        return [it];
      case "final":
        this.#answered = this.#inTurn = renumber();
        this.#settle(number(it, "end_sample"));
        return [it];
      case "turn_end":
        renumber();
        this.#inTurn = null;
        return [it];
      case "progress":
        this.#settle(number(it, "safe_sample"));
        return [];
      case "finalized":
        this.#finalizes.shift();
        this.#nFinalizes = Math.max(this.#nFinalizes - 1, 0);
        return [it];
      case "error":
        return this.#onError(it);
      case "closed":
        return this.#onClosed(it);
      default:
        // Not for the user, or newer than this client.
        return [];
    }
  }

  onBinary() {
    throw Break.protocol("a recogniser sends no audio");
  }

  /** The connection ended, in this way as far as the socket knows. What the server said of it before counts more. */
  broken(why) {
    const reason = this.#fatal ?? why;
    this.#fatal = null;
    this.#nReady = 0;
    this.#offset = this.#answered;
    const hasTurnEnds = (this.#ready?.config?.final_on ?? "turn_end") === "turn_end";
    if (this.#inTurn === null || !(hasTurnEnds || this.#begun <= this.#answered)) {
      return [reason, []];
    }
    const event = { type: "turn_end", segment_id: this.#inTurn, reason: "close" };
    this.#inTurn = null;
    return [reason, [event]];
  }

  // --- inside ---

  get #pushed() {
    return this.#kept.from + this.#kept.length;
  }

  get #nSamples() {
    return Math.floor(this.#pushed / this.#frameBytes);
  }

  #settle(sample) {
    const n = Math.min(sample, this.#nSamples) * this.#frameBytes - this.#kept.from;
    if (n <= 0) {
      return;
    }
    this.#kept.drop(n);
    this.#sent = Math.max(this.#sent, this.#kept.from);
    this.hasAdvanced = true;
  }

  #audio(until) {
    const frame = this.#kept.slice(this.#sent, Math.min(until - this.#sent, MAX_FRAME));
    this.#sent += frame.length;
    return frame;
  }

  #onReady(it) {
    this.#nReady += 1;
    if (this.#nReady !== N_READY) {
      return [];
    }
    const isFirst = this.#ready === null;
    this.#ready = it;
    return [isFirst ? it : { type: "resumed", start_sample: this.#startSample, instance: it.instance, session_id: it.session_id }];
  }

  #onError(it) {
    if (typeof it.segment_id === "number") {
      it.segment_id += this.#offset;
      this.#answered = it.segment_id;
    } else if (!it.recoverable || this.#nReady < N_READY) {
      const said = Break.said(it.code, it.message);
      if (!PASSING.has(it.code) || it.recoverable) {
        throw said;
      }
      // What is still owed may come, and the close frame.
      this.#fatal = said;
      return [];
    }
    return [it];
  }

  #onClosed(it) {
    const received = this.#startSample + number(it, "received_samples");
    if (this.#hasClose && this.#nSamples <= received) {
      this.#settle(this.#nSamples);
      this.output = { type: "closed", samples: this.#nSamples, segments: this.#answered, connections: this.#nConnections, last: it };
      return [this.output];
    }
    // It goes down. All that it took is delivered, but a word that had just begun may lie in the silence at the end.
    const preRoll = this.#ready?.config?.vad?.pre_roll_secs ?? 0;
    this.#settle(received - Math.ceil(preRoll * this.#config.sample_rate));
    return [];
  }
}
