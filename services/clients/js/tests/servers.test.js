/** The real servers, one of which is killed while it is heard, or speaks. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { listen, speak } from "../src/index.js";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const TARGET = join(process.env.CARGO_TARGET_DIR || join(ROOT, "target"), "release");
const MISSING = ["asr", "tts"].filter((it) => !existsSync(join(TARGET, it)));
// Where everything is built, a server that is missing is a failure.
const skip = MISSING.length > 0 && process.env.CI !== "true" ? `no ${MISSING} in ${TARGET}: cargo build --release -p asr -p tts` : false;
const options = { skip, timeout: 120_000 };

// What the built-in model reads word for word.
const READ_WELL = {
  held_espeak_086: "They want to fix the book.",
  held_espeak_084: "He is 25 years old.",
  held_ked_112: "My name is Grace.",
  held_ked_136: "I need to change my problem.",
  held_slt_hts_110: "Don't forget the sugar.",
  seen_flite_014: "How many trains do you have?",
};
const STORY = "The train to the city leaves at nine. We will have to hurry to catch it. Bring the red umbrella, please.";
const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu);
const recording = (name) => join(ROOT, "tests/fixtures/speech", `${name}.wav`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A server that runs. */
class Instance {
  async start(name) {
    const probe = net.createServer();
    await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
    this.port = probe.address().port;
    await new Promise((resolve) => probe.close(resolve));
    this.process = spawn(join(TARGET, name), ["--host", "127.0.0.1", "--port", String(this.port)], { cwd: ROOT, stdio: "ignore" });
    for (let n = 0; n < 600; n += 1) {
      const answer = await fetch(`http://127.0.0.1:${this.port}/readyz`).catch(() => null);
      if (answer?.ok) {
        return this;
      }
      assert.equal(this.process.exitCode, null, `${name} did not start`);
      await sleep(100);
    }
    assert.fail(`${name} did not get ready`);
  }

  kill() {
    this.process.kill("SIGKILL");
  }
}

const instances = { asr: [], tts: [] };
let balancer;
let host;

before(async () => {
  if (skip) {
    return;
  }
  const names = ["asr", "asr", "tts", "tts"];
  const started = await Promise.all(names.map((it) => new Instance().start(it)));
  started.forEach((it, nth) => instances[names[nth]].push(it));
  // Leads to the first instance that answers, by the path that is asked for.
  balancer = net.createServer((client) => {
    client.on("error", () => {});
    client.once("data", (head) => {
      client.pause();
      const ports = instances[head.includes("/stream/tts") ? "tts" : "asr"].map((it) => it.port);
      const attempt = () => {
        const port = ports.shift();
        if (port === undefined) {
          return client.destroy();
        }
        const server = net.connect(port, "127.0.0.1", () => {
          server.write(head);
          server.pipe(client).pipe(server);
        });
        let isOpen = false;
        server.on("connect", () => (isOpen = true));
        server.on("error", () => (isOpen ? client.destroy() : attempt()));
        client.on("close", () => server.destroy());
      };
      attempt();
    });
  });
  await new Promise((resolve) => balancer.listen(0, "127.0.0.1", resolve));
  host = `127.0.0.1:${balancer.address().port}`;
});

after(() => {
  Object.values(instances).flat().forEach((it) => it.kill());
  balancer?.close();
});

// First, while all instances live.
test("the example of the documentation runs", options, async () => {
  const example = readFileSync(join(ROOT, "docs/CLIENTS.md"), "utf8").match(/```js\n([^]*?)```/)[1];
  const folder = mkdtempSync(join(tmpdir(), "voice-client-"));
  try {
    const library = pathToFileURL(join(ROOT, "services/clients/js/src/index.js")).href;
    writeFileSync(join(folder, "example.mjs"), example.replace('"voice-client"', JSON.stringify(library)));
    const told = await new Promise((resolve, reject) => {
      const program = ["--experimental-websocket", join(folder, "example.mjs"), host, recording("held_ked_136")];
      execFile(process.execPath, program, { timeout: 60_000 }, (error, stdout, stderr) => (error ? reject(new Error(stderr)) : resolve(stdout)));
    });
    assert.match(told, /I need to change my problem\.\n[1-9][0-9.]* seconds of speech/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("every word is told once though the instance is killed", options, async () => {
  const audio = Buffer.concat(Object.keys(READ_WELL).flatMap((it) => [readFileSync(recording(it)).subarray(44), Buffer.alloc(38_400)]));
  const stream = await listen(`ws://${host}/v1/stream/asr`);
  const events = [];
  const reading = (async () => {
    for await (const event of stream) {
      events.push(event);
    }
  })();
  for (let nth = 0; nth * 3_200 < audio.length; nth += 1) {
    await stream.send(audio.subarray(3_200 * nth, 3_200 * (nth + 1)));
    // Six times as fast as speech.
    await sleep(100 / 6);
    if (nth === 70) {
      instances.asr[0].kill();
    }
  }
  const receipt = await stream.finish();
  await reading;
  const of = (type) => events.filter((it) => it.type === type);
  assert.deepEqual(words(of("final").map((it) => it.text).join(" ")), words(Object.values(READ_WELL).join(" ")));
  assert.deepEqual([receipt.samples, receipt.connections, of("resumed").length], [audio.length / 2, 2, 1]);
  assert.equal(of("turn_end").length, of("final").length);
});

test("no sample is missing though the instance is killed", options, async () => {
  const url = `ws://${host}/v1/stream/tts`;
  const speech = { chunk_size: 8, temperature: 0.7 };
  let position = 0;
  let seed;
  let nResumed = 0;
  let end;
  for await (const event of speak(url, STORY, { speech })) {
    if (event.type === "synthesis_started") {
      seed = event.seed;
    } else if (event.type === "resumed") {
      assert.equal(event.start_sample, position);
      nResumed += 1;
    } else if (event.type === "audio_chunk") {
      assert.deepEqual([event.start_sample, event.audio.byteLength], [position, 2 * event.samples]);
      position += event.samples;
      if (event.chunk_id === 2) {
        instances.tts[0].kill();
      }
    } else {
      end = event;
    }
  }
  assert.deepEqual(end, { type: "complete", total_samples: position, connections: 2 });
  assert.equal(nResumed, 1);
  const whole = await speak(url, STORY, { speech: { ...speech, seed } }).audio();
  assert.equal(whole.length, 2 * position);
});
