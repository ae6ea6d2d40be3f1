"""The texts of the recogniser's recipe. Plain Python."""

import pathlib
import random
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts/train_demo"))

from asr import lexicon, sentences  # noqa: E402 - found through the line above
from asr.sentences import Word  # noqa: E402


class Lexicon(unittest.TestCase):
    def test_there_are_words_enough(self):
        self.assertGreaterEqual(len(lexicon.vocabulary()), 1500)

    def test_no_word_is_listed_twice_or_oddly(self):
        for words in (lexicon.COMMON, lexicon.NAMES, lexicon.PLACES, lexicon.TEMPLATES):
            self.assertEqual(sorted(set(words)), sorted(words))
        for word in lexicon.COMMON:
            self.assertRegex(word, r"^[a-z]+$")
        for word in lexicon.NAMES + lexicon.PLACES:
            self.assertRegex(word, r"^[A-Z][a-z]+$")

    def test_patterns_have_only_slots_that_there_are(self):
        for template in lexicon.TEMPLATES:
            for part in template.split():
                if part.startswith("{"):
                    self.assertIn(part[1:].partition("}")[0], sentences.SLOTS, template)
                else:
                    self.assertRegex(part, r"^[A-Za-z'-]+,?$", template)

    def test_words_that_sound_alike_are_not_asked_for_without_context(self):
        for one, other in (("sea", "see"), ("two", "to"), ("hear", "here"), ("read", "red"), ("son", "sun"), ("weight", "wait")):
            self.assertFalse({one, other} <= set(lexicon.RANDOM_WORDS), (one, other))


class Sentences(unittest.TestCase):
    def setUp(self):
        self.r = random.Random(5)

    def test_what_is_written_and_what_is_said(self):
        self.assertEqual(sentences.number(7), Word("seven", "seven"))
        self.assertEqual(sentences.number(25), Word("25", "twenty five"))
        self.assertEqual(sentences.ordinal(22), Word("22nd", "twenty second"))
        self.assertEqual(sentences.letter("a"), Word("A", "eigh"))
        self.assertEqual(sentences.letter("b"), Word("B", "B"))

    def test_times_have_no_colon(self):
        for _ in range(200):
            self.assertNotIn(":", sentences.written(sentences.clock(self.r)))

    def test_every_slot_can_be_filled(self):
        for name, fill in sentences.SLOTS.items():
            for _ in range(20):
                filled = fill(self.r)
                self.assertTrue(filled and all(word.written and word.said for word in filled), name)

    def test_a_pattern_keeps_its_punctuation(self):
        sentence = sentences.from_template(self.r, "{name}, {name} and {noun}s")
        self.assertTrue(sentence[0].written.endswith(",") and sentence[0].said.endswith(","))
        self.assertTrue(sentence[-1].written.endswith("s") and not sentence[-1].written.endswith("ss"))

    def test_sentences_are_finished(self):
        for _ in range(500):
            text = sentences.written(sentences.some_sentence(self.r))
            self.assertRegex(text, r"^[A-Z0-9$][^?]*[.?]$")
            self.assertLessEqual(len(text.split()), sentences.LONGEST)
            self.assertNotRegex(text, r"[{}]|,[.?]")

    def test_synthesisers_are_given_words_and_no_digits(self):
        for _ in range(500):
            self.assertIsNone(re.search(r"[0-9$%]", sentences.said(sentences.some_sentence(self.r))))

    def test_questions_are_told_from_statements(self):
        for text, question in (("what is your name", True), ("hello, how are you", True), ("do not close the door", False), ("will it rain", True), ("can", False)):
            self.assertEqual(sentences.is_question(sentences.as_is(text)), question, text)

    def test_numbers_do_not_run_into_one_another(self):
        for _ in range(300):
            words = sentences.written(sentences.random_words(self.r, 8)).replace(",", "").split()
            for this, following in zip(words, words[1:]):
                self.assertFalse(this.isdigit() and following.isdigit(), words)

    def test_the_same_chance_gives_the_same_sentences(self):
        one, other = ([sentences.written(sentences.some_sentence(r)) for _ in range(20)] for r in (random.Random(1), random.Random(1)))
        self.assertEqual(one, other)

    def test_invented_words_are_new_and_plain(self):
        words = [sentences.invented(self.r) for _ in range(300)]
        self.assertGreater(len(set(words) - lexicon.vocabulary()), 200)
        for word in words:
            self.assertRegex(word, r"^[a-z]{3,9}$")


if __name__ == "__main__":
    unittest.main()
