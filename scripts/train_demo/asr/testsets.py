"""What the recogniser is measured on: sentences and voices that were never trained on, and everything around speech.

A folder of WAV files and `tests.json`, one entry for each file: its group, who speaks, what is said, when each word is spoken where the
synthesiser tells, and for pairs of sentences when each begins and ends. The development set is made alike from other sentences and voices.
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile

from asr import demo_voice, lexicon, noise, sentences, telephone, voices
from asr.sentences import Sentence, Word
from shared import festival, numbers
from shared.runs import chance, write_whole
from shared.speech import Speech
from shared.splits import split_of

RATE = voices.RATE
# Real words that are in no list of ours, for what happens to words it does not know.
UNKNOWN_WORDS = """almond avalanche bamboo blanketed cactus caravan cinnamon cobweb compass corridor dolphin escalator gravel hazelnut igloo jellyfish
lantern lavender lobster meadow mosquito orbit panther parsley pebble pelican pepperoni pumpkin raccoon saxophone scaffold seagull skeleton spinach
submarine tambourine trampoline volcano walnut windmill""".split()


@dataclass
class Case:
    """One clip before it is written."""

    group: str
    voice: str
    text: str
    samples: np.ndarray
    words: list[list[float]] | None = None
    more: dict[str, Any] = field(default_factory=dict)


Say = Callable[[str], Speech]


class Maker:
    """Makes one set. `size` scales the number of clips: 1 is the whole."""

    def __init__(self, split: str, seed: int, size: float = 1.0) -> None:
        self.split, self.size = split, size
        self.r = chance(seed, "tests", split)
        self.noise = np.random.default_rng(self.r.randrange(1 << 40))
        self.speakers = voices.speakers()
        self.said: set[str] = set()

    def cases(self) -> Iterator[Case]:
        spoken = list(self.spoken())
        yield from spoken
        yield from self.telephone([case for case in spoken if case.group.startswith("held_") and case.group.endswith("_sentences")])
        yield from self.pairs()
        yield from self.nothing()
        if self.split == "test":
            yield from self.every_word()
            yield from self.unknown()
            yield from self.round_trip()

    def n(self, whole: int) -> int:
        return max(2, round(whole * self.size))

    # --- speech ---

    def sentence(self, is_random: bool, fewest: int = 4, most: int = 11) -> Sentence:
        """One that was not said before: the few of a split that have no slots would come again and again."""
        while True:
            sentence = sentences.some_sentence(self.r, share_of_random=float(is_random))
            text = sentences.written(sentence)
            if fewest <= len(sentence) <= most and split_of(text) == self.split and text not in self.said:
                self.said.add(text)
                return sentence

    def espeak(self, voice: str) -> Say:
        return lambda text: self.speakers.espeak.say(text, voice, rate=self.r.randint(140, 190))

    def flite(self, voice: str) -> Say:
        return lambda text: self.speakers.flite.say(text, voice)

    def festival(self, voice: str) -> Say:
        return lambda text: festival.say_all([text], voice)[0]

    def voices(self) -> dict[str, list[tuple[str, Say]]]:
        """Groups of voices: each name with how it speaks."""
        r = self.r
        if self.split == "development":
            return {"held_espeak": [(name, self.espeak(name)) for name in voices.DEVELOPMENT_ESPEAK]}
        seen = [r.choice(voices.ACCENTS) + r.choice(voices.VARIANTS) for _ in range(12)]
        return {
            "held_espeak": [(name, self.espeak(name)) for name in voices.HELD_OUT_ESPEAK],
            **{f"held_{group}": [(name, self.festival(name))] for group, name in voices.HELD_OUT_FESTIVAL.items()},
            "seen_espeak": [(name, self.espeak(name)) for name in seen],
            "seen_flite": [(name, self.flite(name)) for name in ("kal16", "awb", "rms", "slt")],
        }

    def spoken(self) -> Iterator[Case]:
        for group, speakers in self.voices().items():
            for kind in ("sentences", "random"):
                for i in range(self.n(40)):
                    name, say = speakers[i % len(speakers)]
                    yield self.case(f"{group}_{kind}", name, say, self.sentence(kind == "random"))

    def case(self, group: str, name: str, say: Say, sentence: Sentence) -> Case:
        speech = say(sentences.said(sentence)).at(RATE)
        lead, tail = self.r.uniform(0.1, 0.6), self.r.uniform(0.1, 0.5)
        samples = _level(speech.samples)
        samples = np.concatenate([np.zeros(int(lead * RATE)), samples, np.zeros(int(tail * RATE))])
        lead = int(lead * RATE) / RATE
        words, at = None, 0
        if speech.words is not None:
            words = []
            for word in sentence:
                n = len(word.said.split())
                words.append([round(speech.words[at].start + lead, 3), round(speech.words[at + n - 1].end + lead, 3)])
                at += n
        return Case(group, name, sentences.written(sentence), self.hissing(samples), words)

    def hissing(self, samples: np.ndarray) -> np.ndarray:
        return samples + self.noise.standard_normal(len(samples)) * 5e-4

    def telephone(self, cases: list[Case]) -> Iterator[Case]:
        for case in cases:
            yield Case(case.group.replace("held", "telephone"), case.voice, case.text, telephone.samples_through(case.samples))

    def pairs(self) -> Iterator[Case]:
        """Two sentences of one speaker with a pause of 1.2 to 4 s."""
        held = [pair for group, speakers in self.voices().items() if group.startswith("held") for pair in speakers]
        for i in range(self.n(60)):
            name, say = held[i % len(held)]
            first, second = (self.case("", name, say, self.sentence(i % 4 == 3, 4, 7)) for _ in range(2))
            if first.words is None or second.words is None:
                continue
            pause = np.zeros(int(RATE * max(0.0, self.r.uniform(1.2, 4.0) - 0.5)))
            at = (len(first.samples) + len(pause)) / RATE
            samples = np.concatenate([first.samples, self.hissing(pause), second.samples])
            bounds = [first.words[0][0], first.words[-1][1], second.words[0][0] + at, second.words[-1][1] + at]
            yield Case("pairs", name, f"{first.text} {second.text}", samples, more={"bounds": [round(it, 3) for it in bounds]})

    # --- no speech ---

    def nothing(self) -> Iterator[Case]:
        """Silence, hiss, noise, tones, and what sounds like music, at many levels and lengths."""
        kinds = ["silence", "hiss", *noise.KINDS]
        for i in range(self.n(60)):
            kind, seconds = kinds[i % len(kinds)], self.r.uniform(1.0, 9.0)
            if kind == "silence":
                samples = np.zeros(int(RATE * seconds))
            elif kind == "hiss":
                samples = self.noise.standard_normal(int(RATE * seconds)) * 10 ** self.r.uniform(-4.5, -2.5)
            else:
                samples = noise.make(kind, self.noise, seconds) * 10 ** self.r.uniform(-1.5, 0.3)
            yield Case("nothing", kind, "", samples)

    # --- words ---

    def every_word(self) -> Iterator[Case]:
        """Every word of the vocabulary once, in random sequences of five, by held-out espeak-ng voices."""
        listed = {word.lower(): word for word in lexicon.NAMES + lexicon.PLACES + lexicon.DAYS + lexicon.MONTHS}
        words = [Word(listed.get(word, word), word) for word in sorted(lexicon.vocabulary()) if len(word) > 1 and word not in lexicon.HOMOPHONES]
        words += [sentences.letter(char) for char in "abcdefghijklmnopqrstuvwxyz"]
        # Numbers above ten are written in digits.
        words = [word for word in words if word.written not in numbers.ONES[11:] + numbers.TENS[2:]]
        words += [sentences.number(n) for n in [*range(11, 21), *range(30, 100, 10)]]
        self.r.shuffle(words)
        words = words[: self.n(len(words))]
        for at in range(0, len(words), 5):
            name = voices.HELD_OUT_ESPEAK[at // 5 % 3]
            yield self.case("every_word", name, self.espeak(name), sentences.finished(list(words[at : at + 5]), question=False))

    def unknown(self) -> Iterator[Case]:
        """Sentences with a word that is in no list."""
        patterns = ("the next word is {}", "say {} again", "I can see a {} near the door", "what does {} mean")
        for i, word in enumerate(UNKNOWN_WORDS[: self.n(40)]):
            name = voices.HELD_OUT_ESPEAK[i % 3]
            sentence = sentences.finished(sentences.as_is(patterns[i % 4].format(word)), question=i % 4 == 3)
            case = self.case("unknown", name, self.espeak(name), sentence)
            case.more = {"word": word}
            yield case

    def round_trip(self) -> Iterator[Case]:
        """What the built-in voice of the synthesiser says, with four references: its own, two more, and the one that is held out."""
        speaker = demo_voice.DemoVoice()
        speaker.add_references(self.r)
        references = ["default", "high", "slt", voices.HELD_OUT_REFERENCE]
        for i in range(self.n(200)):
            sentence = self.sentence(is_random=False)
            while len(sentences.said(sentence)) > demo_voice.LONGEST_TEXT:
                sentence = self.sentence(is_random=False)
            name = references[i % 4]
            yield self.case("round_trip", name, functools.partial(speaker.say, reference=name), sentence)


def _level(samples: np.ndarray) -> np.ndarray:
    return samples / (np.abs(samples).max() + 1e-6) * 0.5


def make(folder: pathlib.Path, split: str, seed: int, size: float = 1.0) -> list[dict[str, Any]]:
    """Writes the set and returns its entries."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for i, case in enumerate(Maker(split, seed, size).cases()):
        name = f"{case.group}_{i:04d}.wav"
        soundfile.write(folder / name, np.clip(case.samples, -1, 1), RATE, subtype="PCM_16")
        entry = {"file": name, "group": case.group, "voice": case.voice, "text": case.text, "seconds": round(len(case.samples) / RATE, 2)}
        entries.append(entry | {"words": case.words} | case.more)
    write_whole(folder / "tests.json", json.dumps(entries, indent=1).encode())
    return entries

