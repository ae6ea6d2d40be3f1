"""Sentences to speak, made from word lists and patterns that were written for this.

Sentence `n` of a seed is always the same one, whatever is asked for around it. To which set it belongs is said by
`shared.splits`, from the sentence itself.
"""

import functools
import pathlib
import random
import re
from collections.abc import Iterator

from shared.splits import split_of
from tts import spelling

WORDS = pathlib.Path(__file__).parent / "words"
VOWELS = set("aeiou")
WHOSE = ("the", "a", "my", "your", "his", "her", "our", "their")
MANY = ("the", "some", "many", "these", "those", "several", "few", "most", "all")
PEOPLE = ("I", "you", "we", "they")
NEAR = (
    "in", "on", "at", "from", "with", "by", "near", "under", "over", "behind", "through", "about", "after", "before", "without",
    "into", "across", "for", "around", "between", "beyond", "against", "during", "towards",
)  # fmt: skip
MIGHT = ("will", "can", "could", "should", "might", "would", "must", "may")
THERE = ("there is", "there was", "here is", "it is", "this is", "that was")
WANT = ("want to", "have to", "like to", "tried to", "used to", "need to", "forgot to")
SAYS = ("said", "thinks", "believes", "knew", "hopes", "told us", "heard")
ASKING = ("what", "why", "when", "where", "how")
FIRST = ("yes", "no", "okay", "well", "hello", "sorry", "of course", "thank you", "good morning")
UNITS = ("degrees", "percent", "kilometers", "miles", "hours", "years", "minutes")
# Between the clauses of a long sentence.
JOINS = (
    ", and ", ", but ", ", so ", " because ", " when ", " while ", ", although ", " if ", " until ", ", and then ", "; ", " before ",
    " after ", ", or ", " since ", ", which means that ", " and ", ", ", " - ",
)  # fmt: skip
# Longer than the server ever sends at once.
LONGEST = 260


@functools.cache
def words_of(name: str) -> tuple[str, ...]:
    """A word list by the name of its file."""
    return tuple((WORDS / f"{name}.txt").read_text().split())


def plural(noun: str) -> str:
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in VOWELS:
        return noun[:-1] + "ies"
    return noun + "s"


def _doubled(verb: str) -> str:
    ends_short = verb[-1] not in "aeiouwxy" and verb[-2] in VOWELS and (len(verb) < 3 or verb[-3] not in VOWELS)
    return verb + verb[-1] if len(verb) < 5 and ends_short else verb


def going(verb: str) -> str:
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return _doubled(verb) + "ing"


def gone(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ied"
    return _doubled(verb) + "ed"


def goes(verb: str) -> str:
    return plural(verb)


def adverb(adjective: str) -> str:
    if adjective.endswith("le"):
        return adjective[:-1] + "y"
    if adjective.endswith("y"):
        return adjective[:-1] + "ily"
    return adjective + ("ally" if adjective.endswith("ic") else "ly")


@functools.cache
def _letter_chain() -> dict[str, str]:
    """Which letters follow two letters in English words: for invented ones."""
    chain: dict[str, list[str]] = {}
    for name in ("nouns", "verbs", "adjectives", "adverbs"):
        for word in words_of(name):
            marked = f"^^{word}$"
            for at in range(len(marked) - 2):
                chain.setdefault(marked[at : at + 2], []).append(marked[at + 2])
    return {key: "".join(sorted(value)) for key, value in chain.items()}


class Writer:
    """Writes one sentence."""

    def __init__(self, seed: int, n: int) -> None:
        self.random = random.Random(f"{seed} {n}")

    def pick(self, *of: str) -> str:
        return self.random.choice(of)

    def word(self, name: str) -> str:
        return self.random.choice(words_of(name))

    def invented(self) -> str:
        chain = _letter_chain()
        while True:
            before, word = "^^", ""
            while len(word) < 12:
                letter = self.random.choice(chain[before])
                if letter == "$":
                    break
                word, before = word + letter, before[1] + letter
            if 3 <= len(word) <= 11 and set(word) & set("aeiouy") and word.isalpha():
                return word

    def any_word(self) -> str:
        """For sequences without sense: every word of the lists in every form, and invented ones."""
        which = self.random.random()
        if which < 0.26:
            noun = self.word("nouns")
            return noun if which < 0.16 else plural(noun)
        if which < 0.53:
            form = self.random.choice((str, gone, going, goes))
            return form(self.word("verbs"))
        if which < 0.70:
            word = self.word("adjectives")
            return word if which < 0.62 else adverb(word)
        if which < 0.73:
            return self.word("adverbs")
        if which < 0.85:
            return self.word("small")
        return self.word("names") if which < 0.90 else self.invented()

    def thing(self) -> str:
        which = self.random.random()
        if which < 0.35:
            return f"{self.pick(*WHOSE, 'this', 'that', 'every', 'another')} {self.word('nouns')}"
        if which < 0.62:
            return f"{self.pick(*WHOSE)} {self.word('adjectives')} {self.word('nouns')}"
        if which < 0.76:
            return f"{self.pick(*MANY)} {plural(self.word('nouns'))}"
        if which < 0.82:
            return f"{self.count()} {plural(self.word('nouns'))}"
        if which < 0.88:
            return f"the {self.word('nouns')} of the {self.word('nouns')}"
        if which < 0.94:
            return self.word("names")
        return f"{self.word('adjectives')} {plural(self.word('nouns'))}"

    def who(self) -> str:
        if self.random.random() < 0.4:
            return self.pick("I", "you", "he", "she", "we", "they", "it", "everyone", "nobody", "someone", "people", "who")
        return self.thing()

    def where(self) -> str:
        return f"{self.pick(*NEAR)} {self.thing()}"

    def count(self) -> str:
        most = self.random.choice((12, 12, 100, 100, 1000, 10_000, 1_000_000))
        return spelling.cardinal(self.random.randrange(2, most))

    def clause(self) -> str:
        which = self.random.random()
        verb = self.word("verbs")
        if which < 0.28:
            return f"{self.who()} {gone(verb)} {self.thing()}"
        if which < 0.42:
            return f"{self.who()} {self.pick(*MIGHT)} {verb} {self.thing()}"
        if which < 0.54:
            how = self.pick("very ", "too ", "so ", "not ", "quite ", "")
            return f"{self.thing()} {self.pick('is', 'was', 'has been', 'will be')} {how}{self.word('adjectives')}"
        if which < 0.64:
            return f"{self.who()} {gone(verb)} {self.where()}"
        if which < 0.73:
            return f"{self.pick(*THERE)} {self.thing()} {self.where()}"
        if which < 0.82:
            return f"{self.pick(*PEOPLE)} {self.pick(*WANT)} {verb} {self.thing()}"
        if which < 0.91:
            return f"{self.pick('he', 'she', 'it', self.thing())} {self.word('adverbs')} {goes(verb)} {self.thing()}"
        return f"{self.who()} {self.pick(*SAYS)} that {self.thing()} {gone(verb)} {self.where()}"

    def long(self) -> str:
        """100 characters and more of one sentence, as people write them."""
        goal = self.random.randrange(100, LONGEST - 20)
        parts = [self.clause()]
        while len(text := "".join(parts)) < goal:
            room = LONGEST - 2 - len(text)
            join = self.pick(*JOINS)
            more = join + (self.where() if self.random.random() < 0.25 else self.clause())
            if len(more) > room:
                break
            parts.append(more)
        return text

    def question(self) -> str:
        verb, which = self.word("verbs"), self.random.random()
        if which < 0.4:
            return f"{self.pick('can', 'could', 'would', 'will', 'did', 'should', 'do')} {self.pick(*PEOPLE)} {verb} {self.thing()}?"
        if which < 0.6:
            return f"{self.pick('is', 'was')} {self.thing()} {self.word('adjectives')}?"
        if which < 0.8:
            return f"{self.pick(*ASKING, 'who')} {self.pick('is', 'was', 'are')} {self.thing()} {going(verb)}?"
        return f"{self.pick(*ASKING)} {self.pick('do', 'did', 'will', 'can')} {self.pick(*PEOPLE)} {verb} {self.where()}?"

    def enumeration(self) -> str:
        n = self.random.randrange(3, 7)
        nouns = "nouns"
        things = [self.pick(self.thing(), self.word(nouns), plural(self.word(nouns)), self.word("names")) for _ in range(n)]
        comma = "," if self.random.random() < 0.5 else ""
        end = f"{', '.join(things[:-1])}{comma} {self.pick('and', 'or')} {things[-1]}"
        begin = self.pick("we need", "there are", "please bring", "she bought", "I can see", "they sell", "it comes with")
        return f"{begin} {end}"

    def numbers(self) -> str:
        r = self.random
        at_year = r.choice((r.randrange(1066, 1900), r.randrange(1900, 2030), r.randrange(2000, 2030)))
        date = spelling.date(r.randrange(1, 13), r.randrange(1, 29), r.choice((None, at_year)))
        time = spelling.clock(r.randrange(0, 24), r.choice((0, 5, 15, 30, r.randrange(60))))
        half = r.choice(("", " A M", " P M"))
        money = spelling.dollars(r.choice((0, 1, 5, r.randrange(100), r.randrange(10_000))), r.choice((0, 50, 99, r.randrange(100))))
        telephone = spelling.telephone(*("".join(r.choices("0123456789", k=k)) for k in r.choice(((3, 4), (3, 3, 4), (4, 4)))))
        return self.pick(
            f"{self.clause()} on {date}",
            f"{self.pick('the meeting', 'the train', 'the film', self.thing())} {self.pick('starts', 'leaves', 'ends')} at {time}{half}",
            f"{self.thing()} {self.pick('costs', 'cost', 'is only', 'was')} {money}",
            f"{self.pick('call', 'my number is', 'please dial', 'you can reach us at')} {telephone}",
            f"it {self.pick('is', 'was')} {self.count()} {self.pick(*UNITS)} {self.where()}",
            f"{self.pick('in', 'since', 'before', 'after')} {spelling.year(at_year)}, {self.clause()}",
            f"the {spelling.ordinal(r.randrange(1, 100))} {self.word('nouns')} {self.pick('is', 'was')} {spelling.decimal(r.randrange(100), str(r.randrange(10, 1000)))}",
            f"{self.pick('number', 'room', 'page', 'chapter', 'flight', 'gate', 'line')} {self.count()} {self.where()}",
            f"between {self.count()} and {self.count()} {plural(self.word('nouns'))} {self.where()}",
            f"the code is {spelling.digits(''.join(r.choices('0123456789', k=r.randrange(3, 9))))}",
        )

    def letters(self) -> str:
        r = self.random
        of = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        short = spelling.letters("".join(r.choices(of, k=r.choice((2, 3, 3, 3, 4)))))
        name = self.word("names")
        code = " ".join(r.choice((r.choice(of), spelling.ONES[r.randrange(10)])) for _ in range(r.randrange(3, 8)))
        return self.pick(
            f"the {short} {self.word('nouns')} {gone(self.word('verbs'))} {self.where()}",
            f"{name} is spelled {', '.join(name.upper())}",
            f"{self.pick('my', 'the', 'your')} {self.pick('code', 'reference', 'booking', 'password')} is {code}",
            f"{self.who()} {gone(self.word('verbs'))} the {short} {self.where()}",
            f"the {short} and the {spelling.letters(''.join(r.choices(of, k=3)))} {gone(self.word('verbs'))} {self.thing()}",
            f"please write to {self.word('names').lower()} at {self.word('nouns')} dot com",
            f"W W W dot {self.word('nouns')} dot {self.pick('com', 'org', 'net', 'C O dot U K')}",
        )

    def salad(self) -> str:
        return " ".join(self.any_word() for _ in range(self.random.randrange(2, 12)))

    def short(self) -> str:
        verb = self.word("verbs")
        return self.pick(
            self.clause(),
            f"{self.clause()} {self.where()}",
            f"{self.pick('please', 'never', 'always', 'do not', 'let us', 'you should', 'we must')} {verb} {self.thing()}",
            f"{self.pick(*FIRST)}, {self.clause()}",
            f"{self.pick('when', 'if', 'because', 'while', 'although')} {self.clause()}, {self.clause()}",
            f"{self.word('names')}, {self.pick('please', 'could you', 'never', 'you must')} {verb} {self.where()}",
            self.pick("yes", "no", "stop", "thanks", "hello", "maybe", "sure", self.word("nouns"), self.word("names"), self.any_word()),
        )

    def sentence(self) -> str:
        which = self.random.random()
        if which < 0.24:
            text = self.short()
        elif which < 0.50:
            text = self.long()
        elif which < 0.58:
            text = self.question()
        elif which < 0.65:
            text = self.enumeration()
        elif which < 0.78:
            text = self.numbers()
        elif which < 0.84:
            text = self.letters()
        else:
            text = self.salad()
        return finished(text, self.pick(*"........!"))


def finished(text: str, end: str) -> str:
    """With a capital at the start, the right article before a vowel and a mark at the end."""
    text = re.sub(r"\b([Aa]) (?=[aeio][a-z])", r"\1n ", text)
    text = re.sub(r"\bi\b", "I", text)
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else text + end


def sentences(seed: int, first: int, last: int, of: str = "train") -> Iterator[str]:
    """Of the sentences with these numbers those that belong to a set."""
    for n in range(first, last):
        text = Writer(seed, n).sentence()
        if len(text) <= LONGEST and split_of(text) == of:
            yield text
