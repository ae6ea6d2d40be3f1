/** Streams over connections that break, against servers that know what has to come out. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { listen, openSpeech, speak } from "../src/index.js";
import { Fake, WORD, random } from "./fakes.js";

const FAST = { attempts: 30, firstWait: 1 };
const ASR = "ws://fake/v1/stream/asr";
const TTS = "ws://fake/v1/stream/tts";

/** Audio in which the n-th word is n. */
const numbers = (n) => Int16Array.from({ length: n * WORD }, (_, it) => Math.floor(it / WORD));
const range = (n) => Array.from({ length: n }, (_, it) => it);

async function collect(stream) {
  const events = [];
  for await (const event of stream) {
    events.push(event);
  }
  return events;
}

async function stream(fake, audio) {
  const opened = await listen(ASR, { WebSocket: fake.Socket, patience: FAST });
  const reading = collect(opened);
  const bytes = new Uint8Array(audio.buffer);
  for (let begin = 0; begin < bytes.length; begin += 333) {
    await opened.send(bytes.subarray(begin, begin + 333));
  }
  const receipt = await opened.finish();
  return [receipt, await reading];
}

test("every word is told once however often the connection breaks", async () => {
  for (const seed of range(12)) {
    const draw = random(seed);
    const fates = range(25).map(() => [0, 1, 2, 3, 4, 5, 8, 13, 40][Math.floor(9 * draw())]);
    const [receipt, events] = await stream(new Fake({ fates }), numbers(60));
    const of = (type) => events.filter((it) => it.type === type);
    assert.deepEqual(of("final").map((it) => Number(it.text)), range(60), `fates ${fates}`);
    for (const type of ["speech_start", "final", "turn_end"]) {
      assert.deepEqual(of(type).map((it) => it.segment_id), range(60).map((it) => it + 1), type);
    }
    assert.deepEqual([receipt.samples, receipt.segments], [60 * WORD, 60]);
    assert.ok(receipt.connections > 3);
    assert.equal(events[0].type, "ready");
    assert.equal(events.at(-1), receipt);
  }
});

test("a stream that is not answered waits for room", async () => {
  const fake = new Fake({ fates: [2] });
  const opened = await listen(ASR, { WebSocket: fake.Socket, patience: FAST, maxKeptSeconds: 0.5 });
  fake.isDeaf = true;
  let nSent = 0;
  const sending = (async () => {
    for (; nSent < 100; nSent += 1) {
      await opened.send(new Int16Array(1600));
    }
  })();
  do {
    await new Promise((resolve) => setTimeout(resolve, 50));
  } while (nSent < 10);
  assert.ok(nSent < 20, `${nSent} frames were taken`);
  opened.close();
  await assert.rejects(sending, { code: "OVER" });
  await assert.rejects(opened.finish(), { code: "OVER" });
  assert.deepEqual((await collect(opened)).map((it) => it.type), ["ready"]);
});

test("who is told of an error alone does not wait for more", async () => {
  const fake = new Fake({ fates: ["error", "error"] });
  const began = Date.now();
  const opened = await listen(ASR, { WebSocket: fake.Socket, patience: FAST });
  opened.close();
  assert.equal(fake.nConnections, 3);
  const dead = new Fake({ fates: range(9).map(() => "error") });
  const patience = { attempts: 3, firstWait: 1 };
  await assert.rejects(listen(ASR, { WebSocket: dead.Socket, patience }), { code: "GAVE_UP", message: /no such luck/ });
  // One attempt alone has ten seconds.
  assert.ok(Date.now() - began < 9_000);
});

test("a server of which nothing is heard is left", async () => {
  const fake = new Fake({ isDeaf: true });
  const patience = { attempts: 3, firstWait: 1, silence: 30 };
  await assert.rejects(listen(ASR, { WebSocket: fake.Socket, patience }), { code: "GAVE_UP", message: /nothing was heard/ });
  assert.equal(fake.nConnections, 3);
});

test("the key is in the address, and a finalize is answered", async () => {
  const fake = new Fake();
  const opened = await listen(ASR, { WebSocket: fake.Socket, apiKey: "a&b" });
  await opened.finalize("f1");
  await opened.finish();
  assert.deepEqual((await collect(opened)).map((it) => it.id ?? it.type), ["ready", "f1", "closed"]);
  assert.deepEqual(fake.urls, [`${ASR}?api_key=a%26b`]);
});

test("what cannot be is an error at once and a dead server is one soon", async () => {
  await assert.rejects(listen("http://localhost", { WebSocket: new Fake().Socket }), { code: "IMPOSSIBLE" });
  await assert.rejects(listen(ASR, { WebSocket: null }), { code: "IMPOSSIBLE", message: /WebSocket/ });
  await assert.rejects(listen(ASR, { WebSocket: new Fake().Socket, config: { encoding: "ogg_opus" } }), { code: "IMPOSSIBLE" });
  const fake = new Fake();
  await assert.rejects(listen(ASR, { WebSocket: fake.Socket, config: { language: "xx" } }), { code: "UNKNOWN_LANGUAGE" });
  assert.equal(fake.nConnections, 1);
  const patience = { attempts: 3, firstWait: 1 };
  await assert.rejects(listen(ASR, { WebSocket: new Fake({ fates: Array(9).fill(0) }).Socket, patience }), { code: "GAVE_UP" });
  const opened = await listen(ASR, { WebSocket: new Fake({ fates: [2, ...Array(9).fill(0)] }).Socket, patience });
  await assert.rejects(collect(opened), { code: "GAVE_UP" });
  await assert.rejects(opened.send(new Uint8Array(2)), { code: "OVER" });
  await assert.rejects(opened.finish(), { code: "GAVE_UP" });
});

test("a server that dies in mid-stream is given up as soon", async () => {
  // What the first connection brought is no progress of those that never were.
  const patience = { attempts: 3, firstWait: 1 };
  const fake = new Fake({ fates: [8, ...Array(20).fill(0)] });
  const opened = await listen(ASR, { WebSocket: fake.Socket, patience });
  for (const word of range(20)) {
    await opened.send(numbers(20).subarray(word * WORD, (word + 1) * WORD));
  }
  await assert.rejects(collect(opened), { code: "GAVE_UP" });
  assert.equal(fake.nConnections, 3);
  const speaker = new Fake({ fates: [5, ...Array(20).fill(0)], nSamples: 1999 });
  await assert.rejects(collect(speak(TTS, "Hello.", { WebSocket: speaker.Socket, patience })), { code: "GAVE_UP" });
  assert.equal(speaker.nConnections, 3);
});

test("who says nothing outlives any number of restarts", async () => {
  const patience = { attempts: 3, firstWait: 1, longestWait: 20 };
  const restarts = Array(8).fill(100);
  const restarted = async (fake) => {
    for (const began = Date.now(); fake.nConnections < 9 && Date.now() - began < 9_000; ) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const fake = new Fake({ restarts });
  const opened = await listen(ASR, { WebSocket: fake.Socket, patience });
  await restarted(fake);
  await opened.send(numbers(1));
  assert.equal((await opened.finish()).samples, WORD);
  const speaker = new Fake({ restarts, nSamples: 10 });
  const speech = openSpeech(TTS, { WebSocket: speaker.Socket, patience });
  await restarted(speaker);
  await speech.push("Hello.");
  await speech.end();
  assert.equal((await speech.audio()).length, 20);
  assert.deepEqual([fake.nConnections, speaker.nConnections], [9, 9]);
});

test("a server that is ready and crashes is given up", async () => {
  const patience = { attempts: 3, firstWait: 1 };
  const fake = new Fake({ restarts: Array(9).fill(0) });
  const opened = await listen(ASR, { WebSocket: fake.Socket, patience });
  await assert.rejects(opened.finish(), { code: "GAVE_UP" });
  assert.equal(fake.nConnections, 3);
  const speaker = new Fake({ restarts: Array(9).fill(0) });
  await assert.rejects(openSpeech(TTS, { WebSocket: speaker.Socket, patience }).audio(), { code: "GAVE_UP" });
  assert.equal(speaker.nConnections, 3);
});

test("audio is copied, whatever holds it", async () => {
  // It breaks as soon as it is open: all is sent when the block is used again.
  const fake = new Fake({ fates: [2] });
  const opened = await listen(ASR, { WebSocket: fake.Socket, patience: FAST });
  const block = numbers(3);
  await opened.send(block.subarray(0, WORD));
  await opened.send(block.buffer.slice(2 * WORD, 4 * WORD));
  await opened.send(new DataView(block.buffer, 4 * WORD));
  block.fill(99);
  await opened.finish();
  assert.deepEqual((await collect(opened)).filter((it) => it.type === "final").map((it) => it.text), ["0", "1", "2"]);
  await assert.rejects(opened.send([1, 2]), { code: "OVER" });
});

test("no sample is missing or comes twice", async () => {
  for (const seed of range(12)) {
    const draw = random(seed);
    const fates = range(25).map(() => [0, 1, 2, 3, 4, 5, 8][Math.floor(7 * draw())]);
    const fake = new Fake({ fates, nSamples: 1999 });
    const events = await collect(speak(TTS, "Hello.", { WebSocket: fake.Socket, patience: FAST, speech: { speed: 1.5 } }));
    const chunks = events.filter((it) => it.type === "audio_chunk");
    assert.deepEqual(chunks.flatMap((it) => Array.from(new Int16Array(it.audio))), range(1999), `fates ${fates}`);
    assert.deepEqual(chunks.map((it) => it.chunk_id), range(chunks.length).map((it) => it + 1));
    assert.equal(events.at(-1).total_samples, 1999);
    assert.ok(events.at(-1).connections > 2);
    for (const asked of fake.asked.flat()) {
      assert.deepEqual([asked.text, asked.speed, asked.temperature], ["Hello.", 1.5, 0.5]);
    }
  }
});

test("text in pieces is sent again whole", async () => {
  const fake = new Fake({ fates: [1, 4, 2], nSamples: 300 });
  const speech = openSpeech(TTS, { WebSocket: fake.Socket, patience: FAST });
  for (const piece of ["Good ", "morn", "ing."]) {
    await speech.push(piece);
  }
  await speech.flush();
  await speech.end();
  assert.equal((await speech.audio()).length, 600);
  for (const session of fake.asked.slice(1)) {
    assert.deepEqual(session.map((it) => it.type), ["text", "text", "text", "flush", "end"]);
    assert.equal(session.map((it) => it.text ?? "").join(""), "Good morning.");
  }
});

test("a speech is cancelled whenever it is", async () => {
  const fake = new Fake({ nSamples: 10 });
  const types = async (speech) => (await collect(speech)).map((it) => it.type);
  const soon = () => new Promise((resolve) => setTimeout(resolve, 20));
  const early = speak(TTS, "Hello", { WebSocket: fake.Socket });
  early.cancel();
  assert.deepEqual(await types(early), ["cancelled"]);
  const idle = openSpeech(TTS, { WebSocket: fake.Socket });
  await soon();
  idle.cancel();
  assert.deepEqual(await types(idle), ["cancelled"]);
  const begun = openSpeech(TTS, { WebSocket: fake.Socket });
  await begun.push("Hello");
  while (!fake.asked.flat().some((it) => it.type === "text")) {
    await soon();
  }
  begun.cancel();
  assert.deepEqual(await types(begun), ["cancelled"]);
  assert.equal(fake.asked.at(-1).at(-1).type, "cancel");
});

test("what cannot be said is an error and is not tried again", async () => {
  const fake = new Fake({ nSamples: 10 });
  const speech = speak(TTS, "Hello", { WebSocket: fake.Socket, speech: { voice_id: "nobody" } });
  await assert.rejects(speech.audio(), { code: "UNKNOWN_VOICE" });
  assert.equal(fake.nConnections, 1);
});
