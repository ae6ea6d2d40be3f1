"""The texts of the voice's recipe, and what is made of its figures. Plain Python."""

import itertools
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts/train_demo"))

from shared.splits import split_of  # noqa: E402 - found through the line above
from tts import report, spelling, texts  # noqa: E402

FRONT_END_TESTS = ROOT / "services/tts/src/text/english/tests.rs"


def front_end(pattern):
    """What the server's own tests say of the inputs that are wholly of a pattern."""
    for line in FRONT_END_TESTS.read_text().splitlines():
        written, arrow, spoken = line.strip().rstrip('",;)').partition(" → ")
        found = re.fullmatch(pattern, written.removeprefix('"'))
        if arrow and found:
            yield found, spoken


class Spelling(unittest.TestCase):
    """The recipe spells as the server's text front end does, or the voice would learn words that it is never given."""

    def check(self, pattern, spell, at_least):
        n = 0
        for n, (found, spoken) in enumerate(front_end(pattern), 1):
            self.assertEqual(spell(*found.groups()), spoken, found[0])
        self.assertGreaterEqual(n, at_least, "the table has changed its form")

    def test_cardinals(self):
        self.check(r"(\d{1,3}(?:,\d{3}){1,4})", lambda it: spelling.cardinal(int(it.replace(",", ""))), 2)
        self.check(r"([1-9]\d{0,2}|0|1000)", lambda it: spelling.cardinal(int(it)), 5)

    def test_years(self):
        self.check(r"(in |since )?(1[1-9]\d\d|20\d\d)", lambda before, it: (before or "") + spelling.year(int(it)), 5)

    def test_ordinals(self):
        self.check(r"(\d+)(?:st|nd|rd|th)", lambda it: spelling.ordinal(int(it)), 6)

    def test_decimals(self):
        self.check(r"(\d)\.(\d+)", lambda whole, part: spelling.decimal(int(whole), part), 2)

    def test_money(self):
        self.check(r"\$(\d+)(?:\.(\d\d))?", lambda whole, cents: spelling.dollars(int(whole), int(cents or 0)), 6)

    def test_times(self):
        self.check(r"(\d{1,2}):(\d\d)", lambda hour, minute: spelling.clock(int(hour), int(minute)), 6)

    def test_dates(self):
        self.check(r"(\d{4})-(\d\d)-(\d\d)", lambda year, month, day: spelling.date(int(month), int(day), int(year)), 1)

    def test_telephones(self):
        self.check(r"(\d{3})-(\d{3})-(\d{4})", spelling.telephone, 1)
        self.check(r"(\d{3})-(\d{4})", spelling.telephone, 1)

    def test_letters(self):
        self.check(r"([A-Z]{4}) and XML", lambda it: f"{spelling.letters(it)} and {spelling.letters('XML')}", 1)


class Sentences(unittest.TestCase):
    def some(self, n=2000, of="train"):
        return list(texts.sentences(7, 0, n, of))

    def test_they_are_the_same_ones_again(self):
        whole = self.some(300)
        self.assertEqual(whole, self.some(300))
        self.assertEqual(whole, [*texts.sentences(7, 0, 100), *texts.sentences(7, 100, 300)])
        self.assertNotEqual(whole, list(texts.sentences(8, 0, 300)))

    def test_they_are_written_as_the_voice_is_given_them(self):
        for text in self.some():
            self.assertRegex(text, r"^[A-Za-z' ,.?!;-]+$")
            self.assertLessEqual(len(text), texts.LONGEST)
            self.assertIn(text[-1], ".?!")
            self.assertNotIn("  ", text)
            self.assertEqual(text[0], text[0].upper())

    def test_there_are_enough_of_each_kind(self):
        found = self.some()
        long = sum(100 <= len(it) <= 250 for it in found) / len(found)
        self.assertGreater(long, 0.2)
        self.assertGreater(sum(it.endswith("?") for it in found) / len(found), 0.05)
        spelled = sum(bool(re.search(r"\b[A-Z],? [A-Z]\b", it)) for it in found) / len(found)
        self.assertGreater(spelled, 0.03)
        numbers = sum(bool(re.search(r"\b(hundred|thousand|twenty|eleven)\b", it)) for it in found) / len(found)
        self.assertGreater(numbers, 0.1)

    def test_sets_share_no_sentence(self):
        sets = {of: set(self.some(of=of)) for of in ("train", "development", "test")}
        for first, second in itertools.combinations(sets.values(), 2):
            self.assertFalse(first & second)
        for of, found in sets.items():
            self.assertGreater(len(found), 10)
            self.assertEqual({split_of(it) for it in found}, {of})

    def test_words_are_listed_once(self):
        for name in ("nouns", "verbs", "adjectives", "adverbs", "small", "names"):
            words = texts.words_of(name)
            self.assertEqual(len(words), len(set(words)), name)


class TestSentences(unittest.TestCase):
    folder = ROOT / "scripts/train_demo/tts/sentences"

    def test_long_ones_are_long(self):
        for name in ("long", "long_dev"):
            for text in (self.folder / f"{name}.txt").read_text().splitlines():
                self.assertTrue(100 <= len(text) <= 260, f"{len(text)}: {text}")

    def test_what_is_written_is_given_with_what_is_spoken(self):
        for line in (self.folder / "spelled.txt").read_text().splitlines():
            written, _, spoken = line.partition(" → ")
            self.assertNotRegex(spoken, r"\d", written)
            self.assertGreater(len(spoken), 10)

    def test_the_pattern_writer_made_none_of_them(self):
        written = set(texts.sentences(1, 0, 5000))
        for path in self.folder.glob("*.txt"):
            for line in path.read_text().splitlines():
                # As it is spoken, without what it is an example of.
                text = line.split(" → ")[-1]
                if path.stem == "prosody":
                    text = text.partition(" ")[2]
                self.assertNotIn(text, written)


class Report(unittest.TestCase):
    figures = {"natural": {"wer": 0.05}, "stops": {"no_stop": 2}, "bytes": 7_000_000}

    def test_a_goal_is_reached_or_not(self):
        table = report.table({"new": self.figures, "old": {"natural": {"wer": 0.11}}})
        self.assertIn("| word errors, natural sentences | 5.0% (reached) | 11.0% | ≤ 6.0% |", table)
        self.assertIn("| sentences that did not stop | 2 | - | ≤ 0 |", table)
        self.assertIn("| size | 7.0 MB (reached) | - | ≤ 20.0 MB |", table)

    def test_what_was_not_measured_is_left_out(self):
        self.assertNotIn("round trip", report.table({"new": self.figures}))


if __name__ == "__main__":
    unittest.main()
