"""Who speaks: the voices to learn from, and those that are only for measuring.

Never trained on: espeak-ng's variants Michael, Alicia and f5 with any accent; festival's `ked_diphone` (a speaker of his own) and
`cmu_us_slt_arctic_hts` (an engine of its own; flite's `slt` is made from the same speaker); for the built-in voice, the reference `higher`.
The development set has three variants of its own: caleb, gustave and steph2.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import NamedTuple

from shared import festival, flite
from shared.espeak import Espeak
from shared.speech import Speech

RATE = 16_000

# Repeated as often as they are to be heard.
ACCENTS = ["en-us"] * 4 + ["gmw/en"] * 2 + "en-gb-scotland en-gb-x-rp en-gb-x-gbclan en-gb-x-gbcwmd en-029 en-us-nyc".split()
VARIANTS = [""] * 4 + [
    f"+{name}"
    for name in (
        "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 klatt klatt2 klatt3 klatt4 klatt5 klatt6 Alex Andrea Andy Annie Denis Diogo Gene Gene2 Henrique "
        "Hugo Jacky Lee Marco Mario Mike adam anika announcer antonio aunty belinda benjamin boris david ed edward edward2 grandma grandpa "
        "iven iven2 iven3 iven4 john kaukovalta linda marcelo max michel miguel norbert pablo paul pedro quincy rob robert "
        "sandro shelby steph steph3 travis victor zac"
    ).split()
]
HELD_OUT_ESPEAK = ["en-us+Michael", "gmw/en+Alicia", "en-us+f5"]
DEVELOPMENT_ESPEAK = ["en-us+caleb", "gmw/en+gustave", "en-us+steph2"]
FESTIVAL = "kal_diphone"
HELD_OUT_FESTIVAL = {"ked": "ked_diphone", "slt_hts": "cmu_us_slt_arctic_hts"}
HELD_OUT_REFERENCE = "higher"


class Clip(NamedTuple):
    """Speech at 16 kHz, who spoke it, and whose names its phones have."""

    voice: str
    phone_set: str
    speech: Speech


class Speakers:
    """Everybody to learn from. `speakers()` makes the one of this process."""

    def __init__(self) -> None:
        self.espeak = Espeak()
        self.flite = flite.Flite()

    def say_all(self, texts: Sequence[str], r: random.Random) -> list[Clip]:
        """Speaks each text with a voice, tempo and pitch of chance. Festival takes long to start, so it speaks several with one."""
        clips: list[Clip | None] = [None] * len(texts)
        for_festival: list[int] = []
        for i, text in enumerate(texts):
            share = r.random()
            if share < 0.5:
                voice = r.choice(ACCENTS) + r.choice(VARIANTS)
                speech = self.espeak.say(text, voice, rate=r.randint(120, 215), pitch=r.randint(20, 80), pitch_range=r.randint(20, 80))
                clips[i] = Clip(voice, "espeak", speech.at(RATE, r.uniform(0.9, 1.12)))
            elif share < 0.88:
                voice = r.choice(["kal16", "awb", "awb", "rms", "rms", "slt", "slt"])
                speech = self.flite.say(text, voice, stretch=r.uniform(0.8, 1.35))
                clips[i] = Clip(voice, "cmu", speech.at(RATE, r.uniform(0.86, 1.18)))
            else:
                for_festival.append(i)
        for at in range(0, len(for_festival), 40):
            some = for_festival[at : at + 40]
            spoken = festival.say_all([texts[i] for i in some], FESTIVAL, stretch=r.uniform(0.85, 1.25))
            for i, speech in zip(some, spoken):
                clips[i] = Clip(FESTIVAL, "cmu", speech.at(RATE, r.uniform(0.86, 1.18)))
        return [clip for clip in clips if clip is not None]


@functools.cache
def speakers() -> Speakers:
    # espeak-ng hangs when its library is started twice in one process.
    return Speakers()
