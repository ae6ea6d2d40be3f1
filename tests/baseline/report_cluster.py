#!/usr/bin/env python3
"""Turns the raw results of scripts/bench_cluster.sh into docs/benchmarks_cluster.md.

    report_cluster.py --results DIR
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from report import SEARCH_HEAD, Results, Row, most_row, ratio_row, search_rows, table, verdict

HOW = """\
## How to read it

- **Only ratios travel**, and here not even all of them: nginx, all instances and the load generator share this machine's cores. Two instances on it carry
  no more than one, because one uses every core already; what a second instance buys here is that one may fail or be renewed. On machines or GPUs of their own they add up.
- **A speaker** is a WebSocket fed in real time with 40 ms frames, recordings with pauses in random phase, partials on; *end of speech* is when its last voiced
  sample was sent. **A listener** has one to three sentences spoken, plays them without a buffer, and pauses for 0.5 to 2 s; it *starved* if a chunk came after it was needed.
- A number of sessions is *carried* when p95 is at most 500 ms (and 300 ms from the turn decision to its final), nobody starved, and nothing was refused, lost or unaccounted for.
- **A message's way** is a WebSocket ping and its answer over a session that does nothing else.
- **The Python server** (`tests/baseline`) is the usual design made with care, as in `docs/benchmarks.md`. It runs alone, without nginx.
"""


def summary(results: Results) -> list[Row]:
    rows: list[Row] = []
    if run := results["users-asr"]:
        rows.append(most_row("60 speakers beside 20 listeners: end of speech to final, p95", run["latency"]["end_to_final"]["p95_ms"], 500, "ms"))
        rows.append(["the same: audio unaccounted for, words wrong", "0", f"**{'none' if run['accounting']['exact'] else 'some'}, {run['accuracy']['errors']}**",
                     verdict(run["accounting"]["exact"] and run["accuracy"]["errors"] == 0)])
    if run := results["users-tts"]:
        rows.append(most_row("20 listeners beside 60 speakers: first sound, p95", run["latency"]["first_chunk"]["p95_ms"], 500, "ms"))
        played = run["playback"]
        rows.append(["the same: requests that starved", "0", f"**{played['starved']} of {played['played']}**", verdict(played["starved"] == 0)])
    if messages := results["messages"]:
        rows.append(most_row("what nginx adds to a message there and back, p99", messages["nginx"]["p99_ms"] - messages["direct"]["p99_ms"], 2, "ms"))
    if (ours := results["asr-2"]) and (theirs := results["theirs"]):
        rows.append(ratio_row("speakers on two instances behind nginx, against the Python server", ours["limit"] / max(1, theirs["limit"]), 3.0))
    return rows


def listener_rows(results: Results, names: list[str]) -> list[Row]:
    rows = []
    for name in names:
        if search := results[name]:
            best = [it for it, step in zip(search["reports"], search["steps"]) if step["passed"] and step["sessions"] == search["limit"]]
            late = best[-1]["latency"]["first_chunk"] if best else None
            shown = f"{late['p50_ms']:.0f} / {late['p95_ms']:.0f} / {late['p99_ms']:.0f}" if late else "—"
            rows.append([search["label"], f"**{search['limit']}**", shown])
    return rows


def ladder(results: Results, names: list[str]) -> str:
    """Every step of the searches: sessions against latency."""
    rows = []
    for name in names:
        search: Any = results[name]
        if not search:
            continue
        for report, step in zip(search["reports"], search["steps"]):
            latency = report["latency"]
            late = latency.get("end_to_final") or latency["first_chunk"]
            rows.append((name, step["sessions"], [search["label"], str(step["sessions"]), f"{late['p50_ms']:.0f} / {late['p95_ms']:.0f} / {late['p99_ms']:.0f}", "yes" if step["passed"] else "no"]))
    rows.sort(key=lambda it: it[:2])
    return table(["", "sessions", "p50 / p95 / p99 ms", "carried"], [it[2] for it in rows]) if rows else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=pathlib.Path, required=True)
    results = Results(parser.parse_args().results)
    here = results["machine"]
    print("# Benchmarks of the cluster\n")
    print("Written by `scripts/bench_cluster.sh`; do not edit. Run it to get the same tables for your machine.\n")
    print(
        f"{here['date']}, commit `{here['commit']}`, `{here['command']}`  \n"
        f"{here['cpu']}, {here['cores']} cores, {here['memory_gb']} GB, Linux {here['kernel']}, {here['rustc']}  \n"
        f"load average {here['load']} before the run\n"
    )
    rows = summary(results)
    print("## Goals\n")
    print(table(["", "goal", "measured", ""], rows) if rows else "Nothing was measured yet.\n")
    print(HOW)
    if messages := results["messages"]:
        print("## A message's way\n")
        print(table(["", "p50 ms", "p95 ms", "p99 ms"], [[name, *(f"{it[key]:.3f}" for key in ("p50_ms", "p95_ms", "p99_ms"))] for name, it in messages.items()]))
    speakers, listeners = ["asr-1", "asr-2", "theirs"], ["tts-1", "tts-2"]
    if rows := search_rows(results, speakers):
        print("## Speakers\n")
        print(table(SEARCH_HEAD, rows))
        print(ladder(results, speakers))
        print("![Latency against speakers](images/cluster_asr_load.svg)\n")
    if rows := listener_rows(results, listeners):
        print("## Listeners\n")
        print(table(["", "most listeners", "first sound, p50 / p95 / p99 ms"], rows))
        print(ladder(results, listeners))
        print("![Latency against listeners](images/cluster_tts_load.svg)\n")


if __name__ == "__main__":
    main()
