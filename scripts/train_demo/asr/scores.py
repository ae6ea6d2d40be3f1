"""What is made of the clips that were heard: error rates, silence, pauses, word times. Plain Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import ErrorRate, edits, percentile, plain_words

# A silent clip is understood where its text is empty and every window says with this probability that nobody speaks.
NO_SPEECH = 0.6
PAUSE_WITHIN_S = 0.2
SHORT_CLIP_S = 3.0


@dataclass(frozen=True)
class Heard:
    """`segments` are (start, end), `words` (start, end, word). `no_speech` is the least of all windows."""

    text: str
    segments: list[tuple[float, float]]
    words: list[tuple[float, float, str]]
    no_speech: float
    seconds: float


def sum_up(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures from entries that have `found`; only of what there is."""
    groups: dict[str, ErrorRate] = defaultdict(ErrorRate)
    times: list[float] = []
    inner: list[float] = []
    for entry in entries:
        found: Heard = entry["found"]
        if entry["group"] != "nothing":
            errors = groups[entry["group"]].add(entry["text"], found.text)
            if entry["words"] is not None and errors == 0 and len(found.words) == len(entry["words"]):
                off = [abs(a - b) for ours, theirs in zip(found.words, entry["words"]) for a, b in zip(ours, theirs)]
                times += off
                # The first word's start hangs on the algorithm, not on the model: the path of its alignment begins where the window does.
                inner += off[1:]
    nothing = [entry for entry in entries if entry["group"] == "nothing"]
    pairs = [entry for entry in entries if entry["group"] == "pairs"]
    short = [entry["found"].seconds for entry in entries if entry["group"].startswith("held_") and entry["seconds"] <= SHORT_CLIP_S]
    figures: dict[str, Any] = {"groups": {name: rate.as_json() for name, rate in groups.items()}}
    if nothing:
        figures["nothing"] = {"clips": len(nothing), "understood": sum(is_nothing(entry["found"]) for entry in nothing)}
    if pairs:
        figures["pairs"] = {"clips": len(pairs), "understood": sum(is_pair(entry["found"], entry["bounds"]) for entry in pairs)}
    if times:
        figures["word_times"] = {
            "times": len(times), "median_s": round(percentile(times, 0.5), 4), "p95_s": round(percentile(times, 0.95), 4),
            "p95_inner_s": round(percentile(inner, 0.95), 4),
        }  # fmt: skip
    if short:
        figures["short_clip_ms"] = {"clips": len(short), "median": round(1000 * percentile(short, 0.5), 1)}
    if every_word := [entry for entry in entries if entry["group"] == "every_word"]:
        figures["words"] = known_words(every_word)
    if unknown := [entry for entry in entries if entry["group"] == "unknown"]:
        figures["unknown"] = unknown_words(unknown)
    return figures


def is_nothing(found: Heard) -> bool:
    return found.text == "" and found.no_speech >= NO_SPEECH


def is_pair(found: Heard, bounds: Sequence[float]) -> bool:
    """Two segments whose four times are right."""
    times = [time for segment in found.segments for time in segment]
    return len(times) == 4 and all(abs(a - b) <= PAUSE_WITHIN_S for a, b in zip(times, bounds))


def known_words(entries: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many words of the vocabulary were heard where they were said."""
    said = [word for entry in entries for word in plain_words(entry["text"])]
    heard = sum(len(words_in_both(plain_words(entry["text"]), plain_words(entry["found"].text))) for entry in entries)
    return {"said": len(said), "heard": heard}


def words_in_both(said: list[str], heard: list[str]) -> list[str]:
    """The longest common sequence of words."""
    best: list[list[list[str]]] = [[[] for _ in range(len(heard) + 1)] for _ in range(len(said) + 1)]
    for i, ours in enumerate(said):
        for j, theirs in enumerate(heard):
            best[i + 1][j + 1] = best[i][j] + [ours] if ours == theirs else max(best[i][j + 1], best[i + 1][j], key=len)
    return best[-1][-1]


def unknown_words(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sentences with a word that was never trained on: whether something is written, and how many of the word's letters are wrong."""
    written = letters = wrong = 0
    for entry in entries:
        rest = set(plain_words(entry["text"])) - {entry["word"]}
        instead = "".join(word for word in plain_words(entry["found"].text) if word not in rest)
        written += instead != ""
        letters += len(entry["word"])
        wrong += min(len(entry["word"]), edits(entry["word"], instead))
    return {"clips": len(entries), "written": written, "letter_error": round(wrong / max(1, letters), 3)}


def table(figures: dict[str, Any]) -> str:
    """The figures as lines of Markdown."""
    lines = ["| what | result | clips |", "| --- | --- | --- |"]
    for name, rate in figures["groups"].items():
        lines.append(f"| {name.replace('_', ' ')} | {100 * rate['wer']:.1f} % word error, {rate['exact']} exact | {rate['clips']} |")
    for name in sorted({"nothing", "pairs"} & set(figures)):
        lines.append(f"| {name} | {figures[name]['understood']} understood | {figures[name]['clips']} |")
    if "word_times" in figures:
        times = figures["word_times"]
        lines.append(f"| word times | median {times['median_s']:.3f} s, 95 % within {times['p95_s']:.3f} s ({times['p95_inner_s']:.3f} s but for the first start) | {times['times']} times |")
    if "short_clip_ms" in figures:
        lines.append(f"| a clip of up to {SHORT_CLIP_S:.0f} s, one core | {figures['short_clip_ms']['median']} ms | {figures['short_clip_ms']['clips']} |")
    if "words" in figures:
        lines.append(f"| words of the vocabulary | {figures['words']['heard']} heard | {figures['words']['said']} words |")
    if "unknown" in figures:
        unknown = figures["unknown"]
        lines.append(f"| unknown words | {unknown['written']} written, {100 * unknown['letter_error']:.0f} % of letters wrong | {unknown['clips']} |")
    lines.append(f"| size | {figures['bytes'] / 1e6:.1f} MB | |")
    return "\n".join(lines)
