"""Measures a model folder: what an independent recogniser understands, what the teacher's phones say, stops, voices, prosody, speed."""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
import soundfile
from scipy.signal import resample_poly

from shared.errors import ErrorRate
from shared.runs import write_whole
from tts import measures, references, teacher, texts, tokens
from tts.voice import Voice

SENTENCES = pathlib.Path(__file__).parent / "sentences"
RATE = 24_000
N_STOPS = 500
# The teacher that speaks most clearly; the default voice is made of it.
TEACHER = "rms"
VOICE_TEXTS = (
    "The weather tomorrow will be cold and windy, but we should go for a walk anyway.",
    "She put the letter in her bag and went to the post office.",
)


def lines(name: str) -> list[str]:
    return (SENTENCES / f"{name}.txt").read_text().splitlines()


def spoken_forms(name: str) -> list[str]:
    """What the text front end makes of each line: given after an arrow where it differs."""
    return [it.split(" → ")[-1] for it in lines(name)]


class Listener:
    """PocketSphinx, with its own small model of American English."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self.decoder = Decoder(samprate=16_000, loglevel="FATAL")

    def hear(self, samples: np.ndarray, rate: int = RATE) -> str:
        if rate == RATE:
            samples = resample_poly(samples, 2, 3)
        quiet = np.zeros(4000)
        samples = np.concatenate([quiet, samples, quiet])
        samples = samples + np.random.default_rng(0).normal(0, 1e-4, len(samples))
        samples = samples / (np.abs(samples).max() + 1e-9) * 0.5
        self.decoder.start_utt()
        self.decoder.process_raw((samples * 32767).astype(np.int16).tobytes(), full_utt=True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        return found.hypstr if found else ""


def most_tokens(text: str) -> int:
    """Twice as long as anybody needs for it."""
    return 50 + 5 * len(text)


def plain(text: str) -> str:
    """As PocketSphinx writes: small letters of a spelled word stand apart, and there is no hyphen."""
    return text.replace("-", " ").replace(".", " ")


class Evaluation:
    def __init__(self, folder: pathlib.Path, inventory: tokens.Inventory, default: np.ndarray, cache: pathlib.Path, listens: bool = True) -> None:
        self.folder, self.inventory = folder, inventory
        # What was heard of the teacher does not change with the model.
        self.cache = cache
        self.teacher_heard = json.loads(cache.read_text()) if cache.exists() else {}
        self.voice = Voice(folder)
        self.default = self.voice.hear(default)
        self.listener = Listener() if listens else None
        self.seconds, self.audio = 0.0, 0.0
        self.clicks: list[float] = []

    def speak(self, text: str, heard: list[np.ndarray] | None = None) -> tuple[np.ndarray, bool, np.ndarray]:
        began = time.process_time()
        said, stopped = self.voice.tokens(text, heard or self.default, most=most_tokens(text))
        samples = self.voice.decode(said, heard or self.default)
        self.seconds += time.process_time() - began
        self.audio += len(samples) / RATE
        return said, stopped, samples

    def understood(self, sentences: list[str]) -> dict:
        """Word errors of ours and of the teacher itself, and phone errors against the teacher."""
        ours, theirs, phones, stops = ErrorRate(), ErrorRate(), measures.Phones(), 0
        worst = []
        for text in sentences:
            said, stopped, samples = self.speak(text)
            spoken = teacher.speak(text, TEACHER)
            wanted = [it.name for it in spoken.phones if it.name != "pau"]
            phones.add(collapsed(wanted), self.inventory.phones(said))
            self.clicks.append(measures.clicks(samples, RATE))
            stops += not stopped
            if not self.listener:
                continue
            heard = self.listener.hear(samples)
            errors = ours.add(plain(text), plain(heard))
            if text not in self.teacher_heard:
                self.teacher_heard[text] = self.listener.hear(spoken.samples / 32768.0, teacher.RATE)
                write_whole(self.cache, json.dumps(self.teacher_heard, indent=1).encode())
            theirs.add(plain(text), plain(self.teacher_heard[text]))
            worst.append((errors, text, heard))
        worst = sorted(worst, reverse=True)[:5]
        heard = {**ours.as_json(), "teacher_wer": round(theirs.rate, 4), "worst": worst} if self.listener else {}
        return {**heard, **phones.as_json(), "no_stop": stops}

    def stops(self, n: int) -> dict:
        """Sentences of the generator's test set that do not end by themselves, and those of which a clause is missing or said twice."""
        failed, skipped, count, errors, total = 0, 0, 0, 0, 0
        for text in texts.sentences(1, 0, 10**7, "test"):
            spoken = teacher.speak(text, TEACHER)
            said, stopped = self.voice.tokens(text, self.default, most=most_tokens(text))
            phones = measures.Phones()
            phones.add(collapsed([it.name for it in spoken.phones if it.name != "pau"]), self.inventory.phones(said))
            failed += not stopped
            skipped += phones.skipped + phones.repeated > 0
            errors, total, count = errors + phones.errors, total + phones.phones, count + 1
            if count == n:
                break
        return {"sentences": count, "no_stop": failed, "with_a_clause_wrong": skipped, "phone_errors": round(errors / total, 4)}

    def voices(self, limit: int | None = None) -> dict:
        """How the output follows twelve references in pitch, and whether a simple measure finds the right one again."""
        heard = dict(list(references.all_voices().items())[: limit and limit + 1])
        known = {name: references.signature(samples) for name, samples in heard.items()}
        rows, right, right_by_spectrum = {}, 0, 0
        for name, samples in heard.items():
            kept = self.voice.hear(samples)
            out = np.concatenate([self.speak(text, kept)[2] for text in VOICE_TEXTS])
            found = references.signature(out)
            nearest = min(known, key=lambda it: np.linalg.norm(known[it] - found))
            by_spectrum = min(known, key=lambda it: np.linalg.norm((known[it] - found)[:-1]))
            reference, output = references.pitch_of(samples), references.pitch_of(out)
            off = output / reference - 1
            rows[name] = {"reference_hz": round(reference, 1), "output_hz": round(output, 1), "off": round(off, 4), "nearest": nearest}
            right += nearest == name
            right_by_spectrum += by_spectrum == name
        off = [abs(it["off"]) for it in rows.values()]
        return {
            "voices": rows, "mean_off": round(float(np.mean(off)), 4), "worst_off": round(max(off), 4),
            "found_again": right, "found_again_by_spectrum": right_by_spectrum,
        }  # fmt: skip

    def prosody(self, means: dict[str, float]) -> dict:
        """Pitch and durations of phones against the teacher's, for statements, questions and lists."""
        found: dict[str, dict] = {}
        for kind in ("statement", "question", "list"):
            pitch, lengths = ([], []), ([], [])
            for line in lines("prosody"):
                if not line.startswith(kind):
                    continue
                text = line.split(" ", 1)[1]
                ours = contour(self.inventory, self.voice.tokens(text, self.default, most=most_tokens(text))[0])
                theirs = contour(self.inventory, teacher_tokens(self.inventory, text, means[TEACHER]))
                for i, j in measures.alignment([it[0] for it in theirs], [it[0] for it in ours]):
                    if i is not None and j is not None and theirs[i][0] == ours[j][0] and theirs[i][0] != "pau":
                        for both, at in ((pitch, 2), (lengths, 1)):
                            both[0].append(theirs[i][at])
                            both[1].append(ours[j][at])
            ratio = float(np.mean(lengths[1]) / np.mean(lengths[0]))
            spread = [float(np.std(it)) for it in pitch]
            found[kind] = {
                "pitch_correlation": round(measures.correlation(*pitch), 3), "pitch_spread_ratio": round(spread[1] / spread[0], 3),
                "duration_correlation": round(measures.correlation(*map(np.log, lengths)), 3), "duration_ratio": round(ratio, 3),
            }  # fmt: skip
        return found


def collapsed(phones: list[str]) -> list[str]:
    return [it for n, it in enumerate(phones) if n == 0 or it != phones[n - 1]]


def teacher_tokens(inventory: tokens.Inventory, text: str, mean: float) -> np.ndarray:
    from tts.spoken_sentences import analyse

    label, pitch, _ = analyse(text, TEACHER, mean)
    return inventory.codes(label) * tokens.N_PITCHES + tokens.levels(pitch)


def contour(inventory: tokens.Inventory, said: np.ndarray) -> list[tuple[str, float, float]]:
    """Each phone with its length in steps of 20 ms and its mean level of pitch."""
    phones = inventory.table[said // tokens.N_PITCHES].reshape(-1)
    pitch = np.repeat(said % tokens.N_PITCHES, 2)
    return [(tokens.PHONES[it], float(b - a), float(pitch[a:b].mean())) for it, a, b in measures.runs(phones)]


def evaluate(
    folder: pathlib.Path, run: pathlib.Path, parts: list[str], n_stops: int = N_STOPS, limit: int | None = None, listens: bool = True
) -> dict:
    """Of each set of sentences at most `limit`; with PocketSphinx, which takes most of the time, if it `listens`."""
    inventory = tokens.Inventory.load(run / "inventory.npz")
    means = json.loads((run / "speech" / "means.json").read_text())
    samples, _ = soundfile.read(folder / "default_voice.wav", dtype="float32")
    it = Evaluation(folder, inventory, references.prepared(samples), run / "teacher_heard.json", listens)
    found: dict = {"bytes": sum(path.stat().st_size for path in folder.iterdir())}
    for name in ("natural", "long", "spelled", "natural_dev", "long_dev"):
        if name in parts:
            found[name] = it.understood(spoken_forms(name)[:limit])
            print(f"{name}: { {k: v for k, v in found[name].items() if k != 'worst'} }", flush=True)
    if it.audio:
        found["rtf"] = round(it.seconds / it.audio, 4)
        found["clicks_per_second"] = round(float(np.mean(it.clicks)), 4)
    if "stops" in parts:
        found["stops"] = it.stops(n_stops)
        print(f"stops: {found['stops']}", flush=True)
    if "voices" in parts:
        found["voices"] = it.voices(limit)
        print(f"voices: {found['voices']}", flush=True)
    if "prosody" in parts:
        found["prosody"] = it.prosody(means)
        print(f"prosody: {found['prosody']}", flush=True)
    return found


ALL = ["natural", "long", "spelled", "stops", "voices", "prosody"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures a model folder of the built-in voice.")
    parser.add_argument("folder", type=pathlib.Path, help="the four graphs, tokenizer.json and default_voice.wav")
    parser.add_argument("--run", type=pathlib.Path, required=True, help="folder of a training run: its tokens' inventory is used")
    parser.add_argument("--parts", nargs="+", default=ALL, help=f"which of {', '.join(ALL)}, round_trip, natural_dev, long_dev")
    parser.add_argument("--deaf", action="store_true", help="without PocketSphinx: what is said is judged by its phones alone")
    parser.add_argument("--stops", type=int, default=N_STOPS, help="how many sentences must stop")
    parser.add_argument("--recogniser", type=pathlib.Path, help="a model folder for the part round_trip (default: the built-in one)")
    parser.add_argument("--out", type=pathlib.Path, help="a file for the figures, in JSON")
    given = parser.parse_args()
    found = evaluate(given.folder, given.run, given.parts, given.stops, listens=not given.deaf)
    if "round_trip" in given.parts:
        from tts import round_trip

        found["round_trip"] = round_trip.measure(Voice(given.folder), given.recogniser or round_trip.DEFAULT_RECOGNISER)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))
    else:
        json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
