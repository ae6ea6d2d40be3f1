"""The report of a run and the model card of what it made."""

import pathlib
from collections.abc import Callable

Figures = dict


def _clauses(of: dict) -> int:
    return of["skipped_clauses"] + of["repeated_clauses"]


def _least(figures: Figures, what: str) -> float:
    return min(it[what] for it in figures["prosody"].values())


# (what, its figure, the goal, whether less is better, how it is written)
GOALS: list[tuple[str, Callable[[Figures], float], float, bool, str]] = [
    ("word errors, natural sentences", lambda f: f["natural"]["wer"], 0.06, True, "{:.1%}"),
    ("word errors, 100 to 250 characters", lambda f: f["long"]["wer"], 0.08, True, "{:.1%}"),
    ("clauses skipped or said twice, of the same", lambda f: _clauses(f["long"]), 0, True, "{:.0f}"),
    ("word errors, numbers, dates, letters", lambda f: f["spelled"]["wer"], 0.08, True, "{:.1%}"),
    ("clauses skipped or said twice, of the same", lambda f: _clauses(f["spelled"]), 0, True, "{:.0f}"),
    ("sentences that did not stop", lambda f: f["stops"]["no_stop"], 0, True, "{:.0f}"),
    ("pitch of the output against the reference, the worst of 12", lambda f: f["voices"]["worst_off"], 0.05, True, "{:.1%}"),
    ("voices of 12 that a simple measure finds again", lambda f: f["voices"]["found_again"], 12, False, "{:.0f}"),
    ("pitch contour, least correlation with the teacher's", lambda f: _least(f, "pitch_correlation"), 0.7, False, "{:.2f}"),
    ("durations, least correlation with the teacher's", lambda f: _least(f, "duration_correlation"), 0.7, False, "{:.2f}"),
    ("clicks a second", lambda f: f["clicks_per_second"], 0.0, True, "{:.2f}"),
    ("size", lambda f: f["bytes"] / 1e6, 20, True, "{:.1f} MB"),
    ("real-time factor on one core", lambda f: f["rtf"], 0.1, True, "{:.3f}"),
    ("round trip through the built-in recogniser, word errors", lambda f: f["round_trip"]["wer"], 0.08, True, "{:.1%}"),
]  # fmt: skip


def _value(measure: Callable[[Figures], float], figures: Figures) -> float | None:
    """None where it was not measured."""
    try:
        return measure(figures)
    except KeyError:
        return None


def table(columns: dict[str, Figures]) -> str:
    """The goals as a table, with a column of figures for each model."""
    lines = [f"| what | {' | '.join(columns)} | goal |", "| --- |" + " --- |" * (len(columns) + 1)]
    for name, measure, goal, less, written in GOALS:
        values = [_value(measure, it) for it in columns.values()]
        if not any(it is not None for it in values):
            continue
        cells = []
        for value in values:
            if value is None:
                cells.append("-")
                continue
            reached = value <= goal if less else value >= goal
            cells.append(written.format(value) + (" (reached)" if reached else ""))
        lines.append(f"| {name} | {' | '.join(cells)} | {'≤' if less else '≥'} {written.format(goal)} |")
    return "\n".join(lines)


def _details(figures: Figures) -> str:
    lines = []
    for name in ("natural", "long", "spelled"):
        if name in figures:
            of = figures[name]
            lines += [
                f"- *{name}*: {of['clips']} sentences, {of['words']} words; {of['wer']:.1%} of the words wrong where the teacher's own speech has "
                f"{of['teacher_wer']:.1%}; {of['phone_errors']:.1%} of the phones; {of['no_stop']} did not stop",
            ]
            lines += [f"  - {errors} wrong: {text!r} was heard as {heard!r}" for errors, text, heard in of["worst"][:3] if errors]
    for name, of in figures.get("prosody", {}).items():
        lines.append(
            f"- *{name}*: pitch correlates {of['pitch_correlation']} with the teacher's at {of['pitch_spread_ratio']} of its spread, durations "
            f"{of['duration_correlation']} at {of['duration_ratio']} of their length"
        )
    for name, of in figures.get("voices", {}).get("voices", {}).items():
        lines.append(f"- *{name}*: {of['reference_hz']} Hz gives {of['output_hz']}, nearest to {of['nearest']}")
    return "\n".join(lines)


def report(figures: Figures, settings: dict, curve: list[dict]) -> str:
    points = "\n".join(f"| {it['minutes']} | {it['steps']} | {it['held_pair']} | {it['held_pitch']} | {it['held_right']:.1%} |" for it in curve)
    return f"""# A run of the voice's recipe

Trained {settings["minutes"]} minutes, seed {settings["seed"]}, with {settings["sentences"]} sentences{" (a small run, to see that everything works)" if settings["small"] else ""}.

{table({"reached": figures})}

## The language model over time, on sentences that it did not learn

| minutes | steps | loss of phones | loss of pitch | phones right |
| --- | --- | --- | --- | --- |
{points}

![progress](progress.png)
![attention](attention.png)
![spectrogram](spectrogram.png)

## Everything

{_details(figures)}
"""


def card(figures: Figures, settings: dict) -> str:
    """`README.md` of the model folder."""
    return f"""# The built-in voice

A small speaking model with the same four graphs as the English Chatterbox export, so that the server speaks without a download and every rule around a real model applies to it.
It is **no substitute for a real model**: it is plainly a machine. `scripts/download_models.sh` fetches real ones.

| | |
| --- | --- |
| `embed_tokens.onnx` | text encoder (three convolutions over characters) and speech tokens; 194 wide |
| `language_model.onnx` | 4 layers, 4 heads of 48, causal attention that honours the mask, 6563 logits; two heads follow the text from where it was left; KV cache in float32 |
| `speech_encoder.onnx` | reference audio to 2 prefix rows, prompt tokens, speaker vector, log-mel; hears at most 6 s |
| `conditional_decoder.onnx` | 25 tokens a second to 24 kHz; pulse train and noise through a filter for each frame |
| `tokenizer.json` | single characters; `6563 255 ... 0 6561 6561` around them |
| `default_voice.wav` | 6 s reference |

{figures["bytes"] / 1e6:.1f} MB together, weights in float16, computed in float32. Made by `scripts/train_demo/tts/train.sh`, seed {settings["seed"]}.

## Origin and licence

Made for this project from nothing: no downloaded weights, corpora or recordings. MIT, like the rest of the repository.

- *Text*: sentences from word lists and patterns written for it, random word sequences and invented words; numbers, dates, prices and letters are spelled as the server's text front end spells them.
- *Teacher*: [flite](http://www.festvox.org/flite/) (free software in the manner of BSD), voices `slt`, `rms`, `awb` and `kal16`, which Carnegie Mellon University built from recordings that it made and
  published freely for building voices; they are under flite's licence. It gave waveforms, the end time of every phone and the pitch. Timing is that of `rms`, `slt` and `awb`.
- *Tokens* are supervised: a token is one of 729 pairs of phones (20 ms each) times nine levels of pitch, so they are the same for all speakers.
- *`default_voice.wav`* is synthetic: sentences written for it and spoken by flite's `rms`, resampled to 24 kHz.

## What it can do

Greedy, default voice. "Word errors" are what an independent small recogniser (PocketSphinx) makes of the audio; it is no listener, and nobody's opinion of the sound is in these figures.
Sentences and the voices named `espeak` were never learned from.

{table({"reached": figures})}

{_details(figures)}

## What it cannot do

- Digits, symbols, addresses: they must be spelled in words first. Characters it does not know read as a space.
- Sound like the reference: pitch and the tilt of the spectrum follow, the person does not. `exaggeration` widens the pitch a little.
- Anything above 6.9 kHz but noise; intonation beyond that of its teacher, which does not rise in questions.
- Several codes of speech in one call of the language model: each is then taken to follow what was reached before the call. The server feeds them one by one.
"""


def write(run_path: pathlib.Path, figures: Figures, settings: dict, curve: list[dict]) -> None:
    (run_path / "report.md").write_text(report(figures, settings, curve))


if __name__ == "__main__":
    import json
    import sys

    # Files of figures, as `evaluate --out` writes them: a column each.
    print(table({pathlib.Path(it).stem: json.loads(pathlib.Path(it).read_text()) for it in sys.argv[1:]}))
