#!/usr/bin/env python3
"""Turns the raw results of scripts/bench_tts.sh into docs/benchmarks_tts.md.

    report_tts.py --results DIR
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from report import Results, Row, most_row, ratio_row, table, verdict

TOKEN_S = 0.04
# What PocketSphinx makes of the speech that the demo model learned from: services/tts/models/demo/README.md.
CEILING = "teacher's own speech 2 % (rms) and 9 % (slt); its tokens through our decoder 5 % and 17 %"


def tokens_per_s(run: Any) -> float:
    return float(run["audio_seconds"] / TOKEN_S / run["seconds"])


def loops(results: Results) -> list[Any]:
    return [it for it in (results["loop-1"], results["loop-all"]) if it]


def is_right(run: Any) -> bool:
    """Nothing lost, refused, wrong or without an end."""
    requests, trouble = run["requests"], run["trouble"]
    ended = sum(requests[it] for it in ("completed", "cancelled", "failed", "abandoned"))
    wrong = trouble["n_violations"] + len(trouble["refused"]) + len(trouble["lost"]) + len(trouble["errors"])
    return ended == requests["asked"] and requests["failed"] == 0 and wrong == 0


def summary(results: Results) -> list[Row]:
    rows: list[Row] = []
    one, eight = results["batch-1"], results["batch-8"]
    if one and eight:
        rows.append(ratio_row("tokens a second, batch 8 against batch 1, Nano-shaped", tokens_per_s(eight) / tokens_per_s(one), 3.0))
    if (ours := results["overhead"]) and (found := loops(results)):
        theirs = min(it["median_total_s"] for it in found)
        value = ours["latency"]["last_chunk"]["p50_ms"] / 1e3 / theirs
        rows.append(most_row("one sentence, total time against the bare loop", value, 0.9, "×"))
    if run := results["streams"]:
        played = run["playback"]
        rows.append([f"{run['sessions']} concurrent listeners: requests with a chunk too late", "0", f"**{played['starved']} of {played['played']}**", verdict(played["starved"] == 0)])
        rows.append(most_row(f"{run['sessions']} concurrent listeners: first sound, p95", run["latency"]["first_chunk"]["p95_ms"], 500, "ms"))
    if run := results["first"]:
        rows.append(most_row("one listener: first sound, p95", run["latency"]["first_chunk"]["p95_ms"], 60, "ms"))
    if run := results["cancel"]:
        rows.append(most_row("from a cancel to the last byte, p95", run["latency"]["cancel_to_last"]["p95_ms"], 50, "ms"))
    if soak := results["soak"]:
        minutes = f"{soak['seconds'] / 60:.0f} minutes of mixed load"
        rows.append([f"{minutes}: every request ended once, nothing wrong", "all", f"**{soak['requests']['asked']:,} requests**", verdict(is_right(soak))])
        slope = soak["memory"]["slope_mb_per_hour"]
        if slope is not None and soak["seconds"] >= 600:
            rows.append(most_row(f"{minutes}: growth of resident memory", slope, 2, "MB/h"))
        else:
            rows.append([f"{minutes}: growth of resident memory", "≤ 2 MB/h", "too short to tell", ""])
    return rows


def percentiles(it: Any) -> str:
    return f"{it['p50_ms']:.0f} / {it['p95_ms']:.0f} / {it['p99_ms']:.0f}" if it["n"] else "—"


LOADS = {
    "first": "one listener, one sentence at a time",
    "streams": "listeners of one to three sentences",
    "cancel": "listeners, four of five requests cancelled",
    "soak": "listeners of every kind",
}


def loads_section(results: Results) -> str:
    rows = []
    runs = [(name, results[name]) for name in LOADS]
    search = results["search"]
    if search and search["limit"]:
        best = [it for it, step in zip(search["reports"], search["steps"]) if step["passed"] and step["sessions"] == search["limit"]]
        runs.append(("search", best[-1]))
    for name, run in runs:
        if not run:
            continue
        what = LOADS.get(name, "the most that were carried")
        factor, played, server = run["real_time_factor"], run["playback"], run["server"]
        rows.append(
            [
                what,
                str(run["sessions"]),
                f"{run['requests']['asked']:,}",
                percentiles(run["latency"]["first_chunk"]),
                f"{factor['p50']:.3f} / {factor['p95']:.3f}",
                f"{played['starved']} of {played['played']}",
                percentiles(run["latency"]["cancel_to_last"]),
                f"{server['cores']:.2f}" if server else "—",
                f"{server['resident_mb']:.0f}" if server else "—",
            ]
        )
    head = [
        "load", "listeners", "requests", "first sound, p50 / p95 / p99 ms", "real-time factor, p50 / p95", "requests that starved",
        "cancel → last byte, p50 / p95 / p99 ms", "cores used", "resident MB",
    ]
    if not rows:
        return "\nNot measured.\n"
    text = "\n" + table(head, rows)
    if search:
        text += f"\nThe most listeners with p95 of the first sound within {search['goals']['first_chunk_ms']:g} ms and nobody starved: **{search['limit']}**.\n"
        text += "\n![Latency against load](images/tts_load.svg)\n"
    return text


def words_section(results: Results) -> str:
    rows = []
    for name, what, ceiling in (
        ("words", "20 everyday sentences, built-in voice", CEILING),
        ("words-cloned", "the same, a cloned voice (`tts-voices/high.wav`)", "—"),
        ("words-assistant", "20 sentences of the kind that our demo recogniser knows", "—"),
    ):
        sphinx, ours = results[f"{name}-sphinx"], results[f"{name}-asr"]
        if sphinx and ours:
            rows.append([what, *(f"{100 * it['word_error_rate']:.1f} % of {it['words']}" for it in (ours, sphinx)), ceiling])
    head = ["", "word errors, our demo recogniser", "word errors, PocketSphinx", "ceiling, PocketSphinx"]
    return "\n" + table(head, rows) if rows else "\nNot measured.\n"


def other_section(results: Results) -> str:
    lines = []
    one, eight = results["batch-1"], results["batch-8"]
    if one and eight:
        lines.append(
            f"- **Nano-shaped model:** {tokens_per_s(one):.0f} tokens a second for one request at a time, {tokens_per_s(eight):.0f} for eight; "
            f"{one['server']['resident_mb']:.0f} and {eight['server']['resident_mb']:.0f} MB resident."
        )
    if (ours := results["overhead"]) and (found := loops(results)):
        beside = " and ".join(f"{1e3 * it['median_total_s']:.0f} ms with {it['threads']} thread{'s' * (it['threads'] > 1)}" for it in found)
        last, first = ours["latency"]["last_chunk"], ours["latency"]["first_chunk"]
        lines.append(
            f"- **One sentence of {found[0]['audio_s']:.2f} s, medians:** the bare loop {beside}; our server {last['p50_ms']:.0f} ms to the last byte and "
            f"{first['p50_ms']:.0f} ms to the first, sockets included ({last['n']} requests, one after the other). Resident: loop {found[0]['peak_rss_mb']:.0f} MB at most, "
            f"server {ours['server']['resident_mb']:.0f} MB."
        )
    if start := results["start"]:
        lines.append(f"- **From start to ready:** {1e3 * start['median_s']:.0f} ms at the median of {len(start['seconds'])} starts, the first {1e3 * start['first_s']:.0f} ms.")
    for run in filter(None, (results["cancel"], results["soak"])):
        learnt = run["latency"]["register_voice"]
        if learnt["n"]:
            lines.append(f"- **Learning a voice under load ({run['label']}):** p50 {learnt['p50_ms']:.0f}, p95 {learnt['p95_ms']:.0f} ms over {learnt['n']}.")
    if soak := results["soak"]:
        requests, memory = soak["requests"], soak["memory"]
        slope = memory["slope_mb_per_hour"]
        grows = f"{slope:+.2f} MB/h after the first {memory['settled_after_s']:.0f} s" if slope is not None else "too short for a slope"
        lines.append(
            f"- **Soak, {soak['seconds'] / 60:.0f} minutes, {soak['sessions']} listeners:** {requests['asked']:,} requests = {requests['completed']:,} completed + "
            f"{requests['cancelled']:,} cancelled + {requests['failed']:,} failed + {requests['abandoned']:,} left by their listener; {soak['voices']['registered']:,} voices registered; "
            f"{requests['compared']:,} repeated and compared to the sample; {soak['trouble']['n_violations']} broken promises; "
            f"resident {memory['samples'][0][1]:.0f} to {memory['samples'][-1][1]:.0f} MB, {grows} and after as many requests at once as a batch has places for."
        )
    return "\n".join(lines) + "\n" if lines else "Not measured.\n"


HOW = """\
## How to read it

- **Only ratios travel.** Both sides of a comparison run on the same machine in the same run, with the same model files. Another machine gives other times.
- **The demo model is tiny:** 7 MB, one token in less than half a millisecond. Its times say what the server adds; a published model takes what its graphs take.
- **The Nano-shaped model** (`tests/baseline/make_nano_shaped.py`) has the layers, heads, widths and cost of Chatterbox Nano's language model and random weights; its other graphs cost next to nothing.
  Tokens a second are counted by the audio that arrived, prefills and everything else included.
- **The bare loop** (`tests/baseline/tts_loop.py`) is numpy and onnxruntime in one process: no server, no queue, no streaming, the cache never copied, the voice heard before the clock starts.
  It is run with one thread and with all of them, and the better median counts. Ours is the time from the request to the last byte in the client's hands.
- **A listener** is a WebSocket: one to three sentences (`tests/baseline/tts_sentences.txt`), played in real time without any buffer from the first chunk on, then a pause of 0.5 to 2 s.
  A request *starved* if any chunk came after it was needed. *First sound* is from sending the request to receiving audio.
- **Word errors** compare what a recogniser heard with what was to be said. PocketSphinx knows all of the words and hears badly; our demo recogniser was trained on sentences of assistants and knows
  1,800 words, so the first two lists are hard for it whoever speaks. No person has judged the sound.
- The load generator runs on the same machine and takes its share.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=pathlib.Path, required=True)
    results = Results(parser.parse_args().results)
    here = results["machine"]
    print("# Benchmarks of the synthesiser\n")
    print("Written by `scripts/bench_tts.sh`; do not edit. Run it to get the same tables for your machine.\n")
    print(
        f"{here['date']}, commit `{here['commit']}`, `{here['command']}`  \n"
        f"{here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB, Linux {here['kernel']}, {here['rustc']}  \n"
        f"load average {here['load']} before the run\n"
    )
    rows = summary(results)
    print("## Goals\n")
    print(table(["", "goal", "measured", ""], rows) if rows else "Nothing was measured yet.\n")
    print(HOW)
    print("## Listeners\n" + loads_section(results))
    print("## Words\n" + words_section(results))
    print("## Everything else\n")
    print(other_section(results))


if __name__ == "__main__":
    main()
