// Asks nginx which instances there are, and each of them how it is. Knows the network and the time, and nothing of the page.

import { SERVICES, figures, reading } from "./figures.js";

/** How long an answer may take before the instance counts as not answering. */
const PATIENCE_MS = 3000;
/** "Lately" is the last minute: most polls of 2 s see no request at all. */
const LATELY_MS = 60_000;

/** Watches the instances that `origin` knows. */
export class Watch {
  /** @param {string} origin where nginx is; empty for the page's own */
  constructor(origin = "", { patience = PATIENCE_MS, lately = LATELY_MS, clock = () => Date.now() } = {}) {
    this.origin = origin;
    this.patience = patience;
    this.lately = lately;
    this.clock = clock;
    /** Readings of each instance, the oldest first. */
    this.readings = new Map();
  }

  /** How everything is now. Never throws: what cannot be reached is part of the answer. */
  async look() {
    let list;
    try {
      list = await this.#ask("/instances.json", (answer) => answer.json());
      if (!Array.isArray(list)) throw new Error("it is no list");
    } catch (error) {
      return { at: this.clock(), instances: [], problem: `The list of instances cannot be read: ${words(error)}.` };
    }
    const known = list.filter((it) => SERVICES.includes(it?.service) && typeof it.name === "string");
    const instances = await Promise.all(known.map((it) => this.#lookAt(it)));
    for (const name of this.readings.keys()) {
      if (!known.some((it) => it.name === name)) this.readings.delete(name);
    }
    const problem = known.length ? null : "No instance is known to nginx: start some with scripts/start_all.sh.";
    return { at: this.clock(), instances, problem };
  }

  async #lookAt({ service, name, address, state }) {
    const instance = { service, name, address, inRotation: state !== "down", reasons: [] };
    const path = `/instances/${encodeURIComponent(name)}`;
    try {
      const health = await this.#ask(`${path}/health`, (answer) => answer.json());
      if (health?.status === "unreachable") throw new Error("nginx cannot reach it");
      if (health?.service !== service) throw new Error("something else answers there");
      Object.assign(instance, {
        state: stateOf(health),
        reasons: Array.isArray(health.reasons) ? health.reasons.map(String) : [],
        version: health.version,
        model: health.model,
        device: health.device,
        uptime: health.uptime_s,
        sessions: health.connections,
        places: health.max_connections,
      });
    } catch (error) {
      return { ...instance, state: "down", reasons: [words(error)] };
    }
    try {
      const text = await this.#ask(`${path}/metrics`, (answer) => (answer.ok ? answer.text() : Promise.reject(new Error("no figures"))));
      instance.figures = this.#since(name, reading(service, text));
    } catch (error) {
      instance.reasons.push(`its figures cannot be read: ${words(error)}`);
    }
    return instance;
  }

  #since(name, now) {
    const at = this.clock();
    const recent = (this.readings.get(name) ?? []).filter((it) => at - it.at <= this.lately);
    this.readings.set(name, [...recent, { at, now }]);
    return figures(now, recent[0]?.now);
  }

  async #ask(path, read) {
    const ends = AbortSignal.timeout(this.patience);
    const answer = await fetch(this.origin + path, { cache: "no-store", signal: ends });
    if (answer.status === 404) throw new Error("nginx does not know it");
    return read(answer);
  }
}

/** One word for what `/health` says. */
function stateOf(health) {
  if (health.status === "ok") return "ready";
  if (health.status === "unready" && health.connections >= health.max_connections) return "full";
  return ["draining", "starting", "stalled"].includes(health.status) ? health.status : "unready";
}

function words(error) {
  if (error?.name === "TimeoutError" || error?.name === "AbortError") return "no answer in time";
  if (error instanceof TypeError) return "nginx does not answer";
  if (error instanceof SyntaxError) return "what answers is not ours";
  return error?.message ?? String(error);
}

/** What an operator should know first, in a sentence or two. */
export function summary({ instances, problem }) {
  if (problem) return problem;
  const sentences = [];
  for (const service of SERVICES) {
    const all = instances.filter((it) => it.service === service);
    if (!all.length) continue;
    const n = all.filter((it) => it.state === "ready").length;
    sentences.push(`${service}: ${n} of ${all.length} ready.`);
  }
  for (const it of instances) {
    if (it.state !== "ready") sentences.push(`${it.name} is ${it.state}.`);
    else if (!it.inRotation) sentences.push(`${it.name} is out of rotation.`);
  }
  return sentences.join(" ");
}
