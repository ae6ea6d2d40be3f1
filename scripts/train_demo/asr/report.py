"""The report of a run and the model card of what it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asr import lexicon
from asr.scores import table
from shared.runs import RunFolder

Figures = dict[str, Any]


def _worst(figures: Figures, start: str, end: str = "") -> float | None:
    rates = [rate["wer"] for name, rate in figures["groups"].items() if name.startswith(start) and name.endswith(end)]
    return max(rates, default=None)


def _share(figures: Figures, of: str, what: str = "understood") -> float | None:
    return figures[of][what] / figures[of]["clips"] if of in figures else None


# What is to be reached: (what, its figure, the goal, whether less is better, how it is written).
GOALS: list[tuple[str, Callable[[Figures], float | None], float, bool, str]] = [
    ("sentences, held-out voices, the worst engine", lambda f: _worst(f, "held_", "_sentences"), 0.05, True, "{:.1%}"),
    ("random words, held-out voices, the worst engine", lambda f: _worst(f, "held_", "_random"), 0.15, True, "{:.1%}"),
    ("sentences through a telephone, the worst engine", lambda f: _worst(f, "telephone_"), 0.08, True, "{:.1%}"),
    (
        "silence, noise, tones, music: share with no text and no speech",
        lambda f: _share(f, "nothing"), 1.0, False, "{:.0%}",
    ),
    (
        "two sentences with a pause: share with two segments, times within 0.2 s",
        lambda f: _share(f, "pairs"), 58 / 60, False, "{:.0%}",
    ),
    ("word times, median error", lambda f: f.get("word_times", {}).get("median_s"), 0.03, True, "{:.3f} s"),
    ("word times, 95 % within", lambda f: f.get("word_times", {}).get("p95_s"), 0.15, True, "{:.3f} s"),
    ("words of the vocabulary that were heard", lambda f: f.get("words", {}).get("heard"), 1500, False, "{:.0f}"),
    ("unknown words, share that is written as something", lambda f: _share(f, "unknown", "written"), 1.0, False, "{:.0%}"),
    ("sentences of the synthesiser's built-in voice", lambda f: _worst(f, "round_trip"), 0.08, True, "{:.1%}"),
    ("size", lambda f: f["bytes"] / 1e6, 12, True, "{:.1f} MB"),
    ("a short clip on one core", lambda f: f.get("short_clip_ms", {}).get("median"), 40, True, "{:.0f} ms"),
]  # fmt: skip


def goals(figures: Figures) -> str:
    """The goals as lines of Markdown, each with what was reached."""
    lines = ["| what | reached | goal | |", "| --- | --- | --- | --- |"]
    for name, measure, goal, less_is_better, written in GOALS:
        value = measure(figures)
        if value is None:
            continue
        is_reached = value <= goal if less_is_better else value >= goal
        sign = "≤" if less_is_better else "≥"
        lines.append(f"| {name} | {written.format(value)} | {sign} {written.format(goal)} | {'yes' if is_reached else 'no'} |")
    return "\n".join(lines)


def report(run: RunFolder, figures: Figures, settings: dict[str, Any]) -> str:
    """`report.md`."""
    steps = run.notes("step")
    trained = f"{steps[-1]['minutes']:.0f} minutes, {steps[-1]['n']} steps" if steps else "not at all"
    stages = "\n".join(f"| {line['name']} | {line['seconds']:.0f} s |" for line in run.notes("stage"))
    asked = ", ".join(f"`{name}` {value}" for name, value in settings.items())
    worst = [clip for clip in figures["clips"] if clip["text"] != clip["heard"] and clip["group"].startswith("held_")][:12]
    examples = "\n".join(f"| {clip['group'].replace('_', ' ')} | {clip['text']} | {clip['heard']} |" for clip in worst)
    return f"""# Report of a run

Trained for {trained}. Settings: {asked}.

## Goals

{goals(figures)}

## Everything that was measured

Sentences of the tests were never trained on, voices of the groups `held` neither. Heard with faster-whisper's algorithm and windows as
long as the audio, as the server does with this model; one core.

{table(figures)}

![progress](progress.png)
![errors](errors.png)
![attention](attention.png)

## What was misheard, for example

| group | said | heard |
| --- | --- | --- |
{examples}

## Time

| stage | time |
| --- | --- |
{stages}
"""


def model_card(figures: Figures, settings: dict[str, Any]) -> str:
    """`README.md` of the model's folder."""
    shape = settings["shape"]
    return f"""# The built-in recogniser

A small Whisper for English, so that the server hears without a download and every rule around a real model applies to it.
It is **no substitute for a real model**. `scripts/download_models.sh` fetches real ones.

| | |
| --- | --- |
| architecture | Whisper's: {shape["width"]} wide, {shape["heads"]} heads, {shape["encoder_layers"]} + {shape["decoder_layers"]} layers, {shape["mels"]} mel bands, 30 s, {shape["vocabulary"]} tokens |
| format | CTranslate2, int8; `model.bin`, `config.json`, `vocabulary.json`, `tokenizer.json`, `preprocessor_config.json`; {figures["bytes"] / 1e6:.1f} MB |
| languages | English |
| windows | trained on windows of any length at any place of the 30 s: encoding only the audio's own length is safe |
| word times | heads 0 and 1 of the second decoder layer, taught with the times of the synthesisers |

## Origin and licence

Made by `scripts/train_demo/asr/train.sh` from nothing: no downloaded weights, corpora or recordings. MIT, like the rest of the repository.

- *Text*: sentence patterns and random sequences of {len(lexicon.vocabulary())} words, written for it (`scripts/train_demo/asr/words/`), with numbers, names,
  spelled letters and invented words.
- *Speech*: espeak-ng (formant synthesis, its program is GPL-3 or later), flite's `kal16`, `awb`, `rms` and `slt` and festival's `kal_diphone` (free
  software in the manner of BSD and MIT), and the built-in voice of the synthesiser. `scripts/train_demo/README.md` has the licences of each.
- Settings: {", ".join(f"`{name}` {value}" for name, value in settings.items() if name not in ("shape", "from"))}.

## What it can do

Sentences of these tests were never trained on; of the groups `held` and `telephone` neither were the voices: three variants of espeak-ng, festival's
`ked_diphone` and `cmu_us_slt_arctic_hts` (an engine of its own, but its speaker is that of flite's `slt`, which was learned from). All of it is synthetic speech. It was never tried on many people, and it does not understand people well.

{table(figures)}

`held`, `seen`: voices it never or often heard; `random`: random sequences of its words; `telephone`: 8 kHz mu-law; `nothing`: silence, noise, tones and
what sounds like music; `pairs`: two sentences with a pause, understood where two segments come with times within 0.2 s; `round trip`: sentences that the
synthesiser's built-in voice speaks, after four references of which one is held out.
"""
