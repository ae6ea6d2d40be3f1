"""What the recogniser's recipe makes of what was heard. Plain Python."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts/train_demo"))

from asr import report, scores  # noqa: E402 - found through the line above
from asr.scores import Heard  # noqa: E402


def heard(text, segments=(), words=(), no_speech=0.0, seconds=0.02):
    return Heard(text, list(segments), list(words), no_speech, seconds)


def entry(group, text, found, **more):
    return {"group": group, "text": text, "seconds": 2.0, "words": None, "found": found, **more}


class Scores(unittest.TestCase):
    def test_silence_needs_no_text_and_no_speech(self):
        self.assertTrue(scores.is_nothing(heard("", no_speech=0.99)))
        self.assertFalse(scores.is_nothing(heard("you", no_speech=0.99)))
        self.assertFalse(scores.is_nothing(heard("", no_speech=0.2)))

    def test_pairs_need_two_segments_in_time(self):
        bounds = [0.3, 1.2, 3.0, 4.1]
        self.assertTrue(scores.is_pair(heard("a b", [(0.2, 1.3), (3.1, 4.0)]), bounds))
        self.assertFalse(scores.is_pair(heard("a b", [(0.2, 1.3), (3.3, 4.0)]), bounds))
        self.assertFalse(scores.is_pair(heard("a b", [(0.2, 4.0)]), bounds))
        self.assertFalse(scores.is_pair(heard("a b", [(0.2, 1.3), (3.1, 4.0), (4.0, 4.1)]), bounds))

    def test_words_count_in_their_order(self):
        self.assertEqual(scores.words_in_both("a b c d".split(), "a x c d".split()), ["a", "c", "d"])
        self.assertEqual(scores.words_in_both("a b".split(), "b a".split()).__len__(), 1)
        self.assertEqual(scores.words_in_both([], ["a"]), [])

    def test_unknown_words_are_compared_by_letters(self):
        entries = [
            entry("unknown", "Say pebble again.", heard("Say pebbel again."), word="pebble"),
            entry("unknown", "Say walnut again.", heard("Say again."), word="walnut"),
        ]
        self.assertEqual(scores.unknown_words(entries), {"clips": 2, "written": 1, "letter_error": round((2 + 6) / 12, 3)})

    def test_sums(self):
        entries = [
            entry("held_a_sentences", "Turn left.", heard("Turn left.", words=[(0.1, 0.5, "Turn"), (0.5, 0.9, "left.")]), words=[[0.4, 0.5], [0.52, 1.0]]),
            # Times are only compared where every word is right.
            entry("held_a_sentences", "Turn right.", heard("Turn white.", words=[(5, 6, "Turn"), (6, 7, "white.")]), words=[[0.1, 0.5], [0.5, 1.0]]),
            entry("nothing", "", heard("", no_speech=0.9)),
            entry("nothing", "", heard("yes", no_speech=0.1)),
            entry("pairs", "Yes. No.", heard("Yes. No.", [(0, 1), (2, 3)]), bounds=[0, 1, 2, 3]),
            entry("every_word", "Fox cat.", heard("Fox hat.")),
        ]
        figures = scores.sum_up(entries)
        self.assertEqual(figures["groups"]["held_a_sentences"], {"wer": 0.25, "words": 4, "exact": 1, "clips": 2})
        self.assertNotIn("nothing", figures["groups"])
        self.assertEqual(figures["nothing"], {"clips": 2, "understood": 1})
        self.assertEqual(figures["pairs"], {"clips": 1, "understood": 1})
        self.assertEqual(figures["words"], {"said": 2, "heard": 1})
        self.assertEqual((figures["word_times"]["times"], figures["word_times"]["p95_s"]), (4, 0.3))
        self.assertEqual(figures["word_times"]["p95_inner_s"], 0.1)
        self.assertEqual(figures["short_clip_ms"], {"clips": 2, "median": 20.0})
        written = scores.table(figures | {"bytes": 4_200_000})
        self.assertIn("| held a sentences | 25.0 % word error, 1 exact | 2 |", written)
        self.assertIn("4.2 MB", written)

    def test_goals_are_reached_or_not(self):
        figures = scores.sum_up([
            entry("held_a_sentences", "a b c d", heard("a b c d")),
            entry("held_b_sentences", "a b c d", heard("a b c x")),
            entry("nothing", "", heard("", no_speech=0.9)),
        ]) | {"bytes": 13_000_000}  # fmt: skip
        lines = {line.split("|")[1].strip(): line for line in report.goals(figures).splitlines()}
        # The worst engine counts, not the mean.
        self.assertIn("25.0% | ≤ 5.0% | no", lines["sentences, held-out voices, the worst engine"])
        self.assertIn("100% | ≥ 100% | yes", lines["silence, noise, tones, music: share with no text and no speech"])
        self.assertIn("13.0 MB | ≤ 12.0 MB | no", lines["size"])
        # Nothing is said of what was not measured.
        for name in ("word times, median error", "words of the vocabulary that were heard", "unknown words, share that is written as something"):
            self.assertNotIn(name, lines)
        self.assertNotIn("pairs", scores.table(figures))


if __name__ == "__main__":
    unittest.main()
