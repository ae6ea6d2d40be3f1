// From the text of `/metrics` to the few figures that the page shows. Pure: no page, no network, no clock.

/** One measured value: `name{labels} value`. */
const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Every series of a text, as `{name, labels, value}`. Lines that are none are passed over. */
export function parse(text) {
  const series = [];
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line.trim());
    if (!found) continue;
    const labels = {};
    for (const [, label, value] of (found[2] ?? "").matchAll(LABEL)) labels[label] = value;
    series.push({ name: found[1], labels, value: number(found[3]) });
  }
  return series;
}

function number(text) {
  return text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);
}

/** The sum of the series of that name that `wanted` takes; null if there are none. */
export function sum(series, name, wanted = () => true) {
  const values = series.filter((it) => it.name === name && wanted(it.labels)).map((it) => it.value);
  return values.length ? values.reduce((all, it) => all + it, 0) : null;
}

/** The buckets of that name as a map from upper bound to the count up to it, over all series that `wanted` takes; null if there are none. */
export function histogram(series, name, wanted = () => true) {
  const buckets = new Map();
  for (const it of series) {
    if (it.name !== name || !wanted(it.labels)) continue;
    const bound = number(it.labels.le);
    buckets.set(bound, (buckets.get(bound) ?? 0) + it.value);
  }
  return buckets.size ? new Map([...buckets].sort(([a], [b]) => a - b)) : null;
}

/** What came to a histogram since `before`. All of it, if there is no before or it is of another shape. */
export function since(now, before) {
  if (!now || !before || now.size !== before.size) return now;
  const newly = new Map([...now].map(([bound, n]) => [bound, n - before.get(bound)]));
  // A count that fell is of a process that has started anew.
  return [...newly.values()].every((n) => n >= 0) ? newly : now;
}

/** How many values a histogram holds. */
export function count(buckets) {
  return buckets?.get(Infinity) ?? 0;
}

/**
 * The value below which the share `q` of a histogram lies, as Prometheus computes it: even within a bucket, from 0 on.
 * null for an empty one. What lies beyond the last bound is that bound.
 */
export function quantile(q, buckets) {
  const rank = q * count(buckets);
  if (!(rank > 0)) return null;
  let [lower, below] = [0, 0];
  for (const [bound, n] of buckets) {
    if (n >= rank) {
      return bound === Infinity ? lower : lower + ((bound - lower) * (rank - below)) / (n - below);
    }
    [lower, below] = [bound, n];
  }
  return lower;
}

/** Where each service has its figures. A file that waits, and a draft, are nobody's delay. */
const KINDS = {
  asr: {
    latency: "asr_final_latency_seconds_bucket",
    measures: "end of speech to final text",
    queue: "asr_queue_depth",
    wait: ["asr_queue_wait_seconds_bucket", (it) => it.model === "whisper" && it.lane === "urgent"],
    refused: "asr_rejected_total",
    lost: ["asr_audio_discarded_seconds_total", (it) => it.reason === "failed"],
  },
  tts: {
    latency: "tts_first_chunk_seconds_bucket",
    measures: "request to first audio",
    queue: "tts_queue_depth",
    wait: ["tts_queue_wait_seconds_bucket", (it) => it.model === "language-model" && it.lane !== "background"],
    refused: "tts_rejected_total",
    lost: ["tts_starved_seconds_total", undefined],
  },
};

/** Services that the page knows. */
export const SERVICES = Object.keys(KINDS);

/** What the latency of a service is measured from and to. */
export function latencyOf(service) {
  return KINDS[service].measures;
}

/** What is kept of one answer, to be compared with later ones. */
export function reading(service, text) {
  const kind = KINDS[service];
  const series = parse(text);
  const gpu = (name, labels) => sum(series, name, (it) => it.gpu === labels.gpu);
  return {
    started: sum(series, "process_start_time_seconds"),
    memory: sum(series, "process_resident_memory_bytes"),
    queue: sum(series, kind.queue),
    latency: histogram(series, kind.latency),
    wait: histogram(series, ...kind.wait),
    lost: sum(series, ...kind.lost),
    refused: sum(series, kind.refused, (it) => ["at_capacity", "overloaded"].includes(it.reason)),
    gpus: series
      .filter((it) => it.name === "gpu_memory_total_bytes")
      .map(({ labels, value }) => ({
        gpu: labels.gpu,
        use: gpu("gpu_utilization_ratio", labels),
        memoryUsed: gpu("gpu_memory_used_bytes", labels),
        memory: value,
        celsius: gpu("gpu_temperature_celsius", labels),
        watts: gpu("gpu_power_watts", labels),
      })),
  };
}

/** The figures of an instance: of the time since `before`, if there is one, and of its whole life. */
export function figures(now, before) {
  // A process that was started anew has done all that it did since.
  const same = before?.started === now.started ? before : null;
  const spread = (buckets) => ({ n: count(buckets), p50: quantile(0.5, buckets), p95: quantile(0.95, buckets) });
  const lately = (key) => spread(before ? since(now[key], same?.[key]) : null);
  const newly = (key) => (now[key] === null || !before ? null : now[key] - (same?.[key] ?? 0));
  return {
    queue: now.queue,
    memory: now.memory,
    gpus: now.gpus,
    latency: { lately: lately("latency"), ever: spread(now.latency) },
    wait: { lately: lately("wait"), ever: spread(now.wait) },
    lost: { lately: newly("lost"), ever: now.lost },
    refused: { lately: newly("refused"), ever: now.refused },
  };
}

// --- in words ---

/** Seconds as people read them: `215 ms`, `1.2 s`. */
export function time(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return seconds === 0 ? "0 ms" : "< 1 ms";
  return seconds < 0.9995 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}

/** How long something runs: `42 s`, `3 h 7 min`, `5 d 2 h`. */
export function age(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([length]) => seconds >= length);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + (first === 2 ? 1 : 2));
  let rest = seconds;
  const words = [];
  for (const [length, unit] of shown) {
    const n = Math.floor(rest / length);
    rest -= n * length;
    if (n) words.push(`${n} ${unit}`);
  }
  return words.join(" ");
}

/** Bytes as people read them: `1.9 GiB`. */
export function bytes(n) {
  if (!Number.isFinite(n)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) [n, unit] = [n / 1024, unit + 1];
  return `${n < 10 && unit ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

/** A share as a percentage. */
export function percent(ratio) {
  return Number.isFinite(ratio) ? `${Math.round(ratio * 100)} %` : "–";
}
