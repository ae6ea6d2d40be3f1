/** Servers behind a WebSocket class of their own: they keep the protocol, know what they will hear and say, and break as a test wants it. */

// Samples of a word that the recogniser hears, and of a chunk that the synthesiser sends.
export const WORD = 100;
const CHUNK = 50;

/** The next ones of a repeatable row, in [0, 1). */
export function random(seed) {
  let state = (seed * 2654435761 + 1) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * A server. `fates` says after how many of its messages each connection breaks; 0 is one that is never made, and
 * "error" one of which only that is told, as by Node 20. Then they live. `restarts` says how many milliseconds after it
 * was ready each is closed for a restart.
 * Its `Socket` is the class to give to a client.
 */
export class Fake {
  nConnections = 0;
  asked = [];
  urls = [];

  constructor({ fates = [], nSamples = 0, isDeaf = false, restarts = [] } = {}) {
    this.fates = [...fates];
    this.restarts = [...restarts];
    this.nSamples = nSamples;
    this.isDeaf = isDeaf;
    const server = this;
    this.Socket = class {
      bufferedAmount = 0;
      #isClosed = false;

      constructor(url) {
        server.nConnections += 1;
        server.urls.push(url);
        this.fate = server.fates.shift() ?? Infinity;
        this.session = [];
        if (this.fate === 0) {
          setTimeout(() => this.drop(1006), 0);
          return;
        }
        if (this.fate === "error") {
          setTimeout(() => this.onerror({ message: "no such luck" }), 0);
          return;
        }
        server.asked.push(this.session);
        this.serve = url.includes("/asr") ? server.hear(this) : server.speak(this);
        setTimeout(() => {
          if (!this.#isClosed) {
            this.onopen({});
            this.serve(null);
          }
        }, 0);
      }

      say(message, audio) {
        if (this.fate <= 0 || server.isDeaf) {
          return;
        }
        this.fate -= 1;
        const isLast = this.fate <= 0;
        setTimeout(() => {
          if (this.#isClosed) {
            return;
          }
          this.onmessage({ data: JSON.stringify(message) });
          if (audio && !this.#isClosed) {
            this.onmessage({ data: audio });
          }
          if (isLast) {
            this.drop(1006);
          }
        }, 0);
      }

      restart() {
        if (server.restarts.length > 0) {
          setTimeout(() => this.drop(1012), server.restarts.shift());
        }
      }

      drop(code) {
        if (!this.#isClosed) {
          this.#isClosed = true;
          this.onclose({ code, reason: "" });
        }
      }

      send(data) {
        if (this.#isClosed) {
          return;
        }
        if (typeof data === "string") {
          this.session.push(JSON.parse(data));
        }
        const copy = typeof data === "string" ? JSON.parse(data) : data.slice();
        setTimeout(() => this.#isClosed || this.serve(copy), 0);
      }

      close() {
        this.#isClosed = true;
      }
    };
  }

  /** Hears the value of every hundredth sample as a word. */
  hear(socket) {
    const ready = {
      type: "ready", session_id: "s", instance: "fake", protocol: 1, limits: { idle_timeout_s: 300 },
      config: { final_on: "turn_end", vad: { pre_roll_secs: 0 } },
    };
    let start = 0;
    let audio = [];
    let nWords = 0;
    return (message) => {
      if (message === null) {
        socket.say(ready);
      } else if (message instanceof Uint8Array) {
        audio = audio.concat(Array.from(message));
        while (audio.length >= 2 * WORD * (nWords + 1)) {
          const at = 2 * WORD * nWords;
          nWords += 1;
          const segment_id = nWords;
          const end_sample = start + WORD * nWords;
          socket.say({ type: "speech_start", segment_id, timestamp: 0 });
          socket.say({ type: "final", segment_id, text: String(audio[at] + 256 * audio[at + 1]), end_sample });
          socket.say({ type: "turn_end", segment_id, probability: 0.9, reason: "smart_turn" });
        }
        socket.say({ type: "progress", received_sample: start + audio.length / 2, safe_sample: start + nWords * WORD, queued_ms: 0 });
      } else if (message.type === "config") {
        if (message.language === "xx") {
          socket.say({ type: "error", code: "UNKNOWN_LANGUAGE", message: "no", recoverable: true });
        }
        start = message.start_sample;
        socket.say(ready);
        socket.restart();
      } else if (message.type === "finalize") {
        socket.say({ type: "finalized", id: message.id });
      } else if (message.type === "close") {
        const n = Math.floor(audio.length / 2);
        socket.say({ type: "closed", received_samples: n, transcribed_samples: n, silence_samples: 0, discarded_samples: 0, segments: nWords });
      }
    };
  }

  /** Says samples that tell their own position. */
  speak(socket) {
    let skip = 0;
    let seed = 7;
    return (message) => {
      if (message === null) {
        const config = { voice_id: "default", temperature: 0.5 };
        socket.say({ type: "ready", session_id: "s", instance: "fake", protocol: 1, limits: {}, config });
        socket.restart();
        return;
      }
      const of = { request_id: message.request_id };
      skip = message.skip_samples ?? skip;
      seed = message.seed ?? seed;
      if (message.voice_id === "nobody") {
        socket.say({ type: "error", code: "UNKNOWN_VOICE", message: "no", recoverable: true, ...of });
      } else if (["synthesize", "end"].includes(message.type)) {
        socket.say({ type: "synthesis_started", voice_id: "default", encoding: "pcm_s16le", sample_rate: 24000, seed, ...of });
        for (let begin = skip; begin < this.nSamples; begin += CHUNK) {
          const samples = Math.min(CHUNK, this.nSamples - begin);
          const audio = Int16Array.from({ length: samples }, (_, it) => begin + it).buffer;
          const chunk = { type: "audio_chunk", chunk_id: 1, start_sample: begin, samples, sample_rate: 24000, text_start: 0, text_end: 4 };
          socket.say({ ...chunk, ...of }, audio);
        }
        socket.say({ type: "synthesis_complete", total_samples: this.nSamples, ...of });
      } else if (message.type === "cancel") {
        socket.say({ type: "cancelled", chunks_sent: 0, end_sample: skip, ...of });
      }
    };
  }
}
