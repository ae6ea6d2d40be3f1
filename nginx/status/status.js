// Puts on the page what the watch has seen, every two seconds. Text goes in as text: nothing that comes is read as HTML.

import { SERVICES, age, bytes, latencyOf, percent, time } from "./figures.js";
import { Watch, summary } from "./watch.js";

const EVERY_MS = 2000;
const NAMES = { asr: "Recogniser", tts: "Synthesiser" };
const SIGNS = { ready: "●", full: "◐", draining: "◔", starting: "○", stalled: "✕", unready: "✕", down: "✕" };

const $ = (id) => document.getElementById(id);
const watch = new Watch();
let paused = false;

function element(tag, text, { className, ...rest } = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return Object.assign(made, rest);
}

/** A cell: a first line, and smaller ones below it. */
function cell(column, first, ...below) {
  const made = element("td");
  made.dataset.column = column;
  made.append(first instanceof Node ? first : element("span", first));
  for (const text of below) if (text) made.append(text instanceof Node ? text : element("small", text));
  return made;
}

function row(instance) {
  const tr = element("tr");
  const name = element("th", instance.name, { scope: "row" });
  name.append(element("small", instance.address));
  tr.append(name);

  const state = element("span", `${SIGNS[instance.state]} ${instance.state}`, { className: `state ${instance.state}` });
  tr.append(cell("State", state, instance.inRotation ? "" : "out of rotation", instance.reasons.join("; ")));
  if (instance.state === "down") {
    const rest = element("td", "no figures while it does not answer");
    rest.colSpan = 6;
    rest.dataset.column = "Figures";
    tr.append(rest);
    return tr;
  }

  const { sessions, places } = instance;
  const meter = element("meter", undefined, { min: 0, max: places, high: places * 0.8, optimum: 0, value: sessions });
  meter.setAttribute("aria-hidden", "true");
  tr.append(cell("Sessions", `${sessions} of ${places}`, meter));
  tr.append(...figureCells(instance));

  const what = [instance.model, instance.device].filter(Boolean).join(" on ");
  const memory = instance.figures ? bytes(instance.figures.memory) : "";
  tr.append(cell("Runs", age(instance.uptime), `version ${instance.version}`, what, memory));
  return tr;
}

function figureCells({ service, figures }) {
  if (!figures) return ["Queue", "Latency", "Lost", "Refused"].map((column) => cell(column, "–"));
  const { queue, wait, latency, lost, refused } = figures;
  const spread = ({ n, p50, p95 }) => (n ? `p50 ${time(p50)}, p95 ${time(p95)}` : "no requests");
  const worded = (value, format) => (value === null ? "–" : format(value));
  const alarm = (value, text) => element("span", text, { className: value > 0 ? "alarm" : "" });
  const lostWord = service === "asr" ? "of speech" : "of gaps";
  return [
    cell("Queue", `${queue ?? "–"} waiting`, `wait p95 ${time(wait.lately.p95)} lately`, `${time(wait.ever.p95)} ever`),
    cell("Latency", `${spread(latency.lately)} lately`, `${spread(latency.ever)} ever (${latency.ever.n})`),
    cell("Lost", alarm(lost.lately, `${worded(lost.lately, time)} ${lostWord} lately`), `${worded(lost.ever, time)} ever`),
    cell("Refused", alarm(refused.lately, `${refused.lately ?? "–"} lately`), `${refused.ever ?? "–"} ever`),
  ];
}

function showService(service, instances) {
  let section = $(`service-${service}`);
  if (!section) {
    section = $("service").content.firstElementChild.cloneNode(true);
    section.id = `service-${service}`;
    const title = section.querySelector("h2");
    title.id = `title-${service}`;
    section.setAttribute("aria-labelledby", title.id);
    section.querySelector("table").setAttribute("aria-labelledby", title.id);
    section.querySelector(".latency").textContent = `Latency: ${latencyOf(service)}`;
    $("services").append(section);
  }
  const n = instances.filter((it) => it.state === "ready").length;
  const sum = (key) => instances.reduce((all, it) => all + (it[key] ?? 0), 0);
  const totals = `${n} of ${instances.length} ready, ${sum("sessions")} of ${sum("places")} places taken`;
  section.querySelector("h2").replaceChildren(`${NAMES[service]} (${service}) `, element("small", totals));
  section.querySelector("tbody").replaceChildren(...instances.map(row));
  section.hidden = instances.length === 0;
}

/** Instances of one machine report the same cards. */
function showGpus(instances) {
  const cards = new Map();
  for (const { address, figures } of instances) {
    const host = String(address).replace(/:\d+$/, "");
    for (const it of figures?.gpus ?? []) cards.set(`${host} GPU ${it.gpu}`, it);
  }
  const rows = [...cards].map(([name, it]) => {
    const tr = element("tr");
    tr.append(element("th", name, { scope: "row" }));
    const share = it.memoryUsed / it.memory;
    const memory = element("span", `${bytes(it.memoryUsed)} of ${bytes(it.memory)}`, { className: share > 0.9 ? "alarm" : "" });
    tr.append(
      cell("Use", percent(it.use)),
      cell("Memory", memory),
      cell("Temperature", it.celsius === null ? "–" : `${it.celsius} °C`),
      cell("Power", it.watts === null ? "–" : `${Math.round(it.watts)} W`),
    );
    return tr;
  });
  $("gpus").querySelector("tbody").replaceChildren(...rows);
  $("gpus").hidden = rows.length === 0;
}

function show(seen) {
  const text = summary(seen);
  const fine = !seen.problem && seen.instances.every((it) => it.state === "ready" && it.inRotation);
  // Only a change is put there, since it is read aloud.
  if ($("summary").textContent !== text) $("summary").textContent = text;
  $("summary").className = fine ? "good" : "bad";
  $("services").classList.toggle("stale", Boolean(seen.problem));
  $("gpus").classList.toggle("stale", Boolean(seen.problem));
  const n = seen.instances.filter((it) => it.state === "ready").length;
  document.title = seen.problem ? "? Voice servers" : `${n}/${seen.instances.length} ready · Voice servers`;
  $("updated").textContent = `asked at ${new Date(seen.at).toLocaleTimeString()}`;
  // What was seen last stays, greyed, while nginx does not answer.
  if (seen.problem) return;
  for (const service of SERVICES) showService(service, seen.instances.filter((it) => it.service === service));
  showGpus(seen.instances);
}

async function goOn() {
  if (!paused && !document.hidden) show(await watch.look());
  setTimeout(goOn, EVERY_MS);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
});

goOn();
