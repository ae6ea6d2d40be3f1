"""What both recipes share: numbers in words, splits, error rates, run folders. Plain Python; nothing is synthesised or trained."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts/train_demo"))

from shared import errors, numbers, runs, splits  # noqa: E402 - found through the line above

try:
    from shared import speech
except ImportError:  # no numpy: only scripts/train_demo/setup.sh brings it
    speech = None


class Numbers(unittest.TestCase):
    def test_cardinals(self):
        for n, words in {
            0: "zero", 10: "ten", 19: "nineteen", 20: "twenty", 25: "twenty five", 100: "one hundred", 315: "three hundred fifteen",
            7000: "seven thousand", 999_999: "nine hundred ninety nine thousand nine hundred ninety nine",
        }.items():
            self.assertEqual(numbers.cardinal(n), words)
        for n in (-1, 1_000_000):
            with self.assertRaises(ValueError):
                numbers.cardinal(n)

    def test_ordinals(self):
        for n, words in {1: "first", 12: "twelfth", 20: "twentieth", 21: "twenty first", 30: "thirtieth", 40: "fortieth", 99: "ninety ninth"}.items():
            self.assertEqual(numbers.ordinal(n), words)
        self.assertEqual(
            [f"{n}{numbers.ordinal_suffix(n)}" for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 111)],
            "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 111th".split(),
        )

    def test_years_and_digits(self):
        for n, words in {
            1984: "nineteen eighty four", 1900: "nineteen hundred", 1906: "nineteen oh six", 2000: "two thousand", 2005: "two thousand five",
            2024: "twenty twenty four",
        }.items():
            self.assertEqual(numbers.year(n), words)
        self.assertEqual(numbers.digits("4072"), "four zero seven two")


class Splits(unittest.TestCase):
    def test_shares_and_what_is_always_for_training(self):
        texts = [f"the {a} {b} is number {n}" for a in ("red", "green") for b in ("door", "light") for n in range(2000)]
        counts = {name: 0 for name in ("train", "development", "test")}
        for text in texts:
            counts[splits.split_of(text)] += 1
        self.assertAlmostEqual(counts["test"] / len(texts), 9 / 256, delta=0.01)
        self.assertAlmostEqual(counts["development"] / len(texts), 4 / 256, delta=0.01)
        self.assertEqual({splits.split_of(f"turn left {n}") for n in range(500)}, {"train"})

    def test_a_sentence_stays_where_it_is(self):
        # What was held out once must not be trained on later, however times and names are written.
        self.assertEqual(splits.split_of("The train leaves at 7.30"), splits.split_of("the train leaves at 7:30"))
        self.assertEqual([splits.split_of(text) for text in ("the code is 0", "the code is 63", "the code is 12")], ["train", "development", "test"])


class Errors(unittest.TestCase):
    def test_edits(self):
        for said, heard, wanted in (("", "", 0), ("a b c", "a b c", 0), ("a b c", "a x c", 1), ("a b c", "c", 2), ("", "a b", 2), ("a b", "b a", 2)):
            self.assertEqual(errors.edits(said.split(), heard.split()), wanted)

    def test_what_counts_as_a_word(self):
        self.assertEqual(errors.plain_words("At 7:30, it's $25!"), ["at", "7", "30", "it's", "$25"])
        self.assertEqual(errors.plain_words("at 7.30"), errors.plain_words("At 7:30."))

    def test_rate_of_sums(self):
        rate = errors.ErrorRate()
        self.assertEqual(rate.add("one two three four", "one two three four"), 0)
        self.assertEqual(rate.add("yes", "no yes"), 1)
        self.assertEqual((rate.rate, rate.exact, rate.clips), (0.2, 1, 2))

    def test_percentile(self):
        self.assertEqual(errors.percentile([3, 1, 2], 0.5), 2)
        self.assertEqual(errors.percentile(list(range(101)), 0.95), 95)
        with self.assertRaises(ValueError):
            errors.percentile([], 0.5)


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "run"
        self.run_folder = runs.RunFolder(self.path)

    def test_a_stage_is_done_once_and_only_when_it_ended_well(self):
        with self.assertRaises(ZeroDivisionError), self.run_folder.stage("texts"):
            _ = 1 / 0
        seen = []
        for _ in range(2):
            with runs.RunFolder(self.path).stage("texts") as todo:
                seen.append(todo)
        self.assertEqual(seen, [True, False])
        self.run_folder.redo("texts", "never")
        self.assertFalse(self.run_folder.done("texts"))
        self.assertEqual([line["name"] for line in self.run_folder.notes("stage")], ["texts"])

    def test_a_line_that_a_crash_cut_is_left_out(self):
        self.run_folder.note("step", n=1)
        with (self.path / "progress.jsonl").open("a") as file:
            file.write('{"kind": "step", "n"')
        self.assertEqual([line["n"] for line in self.run_folder.notes("step")], [1])
        # And the next one is not glued to it.
        self.run_folder.note("step", n=2)
        self.run_folder.note("step", n=3)
        self.assertEqual([line["n"] for line in self.run_folder.notes("step")], [1, 2, 3])

    def test_values_are_saved_whole(self):
        self.run_folder.save("weights.pkl", {"a": 1})
        self.run_folder.save("weights.pkl", {"a": 2})
        self.assertEqual(self.run_folder.load("weights.pkl"), {"a": 2})
        self.assertEqual([path.name for path in self.path.iterdir()], ["weights.pkl"])

    def test_chance_hangs_on_the_use(self):
        self.assertEqual(runs.chance(1, "texts", 3).random(), runs.chance(1, "texts", 3).random())
        self.assertNotEqual(runs.chance(1, "texts", 3).random(), runs.chance(1, "texts", 4).random())
        self.assertNotEqual(runs.chance(1, "texts", 3).random(), runs.chance(2, "texts", 3).random())

    def test_a_clock_counts_what_was_spent_before(self):
        self.assertGreaterEqual(runs.Clock(10, spent=5).share, 0.5)
        self.assertFalse(runs.Clock(10, spent=5).over)
        self.assertTrue(runs.Clock(10, spent=10).over)
        self.assertEqual(runs.Clock(10, spent=11).left(), "0:00:00 left")


@unittest.skipIf(speech is None, "numpy is missing: scripts/train_demo/setup.sh")
class Words(unittest.TestCase):
    def test_pieces_of_a_word_are_glued(self):
        found = [speech.Span(0, 1, "i"), speech.Span(1, 2, "'m"), speech.Span(3, 4, "here")]
        self.assertEqual(speech.glue(["I'm", "here."], found), [speech.Span(0, 2, "I'm"), speech.Span(3, 4, "here.")])

    def test_other_words_have_no_times(self):
        self.assertIsNone(speech.glue(["25"], [speech.Span(0, 1, "twenty"), speech.Span(1, 2, "five")]))
        self.assertIsNone(speech.glue(["here"], [speech.Span(0, 1, "here"), speech.Span(1, 2, "too")]))
        self.assertIsNone(speech.glue(["here", "too"], [speech.Span(0, 1, "here")]))


if __name__ == "__main__":
    unittest.main()
