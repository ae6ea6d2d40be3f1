/** Clients of the speech servers whose streams survive broken connections. Names and meanings are those of the protocol. */

/** How long a stream bears a server that does not answer. Times are in milliseconds. */
export interface Patience {
  /** Attempts in a row without progress before the stream fails. Progress is what was delivered, or to be ready for longer than
   * `longestWait`. 12. */
  attempts?: number;
  /** The wait before the second attempt is a random part of this, before the third of twice this, and so on. 100. */
  firstWait?: number;
  /** No random wait is longer. A `Retry-After`, where it can be seen, comes on top. 5000. */
  longestWait?: number;
  /** A `Retry-After` counts as at most this. 60000. */
  longestRetryAfter?: number;
  /** A connection that is not made within this time has failed. 10000. */
  connect?: number;
  /** A connection on which nothing comes for this long, though something is owed, is broken. 30000. */
  silence?: number;
}

/** What every stream may be given. */
export interface ConnectionOptions {
  /** Sent as `api_key` in the address, because browsers cannot set headers on a WebSocket. */
  apiKey?: string;
  patience?: Patience;
  /** A WebSocket class, where there is none or another is wanted; that of `ws` fits. */
  WebSocket?: new (url: string) => any;
}

/** Why a stream is over though it was not finished. */
export class VoiceError extends Error {
  /** A code of the server, such as `UNKNOWN_VOICE`, or `IMPOSSIBLE`, `GAVE_UP`, `PROTOCOL`, `OVER`, `CLOSED_1008`. */
  readonly code: string;
}

// --- speech to text ---

/** Keys of `config` in the protocol. Audio is 16 bits, 16 kHz and mono if they do not say otherwise. */
export interface StreamConfig {
  encoding?: "pcm_s16le" | "pcm_f32le" | "mulaw" | "alaw";
  sample_rate?: number;
  channels?: 1 | 2;
  language?: string;
  task?: "transcribe" | "translate";
  model?: string;
  prompt?: string;
  hotwords?: string;
  beam_size?: number;
  temperature?: number;
  partials?: boolean;
  partial_interval_ms?: number;
  enable_timestamps?: boolean;
  final_on?: "turn_end" | "vad_stop";
  vad?: {
    type?: "silero_smart_turn" | "silero" | "energy";
    threshold?: number;
    start_secs?: number;
    stop_secs?: number;
    max_stop_secs?: number;
    pre_roll_secs?: number;
    turn_threshold?: number;
    max_turn_secs?: number;
  };
}

export interface ListenOptions extends ConnectionOptions {
  config?: StreamConfig;
  /** Audio that is kept until it is answered for. It has to hold the longest turn; when it is full, `send` waits. 240. */
  maxKeptSeconds?: number;
}

export interface Word {
  word: string;
  start: number;
  end: number;
  confidence?: number;
}

/** What a stream tells. Segments are counted through all connections; times and samples from the first sample of the stream. */
export type Event =
  /** The stream is open. First, and once. */
  | { type: "ready"; session_id: string; instance: string; protocol: number; config: StreamConfig; limits: Record<string, number> }
  /** The connection had broken, and another instance has taken over. Partials of a segment without its `final` begin anew. */
  | { type: "resumed"; start_sample: number; instance: string; session_id: string }
  | { type: "speech_start"; segment_id: number; timestamp: number }
  | { type: "partial"; segment_id: number; revision: number; text: string; stable_text: string; timestamp: number; confidence: number }
  | { type: "speech_end"; segment_id: number; timestamp: number; duration: number }
  | {
      type: "final";
      segment_id: number;
      text: string;
      start_time: number;
      end_time: number;
      end_sample: number;
      language: string;
      confidence: number;
      no_speech_prob: number;
      latency_ms: number;
      words?: Word[];
    }
  /** If it was lost in a break, the client says it, with the reason `close`. */
  | { type: "turn_end"; segment_id: number; probability?: number; reason: "smart_turn" | "silence" | "finalize" | "max_duration" | "close" }
  | { type: "finalized"; id?: string }
  /** The stream goes on. With a `segment_id` it stands in place of that segment's `final`. */
  | { type: "error"; code: string; message: string; recoverable: boolean; segment_id?: number }
  | Receipt;

/** What became of a whole stream. Last, and only after `finish`. */
export interface Receipt {
  type: "closed";
  /** All samples that were sent. Each was delivered to a server that answered for it. */
  samples: number;
  segments: number;
  /** How many connections it took; 1 if nothing broke. */
  connections: number;
  /** The accounts of the last connection, which begin where it began. */
  last: {
    received_samples: number;
    transcribed_samples: number;
    silence_samples: number;
    discarded_samples: number;
    segments: number;
  };
}

/** A stream from speech to text. Iterate over it for its events, once. */
export interface Stream extends AsyncIterable<Event> {
  /** Sends audio, in frames of any length. Waits while as much is kept as may be. */
  send(audio: ArrayBuffer | ArrayBufferView): Promise<void>;
  /** Ends the turn now. Answered by `finalized`. */
  finalize(id?: string): Promise<void>;
  /** The audio is complete: resolves with the receipt after the last text, and rejects with the reason why there is none. */
  finish(): Promise<Receipt>;
  /** Breaks the stream off. What is not answered yet is lost. */
  close(): void;
}

/** Opens a stream and waits until a server has taken it. `url` is `ws://host:8000/v1/stream/asr`. */
export function listen(url: string, options?: ListenOptions): Promise<Stream>;

// --- text to speech ---

/** Options of the protocol. */
export interface SpeechOptions {
  voice_id?: string;
  language?: string;
  model?: string;
  encoding?: "pcm_s16le" | "pcm_f32le" | "mulaw" | "alaw";
  sample_rate?: number;
  streaming?: boolean;
  chunk_size?: number;
  speed?: number;
  exaggeration?: number;
  cfg_weight?: number;
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repetition_penalty?: number;
  seed?: number;
}

export interface SpeakOptions extends ConnectionOptions {
  speech?: SpeechOptions;
}

/** What a speech tells. */
export type SpeechEvent =
  | {
      type: "synthesis_started";
      text_length: number;
      estimated_duration_ms: number;
      voice_id: string;
      encoding: string;
      sample_rate: number;
      seed: number;
    }
  /** The connection had broken, and another instance goes on. What is before `start_sample` has come. */
  | { type: "resumed"; start_sample: number; instance: string }
  /** Audio. Each begins where the one before it ended, the first at 0. */
  | {
      type: "audio_chunk";
      chunk_id: number;
      start_sample: number;
      samples: number;
      sample_rate: number;
      text_start: number;
      text_end: number;
      estimated_words: Word[];
      audio: ArrayBuffer;
    }
  /** All of it has come. Last. */
  | { type: "complete"; total_samples: number; connections: number }
  /** It was stopped. Last. */
  | { type: "cancelled"; end_sample: number; connections: number };

/** A speech. Iterate over it for its events, once. A socket of a browser cannot be paused: what is not taken is held in memory. */
export interface Speech extends AsyncIterable<SpeechEvent> {
  /** The next piece of the text, cut anywhere, also inside a word. */
  push(text: string): Promise<void>;
  /** What has come is to be spoken, though no sentence has ended. */
  flush(): Promise<void>;
  /** The text is complete. */
  end(): Promise<void>;
  /** Stops. What was made already may still come before `cancelled`. */
  cancel(): void;
  /** All of the audio, at once. */
  audio(): Promise<Uint8Array>;
  /** Ends the speech where it is. */
  close(): void;
}

/** Speaks a text that is all there. `url` is `ws://host:8000/v1/stream/tts`. */
export function speak(url: string, text: string, options?: SpeakOptions): Speech;

/** Speaks a text that is still being written: `push` it and `end` it. Connects at once. */
export function openSpeech(url: string, options?: SpeakOptions): Speech;
