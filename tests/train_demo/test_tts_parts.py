"""The voice's recipe in its parts: tokens, alignment, measures. It needs what scripts/train_demo/requirements.txt holds; `scripts/test.sh --long`
runs it with that."""

import importlib.util
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts/train_demo"))

if any(importlib.util.find_spec(it) is None for it in ("numpy", "scipy", "jax")):
    raise unittest.SkipTest("needs the environment of scripts/train_demo/setup.sh")

import numpy as np  # noqa: E402 - only where it is installed

from tts import batches, language_model as lm, measures, network, tokens  # noqa: E402
from tts.spoken_sentences import Sentence  # noqa: E402
from tts.teacher import Phone, Spoken  # noqa: E402


class Tokens(unittest.TestCase):
    def setUp(self):
        self.ids = [tokens.PHONE_ID[it] for it in ("pau", "hh", "ay", "t", "uw")]
        pau, hh, ay, t, uw = self.ids
        self.label = np.array([pau, hh, ay, ay, t, uw, pau, pau], np.uint8)
        self.inventory = tokens.Inventory.of([self.label] * 3)

    def test_what_is_said_comes_back(self):
        codes = self.inventory.codes(self.label)
        self.assertEqual(self.inventory.phones(codes * tokens.N_PITCHES + 4), ["hh", "ay", "t", "uw"])

    def test_a_pair_without_a_code_is_one_of_its_phones_twice(self):
        pau, hh, ay, t, uw = self.ids
        few = tokens.Inventory(np.array([(n, n) for n in range(len(tokens.PHONES))]))
        self.assertEqual(few.table[few.code(t, uw)].tolist(), [uw, uw])

    def test_the_end_of_a_text_is_the_rarest_pair(self):
        common = {tuple(it) for it in self.inventory.table[-len(tokens.PHONES) :].tolist()}
        self.assertEqual(common, {(n, n) for n in range(len(tokens.PHONES))})

    def test_levels_are_around_the_mean(self):
        self.assertEqual(tokens.levels(np.array([-9.0, -0.06, 0.0, 0.07, 9.0])).tolist(), [0, 3, 4, 5, 8])

    def test_pitch_goes_straight_through_what_has_no_voice(self):
        voiced = np.array([True] * 4 + [False] * 4 + [True] * 4)
        track = np.array([0.0] * 4 + [99.0] * 4 + [0.2] * 4)
        np.testing.assert_allclose(tokens.token_pitch(track, voiced), [0.0, 0.1, 0.2], atol=1e-6)

    def test_characters_are_those_of_the_words(self):
        phones = [Phone("pau", 0.08, -1), Phone("hh", 0.16, 0), Phone("ay", 0.32, 0), Phone("t", 0.4, 1), Phone("uw", 0.6, 1), Phone("pau", 0.8, -1)]
        spoken = Spoken("Hi two.", "rms", np.zeros(12_800, np.int16), phones, [(0, 2), (3, 6)], None)
        found = tokens.characters(spoken, 20)
        self.assertTrue((np.diff(found) >= 0).all())
        self.assertTrue((found[:2] == 0).all() and (found[2:8] <= 2).all())
        self.assertTrue((found[8:15] >= 3).all() and (found[15:] == 6).all())
        label, _ = tokens.labels(spoken, 40)
        self.assertEqual([tokens.PHONES[it] for it, _, _ in measures.runs(label)], ["pau", "hh", "ay", "t", "uw", "pau"])


class Alignment(unittest.TestCase):
    def test_the_head_looks_around_what_was_reached_and_at_text_alone(self):
        position = np.array([[-2.0, -2.0, -1.0, *range(30), -2.0]])
        bias = np.asarray(lm.following_bias(position, np.array([[10.0, 10.0]]), np.array([[True, False]])))[0]
        self.assertTrue((bias[1] == 0).all(), "only speech is bound")
        place = {n: 3 + n for n in range(30)}
        self.assertEqual(bias[0, place[10 - int(lm.BACK)]], 0)
        self.assertEqual(bias[0, place[10 + int(lm.AHEAD)]], 0)
        self.assertLess(bias[0, place[20]], -2)
        self.assertLess(bias[0, place[28]], -20)
        self.assertTrue((bias[0, [0, 1, -1]] < -1e8).all())

    def test_what_was_reached_is_near_the_truth_and_begins_at_the_start(self):
        characters = np.linspace(0, 100, 200)
        random = np.random.default_rng(0)
        exact = batches.reached_before(characters, random, 0.0)
        self.assertEqual((len(exact), exact[0]), (201, 0.0))
        np.testing.assert_allclose(exact[1:], np.maximum(characters - 0.5, 0))
        noisy = batches.reached_before(characters, random)
        self.assertLess(np.abs(noisy - exact).max(), 8)
        self.assertGreater(np.abs(noisy - exact).mean(), 0.1)

    def test_a_batch_asks_for_each_token_where_the_one_before_was_heard(self):
        one = Sentence("Hi two.", "rms", np.arange(5, 11), np.zeros(6), np.linspace(0, 6, 6))
        voices = batches.Voices({"rms": np.zeros((1, 80), np.float32)})
        batch = batches.make([one], voices, np.random.default_rng(0), batches.Bucket(12, 9, 1, 1.0), noise=False)
        n_text = len(lm.text_ids(one.text))
        queries = batch["queries"][0, :7]
        self.assertEqual(queries.tolist(), list(range(lm.FIRST_AT + n_text, lm.FIRST_AT + n_text + 7)))
        self.assertEqual(batch["pair"][0, :7].tolist(), [5, 6, 7, 8, 9, 10, tokens.N_PAIRS])
        # Behind voice, exaggeration, text and both beginnings come the tokens.
        first = lm.FIRST_AT - 1 + 12 + 2
        self.assertEqual(batch["order"][0, queries[1:]].tolist(), list(range(first, first + 6)))
        self.assertEqual(int(batch["valid"].sum()), lm.FIRST_AT - 1 + n_text + 2 + 6)


class Checkpoints(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "state.npz"
        self.begun = {"layer": {"w": np.zeros((2, 2))}}, (np.zeros(3), {"count": np.array(0)})

    def test_a_training_goes_on_from_what_was_kept(self):
        first = network.Checkpoint.read(self.path, *self.begun)
        self.assertEqual((first.steps, first.minutes), (0, 0.0))
        network.Checkpoint({"layer": {"w": np.eye(2)}}, (np.arange(3.0), {"count": np.array(7)}), 9, 1.5).write(self.path)
        again = network.Checkpoint.read(self.path, *self.begun)
        self.assertEqual((again.steps, again.minutes, int(again.state[1]["count"])), (9, 1.5, 7))
        np.testing.assert_array_equal(again.params["layer"]["w"], np.eye(2))
        np.testing.assert_array_equal(again.state[0], np.arange(3.0))

    def test_weights_that_are_no_numbers_are_not_kept(self):
        network.Checkpoint(*self.begun, 1, 1.0).write(self.path)
        with self.assertRaises(FloatingPointError):
            network.Checkpoint({"layer": {"w": np.full((2, 2), np.nan)}}, self.begun[1], 2, 2.0).write(self.path)
        self.assertEqual(network.Checkpoint.read(self.path, *self.begun).steps, 1)


class Measures(unittest.TestCase):
    def test_a_skipped_clause_is_told_from_slips(self):
        said = list("abcdefghijklmnopqrstuvwxyz")
        phones = measures.Phones()
        phones.add(said, said[:5] + said[14:])
        phones.add(said, said[:10] + said[2:])
        phones.add(said, said[1:5] + said[6:])
        self.assertEqual((phones.skipped, phones.repeated, phones.sentences), (1, 1, 3))
        self.assertEqual(phones.errors, 9 + 8 + 2)

    def test_runs_and_correlation(self):
        self.assertEqual(measures.runs([3, 3, 1, 1, 1, 3]), [(3, 0, 2), (1, 2, 5), (3, 5, 6)])
        self.assertEqual(measures.runs([]), [])
        self.assertAlmostEqual(measures.correlation([1, 2, 3, 4], [2, 4, 6, 8]), 1.0)
        self.assertEqual(measures.correlation([1, 1, 1], [1, 2, 3]), 0.0)

    def test_a_click_is_heard_and_a_voice_is_not(self):
        at = np.arange(24_000) / 24_000
        smooth = 0.3 * np.sin(2 * np.pi * 150 * at) + 0.1 * np.sin(2 * np.pi * 900 * at)
        self.assertEqual(measures.clicks(smooth, 24_000), 0.0)
        broken = smooth.copy()
        broken[12_000:] += 0.3
        self.assertGreater(measures.clicks(broken, 24_000), 0.5)


if __name__ == "__main__":
    unittest.main()
