#!/usr/bin/env python3
"""Turns the raw results of scripts/bench_asr.sh into docs/benchmarks.md.

    report.py machine --command TEXT --threads N     this machine, as JSON
    report.py mel --criterion DIR --theirs MS        the two times of log-mel features, as JSON
    report.py common A.json B.json                   recordings that two calibrations agree on
    report.py document --results DIR                 the document
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
from typing import Any

Row = list[str]


def output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(args: argparse.Namespace) -> None:
    cpu = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    print(
        json.dumps(
            {
                "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
                "command": args.command.strip(),
                "threads": args.threads,
                "cpu": cpu.group(1) if cpu else platform.machine(),
                "cores": os.cpu_count(),
                "memory_gb": round(int(memory.group(1)) / 1048576) if memory else 0,
                "kernel": platform.release(),
                "commit": output_of("git", "rev-parse", "--short", "HEAD"),
                "rustc": output_of("rustc", "--version"),
                "load": round(os.getloadavg()[0], 2),
            },
            indent=1,
        )
    )


def mel(args: argparse.Namespace) -> None:
    found = sorted(pathlib.Path(args.criterion).glob("mel_whisper_80*/**/new/estimates.json"))
    if not found:
        raise SystemExit(f"no result of the mel bench under {args.criterion}")
    nanoseconds = json.loads(found[0].read_text())["median"]["point_estimate"]
    print(json.dumps({"ours_ms": nanoseconds / 1e6, "theirs_ms": float(args.theirs)}))


def common(args: argparse.Namespace) -> None:
    sets = [set(json.loads(pathlib.Path(path).read_text())["at_first_look"]) for path in args.calibrations]
    both = sorted(set.intersection(*sets))
    if not both:
        raise SystemExit("no recording ends a turn at the first look on both sides")
    print(",".join(both))


class Results:
    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory

    def text(self, name: str) -> str:
        path = self._directory / name
        return path.read_text() if path.exists() else ""

    def __getitem__(self, name: str) -> Any:
        path = self._directory / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None


def table(head: Row, rows: list[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def verdict(reached: bool) -> str:
    return "reached" if reached else "**not reached**"


def ratio_row(what: str, value: float, goal: float, unit: str = "×") -> Row:
    return [what, f"≥ {goal:g}{unit}", f"**{value:.2f}{unit}**", verdict(value >= goal)]


def most_row(what: str, value: float, goal: float, unit: str) -> Row:
    return [what, f"≤ {goal:g} {unit}", f"**{value:.3g} {unit}**", verdict(value <= goal)]


def medians(files: Any) -> dict[str, float]:
    return {row["name"]: row["median_s"] for row in files["rows"]}


def at_limit(search: Any) -> Any:
    """The report that passed with the most sessions."""
    passed = [report for report in search["reports"] if report["sessions"] == search["limit"]]
    return passed[-1] if passed else None


def streams_per_core(listening: Any) -> float:
    """Seconds of audio for each second of processor, which is how many streams one core keeps up with."""
    return listening["accounting"]["received_samples"] / 16_000 / listening["server"]["cpu_seconds"]


def silero_per_core(results: Results, listening: Any) -> float | None:
    """The same for the calls of the detector alone, which run on one thread."""
    spent = re.search(r'^asr_inference_seconds_sum\{stage="silero"\} (\S+)', results.text("vad-ours.metrics"), re.M)
    return listening["accounting"]["received_samples"] / 16_000 / float(spent.group(1)) if spent else None


def summary(results: Results) -> list[Row]:
    rows: list[Row] = []
    for name, goal, shape in (("files-demo", 2.0, "demo model"), ("files-base", 1.1, "`base`-shaped model")):
        if files := results[name]:
            times = medians(files)
            for vad in ("VAD", "no VAD"):
                value = times[f"faster-whisper sequential, {vad}"] / times[f"ours, {vad}"]
                rows.append(ratio_row(f"long file, {shape}, against faster-whisper sequential, both {vad}", value, goal))
            value = times["faster-whisper batched, VAD"] / times["ours, VAD"]
            rows.append(ratio_row(f"long file, {shape}, against faster-whisper batched", value, 1.0))
    for part, what in (("streams", "one final per pause"), ("turns", "whole turns")):
        ours, theirs = results[f"{part}-ours"], results[f"{part}-theirs"]
        if ours and theirs:
            rows.append(ratio_row(f"concurrent streams, {what}, against the Python server", ours["limit"] / max(theirs["limit"], 1), 3.0))
    if overhead := results["overhead"]:
        rows.append(most_row("time in our code for each final, p99", overhead["latency"]["frame_to_final"]["p99_ms"], 2, "ms"))
    if times := results["mel"]:
        rows.append(ratio_row("log-mel features of 30 s, against faster-whisper's", times["theirs_ms"] / times["ours_ms"], 5.0))
    if vad := results["vad-ours"]:
        if (value := silero_per_core(results, vad)) is not None:
            rows.append(ratio_row("real-time streams for each core, Silero alone", value, 250, ""))
    if idle := results["idle"]:
        rows.append(most_row("memory with 5,000 idle sessions", idle["server_after"]["resident_mb"], 400, "MB"))
    if start := results["start"]:
        rows.append(most_row("from start to ready, median", start["median_s"], 1, "s"))
    if soak := results["soak"]:
        samples = soak["accounting"]
        exact = samples["exact"] and samples["discarded_samples"] == 0 and soak["trouble"]["n_violations"] == 0
        given = f"**{'exact' if exact else 'wrong'}**, {samples['discarded_samples']} discarded"
        rows.append([f"samples accounted for over {soak['seconds'] / 60:.0f} minutes of mixed load", "exact, 0 discarded", given, verdict(exact)])
    return rows


def files_section(results: Results) -> str:
    text = ""
    for name, title in (("files-demo", "demo model"), ("files-base", "`base`-shaped model with random weights")):
        files = results[name]
        if not files:
            continue
        times = medians(files)
        rows = []
        for row in files["rows"]:
            reference = f"faster-whisper sequential, {'no VAD' if row['name'].endswith('no VAD') else 'VAD'}"
            errors = f"{100 * row['word_errors'] / row['words']:.0f} %" if name == "files-demo" else "—"
            spread = f"{min(row['seconds']):.2f}–{max(row['seconds']):.2f}"
            rows.append([row["name"], f"{row['median_s']:.2f}", spread, f"{row['times_real_time']:.0f}×", f"{times[reference] / row['median_s']:.2f}×", errors])
        text += f"\n### {files['audio_s'] / 60:.0f}-minute file, {title}\n\n"
        text += table(["", "median s", "all runs s", "of real time", "against sequential, same VAD", "word errors"], rows)
    return text


def search_rows(results: Results, names: list[str]) -> list[Row]:
    rows = []
    for name in names:
        search = results[name]
        if not search:
            continue
        best = at_limit(search)
        if best is None:
            first = search["reports"][-1]
            late = first["latency"]["end_to_final"]
            rows.append([search["label"], "0", f"{late['p50_ms']:.0f} / {late['p95_ms']:.0f} / {late['p99_ms']:.0f} with {first['sessions']}", "—", "—", "—", "—"])
            continue
        latency = best["latency"]
        end, decision, partial = latency["end_to_final"], latency["decision_to_final"], latency["first_partial"]
        cores = f"{best['server']['cores']:.2f}" if best["server"] else "—"
        rows.append(
            [
                search["label"],
                f"**{search['limit']}**",
                f"{end['p50_ms']:.0f} / {end['p95_ms']:.0f} / {end['p99_ms']:.0f}",
                f"{decision['p50_ms']:.0f} / {decision['p95_ms']:.0f}",
                f"{partial['p50_ms']:.0f} / {partial['p95_ms']:.0f}",
                f"{100 * best['accuracy']['word_error_rate']:.1f} %",
                cores,
            ]
        )
    return rows


SEARCH_HEAD = ["server", "most streams", "end of speech → final, p50 / p95 / p99 ms", "decision → final, p50 / p95 ms", "first partial, p50 / p95 ms", "word errors", "cores used"]


def streams_section(results: Results) -> str:
    text = ""
    rows = search_rows(results, ["streams-ours", "streams-ours-full", "streams-theirs", "streams-theirs-first"])
    if rows:
        text += "\n### One final per pause (`final_on: vad_stop`)\n\n" + table(SEARCH_HEAD, rows)
        text += "\n![Latency against load](images/asr_load.svg)\n"
    rows = search_rows(results, ["turns-ours", "turns-theirs"])
    if rows:
        text += "\n### Whole turns (`final_on: turn_end`), recordings judged complete at the first look\n\n" + table(SEARCH_HEAD, rows)
    return text


def other_section(results: Results) -> str:
    lines = []
    if times := results["mel"]:
        lines.append(f"- **Log-mel features of 30 s, 80 bands:** {times['ours_ms']:.2f} ms; faster-whisper {times['theirs_ms']:.1f} ms.")
    if overhead := results["overhead"]:
        times = overhead["latency"]["frame_to_final"]
        lines.append(
            f"- **Time in our code for each final:** p50 {times['p50_ms']:.2f}, p95 {times['p95_ms']:.2f}, p99 {times['p99_ms']:.2f} ms over {times['n']} finals "
            f"of {overhead['sessions']} streams, with models that answer at once: from the sending of the frame that ends the speech to the final in the client's "
            "hands, both sockets and the client's own share included."
        )
    if vad := results["vad-ours"]:
        theirs = results["vad-theirs"]
        beside = f"; the Python server {streams_per_core(theirs):.0f}" if theirs else ""
        alone = silero_per_core(results, vad)
        silero = f"; the calls of Silero alone with {alone:.0f}" if alone is not None else ""
        lines.append(
            f"- **Listening:** with {vad['sessions']} streams in which nobody speaks, one core keeps up with {streams_per_core(vad):.0f} of them, "
            f"WebSockets, Silero and all{silero}{beside}. The load generator used {vad['client']['cores']:.2f} cores of the same machine."
        )
    if idle := results["idle"]:
        before, after = idle["server_before"]["resident_mb"], idle["server_after"]["resident_mb"]
        lines.append(
            f"- **Idle sessions:** {idle['opened']} open at once: {after:.0f} MB resident, {before:.0f} MB before, "
            f"{(after - before) * 1024 / max(idle['opened'], 1):.1f} KB each; {idle['held']} still open after {idle['hold_seconds']:.0f} s."
        )
    if start := results["start"]:
        lines.append(f"- **Start:** ready after {start['median_s']:.2f} s (median of {len(start['seconds'])}; the first took {start['first_s']:.2f} s).")
    if soak := results["soak"]:
        samples, uploads, words = soak["accounting"], soak["uploads"] or {}, soak["utterances"]
        trouble = soak["trouble"]
        lines.append(
            f"- **Soak:** {soak['sessions']} sessions for {soak['seconds'] / 60:.0f} minutes with {uploads.get('done', 0)} uploads "
            f"({uploads.get('failed', 0)} failed) and {samples['resumes']} broken connections resumed: "
            f"{samples['received_samples']:,} samples received = {samples['transcribed_samples']:,} transcribed + {samples['silence_samples']:,} silence "
            f"+ {samples['discarded_samples']:,} discarded; {words['spoken']} recordings, {words['missing']} without a final; "
            f"{trouble['n_violations']} broken promises, {sum(trouble['errors'].values())} errors, {sum(trouble['lost'].values())} lost connections; "
            f"{soak['server']['resident_mb']:.0f} MB resident at the end."
        )
    return "\n".join(lines) + "\n"


HOW = """\
## How to read it

- **Only ratios travel.** Both sides of each comparison run on the same machine in the same run, with the same model files,
  threads and numbers (int8). Another machine gives other times.
- **The Python server** (`tests/baseline`) is the usual design made with care: FastAPI, uvicorn with uvloop, one shared
  faster-whisper model behind one queue with one worker, Silero state for each user, Smart Turn for each turn with the same ONNX files,
  thresholds and times as ours, drafts by transcribing the growing buffer again after each second of speech, greedy and without fallback, and every
  model call in a thread. "Finals first" gives it a priority queue, which is not part of that design.
- **faster-whisper always encodes 30 s**, however short the clip; that is how the library works. The embedded demo model was trained for windows of
  any length, so our server encodes only what there is. OpenAI's weights need the full window for finals, and there this part of the
  difference is gone: the rows "30 s windows" show our server with `model.window=full` on the same demo model.
- **The demo model is tiny.** With it, most of the time is the encoder's window and everything around the model, which flatters whoever wastes less of both.
  The `base`-shaped model has the size, vocabulary and cost of Whisper base and random weights: its text is nonsense, its times are not.
- **The long file** is made of short recordings that the demo model reads word for word, and of pauses; half of it is speech. Ten unrelated sentences in one window
  of 30 s are more than that model learnt, on either side; the word errors are there to show that nobody is fast by leaving words out.
- **A stream** is a WebSocket fed in real time with 40 ms frames, recordings with pauses of 1.5 to 4 s in random phase, partials on. *End of speech* is
  the wall time at which the last voiced sample was sent, so the latency contains the 200 ms of silence that end a stretch of speech.
  *Decision* is `speech_end`. A number of streams is carried when p95 is at most 500 ms from the end of speech and 300 ms from the decision, nothing is
  refused or lost and every recording has its final; a failed number is tried twice.
- The load generator runs on the same machine and takes its share; it reports how late its own frames were, and a run in which they were late does not count.
"""


def document(args: argparse.Namespace) -> None:
    results = Results(pathlib.Path(args.results))
    here = results["machine"]
    print("# Benchmarks of the recogniser\n")
    print("Written by `scripts/bench_asr.sh`; do not edit. Run it to get the same tables for your machine.\n")
    print(
        f"{here['date']}, commit `{here['commit']}`, `{here['command']}`  \n"
        f"{here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB, Linux {here['kernel']}, {here['rustc']}  \n"
        f"{here['threads']} threads for each Whisper call; load average {here['load']} before the run\n"
    )
    rows = summary(results)
    print("## Goals\n")
    print(table(["", "goal", "measured", ""], rows) if rows else "Nothing was measured yet.\n")
    print(HOW)
    print("## Files" + "\n" + (files_section(results) or "\nNot measured.\n"))
    print("## Streams" + "\n" + (streams_section(results) or "\nNot measured.\n"))
    print("## Everything else\n")
    print(other_section(results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("machine")
    command.add_argument("--command", required=True)
    command.add_argument("--threads", type=int, required=True)
    command.set_defaults(run=machine)
    command = commands.add_parser("mel")
    command.add_argument("--criterion", required=True)
    command.add_argument("--theirs", required=True)
    command.set_defaults(run=mel)
    command = commands.add_parser("common")
    command.add_argument("calibrations", nargs=2)
    command.set_defaults(run=common)
    command = commands.add_parser("document")
    command.add_argument("--results", required=True)
    command.set_defaults(run=document)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
