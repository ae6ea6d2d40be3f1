"""Sentences of this recipe's own: patterns with slots, and random sequences of its words.

A sentence is a list of `Word`: how it is written (what the recogniser must print) and how it is said (what a synthesiser reads):
`25` is said `twenty five`. Numbers above ten are written in digits, as Whisper does; times are written 7.30, because Whisper's decoders
suppress the colon.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from asr import lexicon
from shared import numbers


class Word(NamedTuple):
    written: str
    said: str


Sentence = list[Word]

QUESTION_WORDS = set("what where who why when how do did is can could may will does".split())
# How many words a random sequence has: mostly few, because few words are learned at less cost.
RANDOM_LENGTHS = (1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 10)
LONGEST = 14


def written(sentence: Sentence) -> str:
    return " ".join(word.written for word in sentence)


def said(sentence: Sentence) -> str:
    return " ".join(word.said for word in sentence)


# --- words that are not said as they are written ---


def as_is(text: str) -> Sentence:
    return [Word(word, word) for word in text.split()]


def number(n: int) -> Word:
    """Whisper writes small numbers in words."""
    return Word(numbers.ONES[n] if n <= 10 else str(n), numbers.cardinal(n))


def some_number(r: random.Random) -> int:
    share = r.random()
    if share < 0.3:
        return r.randint(1, 12)
    if share < 0.75:
        return r.randint(11, 99)
    return r.choice([r.randint(100, 999), 100 * r.randint(1, 9), 1000 * r.randint(1, 9), r.randint(1000, 9999)])


def letter(char: str) -> Word:
    # Synthesisers take a lone A for the article.
    return Word(char.upper(), "eigh" if char.lower() == "a" else char.upper())


def letters(r: random.Random) -> Sentence:
    word = r.choice(lexicon.NAMES + lexicon.PLACES) if r.random() < 0.5 else "".join(r.choices("abcdefghijklmnopqrstuvwxyz", k=r.randint(2, 6)))
    return [letter(char) for char in word[:8]]


def some_digits(r: random.Random, fewest: int = 3, most: int = 7) -> Word:
    text = "".join(r.choices("0123456789", k=r.randint(fewest, most)))
    return Word(text, numbers.digits(text))


def mixed(r: random.Random) -> Sentence:
    """A booking code: letters, then digits."""
    return [letter(char) for char in r.choices("abcdefghijklmnopqrstuvwxyz", k=r.randint(1, 3))] + [some_digits(r, 2, 4)]


def clock(r: random.Random) -> Sentence:
    hour, minute = r.randint(1, 12), r.choice([0, 0, 10, 15, 20, 25, 30, 30, 40, 45, 50, 55])
    half = r.choice([Word("AM", "eigh m"), Word("PM", "p m")])
    if minute:
        time = [Word(f"{hour}.{minute}", f"{numbers.cardinal(hour)} {numbers.cardinal(minute)}")]
        return time + ([half] if r.random() < 0.5 else [])
    if r.random() < 0.6:
        return [Word(str(hour), numbers.cardinal(hour)), half]
    return [number(hour), *as_is("o'clock")]


def percent(r: random.Random) -> Word:
    n = r.choice([5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80, 90, 100])
    return Word(f"{n}%", f"{numbers.cardinal(n)} percent")


def money(r: random.Random) -> Word:
    n = some_number(r) + 1
    return Word(f"${n}", f"{numbers.cardinal(n)} dollars")


def ordinal(n: int) -> Word:
    return Word(f"{n}{numbers.ordinal_suffix(n)}", numbers.ordinal(n))


def some_year(r: random.Random) -> Word:
    n = r.choice([18, 19, 19, 20]) * 100 + r.randint(11, 99)
    return Word(str(n), numbers.year(n))


ONSETS = "b d f g h k l m n p r s t v w br dr fl gr pl st tr".split()
VOWELS = "a e i o u".split()
CODAS = "n t l m s r p nd st ck".split()


def invented(r: random.Random) -> str:
    """A word that there is not, spelled so that its sound tells the letters: what a recogniser should do with a word it does not know."""
    syllables = [r.choice(ONSETS) + r.choice(VOWELS) for _ in range(r.randint(1, 2))]
    return "".join(syllables) + r.choice(CODAS)


# --- patterns ---

SLOTS: dict[str, Callable[[random.Random], Sentence]] = {
    "room": lambda r: as_is(r.choice(lexicon.ROOMS)),
    "thing": lambda r: as_is(r.choice(lexicon.THINGS)),
    "onoff": lambda r: as_is(r.choice(["on", "off"])),
    "updown": lambda r: as_is(r.choice(["up", "down"])),
    "color": lambda r: as_is(r.choice(lexicon.COLORS)),
    "noun": lambda r: as_is(r.choice(lexicon.NOUNS)),
    "adj": lambda r: as_is(r.choice(lexicon.ADJECTIVES)),
    "verb": lambda r: as_is(r.choice(lexicon.VERBS)),
    "word": lambda r: as_is(r.choice(lexicon.RANDOM_WORDS)),
    "media": lambda r: as_is(r.choice(["music", "movie", "video", "song"])),
    "open": lambda r: as_is(r.choice(["open", "close", "start"])),
    "when": lambda r: as_is(
        r.choice(["today", "tomorrow", "tonight", "later", "this morning", "this evening", "next week", "on " + r.choice(lexicon.DAYS)])
    ),
    "name": lambda r: as_is(r.choice(lexicon.NAMES)),
    "place": lambda r: as_is(r.choice(lexicon.PLACES)),
    "family": lambda r: as_is(r.choice(lexicon.FAMILY)),
    "dir": lambda r: as_is(r.choice(lexicon.DIRECTIONS)),
    "day": lambda r: as_is(r.choice(lexicon.DAYS)),
    "month": lambda r: as_is(r.choice(lexicon.MONTHS)),
    "num": lambda r: [number(some_number(r))],
    "ord": lambda r: [ordinal(r.randint(1, 31))],
    "year": lambda r: [some_year(r)],
    "clock": clock,
    "pct": lambda r: [percent(r)],
    "money": lambda r: [money(r)],
    "digits": lambda r: [some_digits(r)],
    "letters": letters,
    "mixed": mixed,
}


def from_template(r: random.Random, template: str | None = None) -> Sentence:
    sentence: Sentence = []
    for part in (template or r.choice(lexicon.TEMPLATES)).split():
        if not part.startswith("{"):
            sentence += as_is(part)
            continue
        name, _, tail = part[1:].partition("}")
        filled = SLOTS[name](r)
        last = filled[-1]
        if tail and not (tail == "s" and last.written.endswith("s")):
            filled[-1] = Word(last.written + tail, last.said + tail)
        sentence += filled
    return sentence


# --- random sequences ---


def random_word(r: random.Random) -> Word:
    share = r.random()
    if share < 0.14:
        word = r.choice(lexicon.NAMES + lexicon.PLACES + lexicon.DAYS + lexicon.MONTHS)
    elif share < 0.17:
        word = r.choice(lexicon.DIRECTIONS + lexicon.COLORS)
    elif share < 0.2:
        word = invented(r)
    else:
        word = r.choice(lexicon.RANDOM_WORDS)
    return Word(word, word)


def random_words(r: random.Random, n: int) -> Sentence:
    sentence: Sentence = []
    for _ in range(n):
        # Two numbers in a row could be one.
        after_number = bool(sentence) and sentence[-1].written[0].isdigit()
        if r.random() < 0.07 and not after_number:
            sentence.append(number(r.randint(11, 99)))
        elif r.random() < 0.03:
            sentence.append(letter(r.choice("dfgjklmnsvwxz")))
        else:
            sentence.append(random_word(r))
    if n > 4 and r.random() < 0.3:
        i = r.randrange(1, n - 1)
        sentence[i] = Word(sentence[i].written + ",", sentence[i].said + ",")
    return sentence


# --- whole sentences ---


def is_question(sentence: Sentence) -> bool:
    words = written(sentence).lower().split()
    return len(words) > 2 and ((words[0] in QUESTION_WORDS and words[1] != "not") or "how are you" in written(sentence).lower())


def finished(sentence: Sentence, question: bool) -> Sentence:
    """With a capital letter at the start and a mark at the end."""
    first, last = sentence[0], sentence[-1]
    sentence = [Word(first.written[0].upper() + first.written[1:], first.said), *sentence[1:]]
    mark = "?" if question else "."
    sentence[-1] = Word(sentence[-1].written.rstrip(",") + mark, last.said.rstrip(",") + mark)
    return sentence


def some_sentence(r: random.Random, share_of_random: float = 0.55) -> Sentence:
    """A sentence of at most `LONGEST` words: from a pattern, or (that share of them) a random sequence."""
    while True:
        if r.random() < share_of_random:
            return finished(random_words(r, r.choice(RANDOM_LENGTHS)), question=False)
        sentence = from_template(r)
        if len(sentence) <= LONGEST:
            return finished(sentence, is_question(sentence))
