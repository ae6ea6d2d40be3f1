/** The bookkeeping of streams that break: what is sent again, what is told once. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Break } from "../src/errors.js";
import { Listening } from "../src/listening.js";
import { PATIENCE, Retry } from "../src/retry.js";
import { Speaking } from "../src/speaking.js";

const LOST = new Break("reset");
const bytes = (n) => Uint8Array.from({ length: n }, (_, it) => it % 251);

/** Everything that can be sent now. */
function* outgoing(core) {
  for (let next = core.outgoing(); next !== null; next = core.outgoing()) {
    yield typeof next === "string" ? JSON.parse(next) : next;
  }
}

test("waits double up to the longest, a Retry-After is kept, and attempts are limited", () => {
  const retry = new Retry(PATIENCE);
  const waits = Array.from({ length: 8 }, () => retry.after(LOST, 1));
  assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  retry.progressed();
  assert.equal(retry.after(Break.refused(503, "AT_CAPACITY", "full", 2000), 0.5), 2050);
  const short = new Retry({ ...PATIENCE, attempts: 2 });
  short.after(LOST, 0);
  assert.throws(() => short.after(LOST, 0), { code: "GAVE_UP" });
  for (const last of [Break.refused(422, "X", ""), Break.closed(1008, ""), Break.said("UNKNOWN_VOICE", ""), Break.protocol("")]) {
    assert.throws(() => new Retry(PATIENCE).after(last, 0), last.final);
  }
  for (const passes of [Break.refused(502, "X", ""), Break.closed(1006, ""), Break.closed(1012, ""), Break.said("DRAINING", "")]) {
    assert.equal(passes.final, null);
  }
});

class Hearing {
  told = [];

  constructor(config = {}) {
    this.core = new Listening(config, 10);
  }

  says(message) {
    this.told.push(...this.core.onText(JSON.stringify(message)));
  }

  ready() {
    this.says({ type: "ready", session_id: "s", instance: "i", config: { final_on: "turn_end", vad: { pre_roll_secs: 0.5 } }, limits: {} });
  }

  connect() {
    this.core.connected();
    const config = JSON.parse(this.core.outgoing());
    assert.equal(this.core.outgoing(), null, "audio before the options are known");
    this.ready();
    this.ready();
    return config.start_sample;
  }

  audio() {
    return Buffer.concat([...outgoing(this.core)].filter((it) => it instanceof Uint8Array));
  }

  breaks() {
    const [why, events] = this.core.broken(LOST);
    this.told.push(...events);
    return why;
  }
}

test("what is not delivered is sent again from there", () => {
  for (const [config, width] of [[{}, 2], [{ encoding: "pcm_f32le" }, 4], [{ encoding: "mulaw", channels: 2 }, 2]]) {
    const rig = new Hearing(config);
    const all = bytes(96_000);
    assert.equal(rig.connect(), 0);
    for (let begin = 0; begin < all.length; begin += 777) {
      rig.core.push(all.subarray(begin, begin + 777));
    }
    assert.ok(rig.audio().equals(all));
    rig.says({ type: "progress", safe_sample: 10_001 });
    assert.ok(rig.core.hasAdvanced);
    rig.breaks();
    assert.equal(rig.connect(), 10_001);
    assert.ok(!rig.core.hasAdvanced);
    assert.ok(rig.audio().equals(all.subarray(10_001 * width)));
    rig.says({ type: "final", segment_id: 1, text: "x", end_sample: 15_000 });
    rig.says({ type: "progress", safe_sample: 12_000 });
    rig.breaks();
    assert.equal(rig.connect(), 15_000);
    assert.ok(rig.audio().equals(all.subarray(15_000 * width)));
  }
});

test("segments are counted through all connections and begun once, and turns end", () => {
  const rig = new Hearing();
  rig.connect();
  rig.core.push(bytes(32_000));
  rig.says({ type: "speech_start", segment_id: 1 });
  rig.says({ type: "final", segment_id: 1, text: "x", end_sample: 3_200 });
  rig.says({ type: "speech_start", segment_id: 2 });
  rig.breaks();
  rig.connect();
  rig.says({ type: "speech_start", segment_id: 1 });
  rig.says({ type: "speech_end", segment_id: 1 });
  rig.says({ type: "error", code: "TRANSCRIPTION_FAILED", message: "m", recoverable: true, segment_id: 1 });
  rig.says({ type: "speaker_changed" });
  const told = rig.told.map((it) => `${it.type} ${it.segment_id ?? it.start_sample ?? ""} ${it.reason ?? ""}`.trim());
  assert.deepEqual(told, [
    "ready", "speech_start 1", "final 1", "speech_start 2", "turn_end 1 close", "resumed 3200", "speech_end 2", "error 2",
  ]);
  assert.throws(() => rig.core.onText("{}"), Break);
  assert.throws(() => rig.core.onText('{"type":"progress"}'), Break);
});

test("finalize and close stand where they were asked, and the end has come when every sample was received", () => {
  const rig = new Hearing();
  rig.connect();
  rig.core.push(bytes(100));
  rig.core.finalize("f1");
  rig.core.push(bytes(50));
  rig.core.finish();
  const order = () => [...outgoing(rig.core)].map((it) => (it instanceof Uint8Array ? it.length : it.type));
  assert.deepEqual(order(), [100, "finalize", 50, "close"]);
  rig.says({ type: "finalized", id: "f1" });
  rig.says({ type: "closed", received_samples: 60 });
  assert.equal(rig.core.output, null);
  rig.breaks();
  assert.equal(rig.connect(), 0, "a word may have begun in the last half second");
  assert.deepEqual(order(), [150, "close"]);
  rig.says({ type: "closed", received_samples: 75 });
  assert.deepEqual([rig.core.output.samples, rig.core.output.connections], [75, 2]);
});

class Speech {
  told = [];

  constructor(core) {
    this.core = core;
  }

  says(message) {
    this.told.push(...this.core.onText(JSON.stringify({ request_id: "speech", ...message })));
  }

  connect(temperature = 0.5) {
    this.core.connected();
    assert.equal(this.core.outgoing(), null, "nothing is asked before `ready`");
    this.says({ type: "ready", instance: "i", config: { temperature } });
    return [...outgoing(this.core)];
  }

  started(seed = 7) {
    this.says({ type: "synthesis_started", encoding: "pcm_s16le", sample_rate: 24_000, seed });
  }

  chunk(start_sample, samples, text_end = 4, estimated_words = undefined) {
    this.says({ type: "audio_chunk", start_sample, samples, sample_rate: 24_000, text_start: 0, text_end, estimated_words });
    this.told.push(...this.core.onBinary(Int16Array.from({ length: samples }, (_, it) => start_sample + it).buffer));
  }
}

test("the same is asked again from the end of the last chunk, and overlaps are cut off", () => {
  const rig = new Speech(new Speaking({ voice: "ann" }, "One. Two."));
  assert.deepEqual(rig.connect().map((it) => [it.type, it.text, it.skip_samples, it.voice_id]), [["synthesize", "One. Two.", undefined, "ann"]]);
  rig.started();
  rig.chunk(0, 800);
  rig.core.broken(LOST);
  const [asked] = rig.connect(0.9);
  assert.deepEqual([asked.skip_samples, asked.seed, asked.temperature], [800, 7, 0.5]);
  rig.started();
  rig.chunk(600, 300, 4, [{ word: "told", start: 0.001 }, { word: "new", start: 0.034 }]);
  const last = rig.told.at(-1);
  assert.deepEqual(Array.from(new Int16Array(last.audio)), Array.from({ length: 100 }, (_, it) => 800 + it));
  assert.deepEqual([last.chunk_id, last.start_sample, last.samples, last.estimated_words.map((it) => it.word)], [2, 800, 100, ["new"]]);
  assert.throws(() => rig.chunk(901, 10), /a gap/);
  assert.throws(() => rig.core.onBinary(new ArrayBuffer(2)), Break);
  assert.throws(() => rig.says({ type: "synthesis_complete", total_samples: 901 }), Break);
  rig.says({ type: "synthesis_complete", total_samples: 900 });
  assert.deepEqual(rig.core.output, { type: "complete", total_samples: 900, connections: 2 });
});

test("a text is cut again where a server did not wait for more", () => {
  const core = new Speaking({});
  const rig = new Speech(core);
  // A letter that is two halves in JavaScript is one character.
  for (const [text, isLate] of [["We wi\u{1d4c1}l hurry", false], [" and", false], [" catch ", true], ["the train. ", false], ["Now, ", false]]) {
    core.push(text, isLate);
  }
  rig.connect();
  rig.started();
  [17, 34, 39].forEach((end, nth) => rig.chunk(100 * nth, 100, end));
  core.broken(LOST);
  assert.deepEqual(rig.connect().map((it) => it.type), ["text", "text", "flush", "text", "text", "text", "flush"]);
});

test("a speech without text is a speech, one that is cancelled ends, and what a request cannot be is final", () => {
  const rig = new Speech(new Speaking({}));
  assert.deepEqual(rig.connect(), []);
  rig.core.flush();
  rig.core.end();
  assert.deepEqual([...outgoing(rig.core)].map((it) => it.type), ["text", "end"]);
  rig.core.cancel();
  assert.deepEqual([...outgoing(rig.core)].map((it) => it.type), ["cancel"]);
  rig.core.broken(LOST);
  assert.equal(rig.core.output.type, "cancelled");
  for (const [code, isFinal] of [["UNKNOWN_VOICE", true], ["TIMEOUT", true], ["DRAINING", false]]) {
    const other = new Speech(new Speaking({}, "One."));
    other.connect();
    assert.throws(() => other.says({ type: "error", code, message: "m", recoverable: true }), (it) => (it.final !== null) === isFinal);
  }
});
