"""Windows that the recogniser learns from: made of invented clips, without any synthesiser. Needs what scripts/train_demo/setup.sh installs."""

import json
import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts/train_demo"))

try:
    import numpy as np
    from asr import features, heard, learn, noise, telephone, tokenizer
    from asr.clips import Clips
    from asr.windows import Composer, Kind
except ImportError:  # only scripts/train_demo/setup.sh brings what these need
    np = None


@unittest.skipIf(np is None, "numpy, JAX and others are missing: scripts/train_demo/setup.sh")
class Windows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        # So many sentences that every letter and piece is met.
        cls.words = tokenizer.train(1, texts=8000)
        cls.special = tokenizer.Special.of(cls.words)
        r, entries, parts = np.random.default_rng(1), [], []
        for i in range(40):
            frames = int(r.integers(60, 300))
            spoken = [[word, n * frames / 300, (n + 1) * frames / 300] for n, word in enumerate(("Turn", "the", "light."))]
            entries.append({
                "voice": "v", "phone_set": "none" if i % 4 == 3 else "cmu", "timed": i % 4 != 3, "frames": frames,
                "words": spoken, "phones": [[0, frames / 100, "t"]],
            })  # fmt: skip
            parts.append(r.uniform(-3, 0, (frames, 80)).astype(np.float16))
        (cls.folder / "clips_000.json").write_text(json.dumps(entries))
        np.save(cls.folder / "features_000.npy", np.concatenate(parts))
        cls.clips = Clips(cls.folder, cls.words)
        cls.composer = Composer(cls.clips, cls.special, 1)

    def windows(self, n, kind, silent=False):
        return [self.composer.window(np.random.default_rng(i), kind, silent) for i in range(n)]

    def test_a_window_has_its_size_and_values_as_whisper_sees_them(self):
        for made in self.windows(30, Kind(512, 48, 1.0)):
            self.assertEqual((made["mel"].shape, made["inputs"].shape, made["guide"].shape), ((512, 80), (48,), (48, 256)))
            self.assertTrue(np.isfinite(made["mel"]).all())
            self.assertLessEqual(made["mel"].max() - made["mel"].min(), 2.0 + 1.5)

    def test_what_is_written_is_what_was_said(self):
        ids = self.words.encode(" Turn the light.").ids
        for made in self.windows(60, Kind(512, 64, 0.5, wrong_history=0.0)):
            targets = made["targets"][made["targets"] >= 0].tolist()
            self.assertEqual(targets[-1], self.special.end)
            text = [token for token in targets if token < self.special.end]
            self.assertEqual(text, ids * (len(text) // len(ids)))
            self.assertGreater(len(text), 0)
            stamps = [token for token in targets if token >= self.special.first_timestamp]
            self.assertEqual(stamps, sorted(stamps))
            self.assertIn(len(stamps), (0, 2 * len(text) // len(ids)))
            # With an unspoiled history each input is the target before it.
            known = np.flatnonzero(made["targets"] >= 0)
            for row in known[:-1]:
                self.assertEqual(made["inputs"][row + 1], made["targets"][row])

    def test_timestamps_say_when_it_is_said(self):
        """The guide of a timestamp lies at the frame that it names, less where the window lies in the 30 s."""
        seen = 0
        for made in self.windows(60, Kind(512, 64, 0.5, wrong_history=0.0)):
            for row in np.flatnonzero(made["targets"] > self.special.first_timestamp):
                frame = made["targets"][row] - self.special.first_timestamp - made["offset"]
                looked = np.flatnonzero(made["guide"][row])
                if made["offset"] > 0 or frame < 50:
                    self.assertLessEqual(looked[0] - 2, frame)
                    self.assertGreaterEqual(looked[-1] + 2, frame)
                    seen += 1
        self.assertGreater(seen, 50)

    def test_silence_is_no_speech_and_ends(self):
        for made in self.windows(20, Kind(288, 28, 1.0), silent=True):
            targets = made["targets"][made["targets"] >= 0].tolist()
            self.assertEqual(targets, [self.special.no_speech, self.special.end])
            self.assertEqual(made["guide"].sum(), 0)

    def test_nobody_is_told_times_that_nobody_knows(self):
        untimed = [clip for clip in self.clips.all if clip.spans is None]
        self.assertEqual(len(untimed), 10)
        alone = Composer(self.clips, self.special, 1)
        alone.clips = type("Only", (), {"of_length": lambda _, r, a, b: untimed[0], "any": lambda _, r: untimed[0]})()
        for i in range(10):
            made = alone.window(np.random.default_rng(i), Kind(512, 48, 0.0, 0.0), False)
            self.assertEqual(set(made["spoken"].ravel()), {-1})
            text = (made["targets"] >= 0) & (made["targets"] < self.special.end)
            self.assertEqual(made["guide"][text].sum(), 0)

    def test_the_same_chance_gives_the_same_window(self):
        one, other = (self.windows(1, Kind(288, 28, 1.0))[0] for _ in range(2))
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])

    def test_wrong_words_come_into_the_history_only(self):
        kind = {share: Kind(512, 64, 0.0, share) for share in (0.0, 1.0)}
        spoiled = 0
        for i in range(30):
            clean, wrong = (self.composer.window(np.random.default_rng(i), kind[share], False) for share in (0.0, 1.0))
            np.testing.assert_array_equal(clean["targets"], wrong["targets"])
            spoiled += int((clean["inputs"] != wrong["inputs"]).sum())
        self.assertGreater(spoiled, 10)


@unittest.skipIf(np is None, "numpy, JAX and others are missing: scripts/train_demo/setup.sh")
class Parts(unittest.TestCase):
    def test_features_are_those_of_faster_whisper(self):
        from faster_whisper.feature_extractor import FeatureExtractor

        samples = np.random.default_rng(1).standard_normal(16_000).astype(np.float32) * 0.1
        theirs = FeatureExtractor()(samples)
        ours = features.scaled(features.raw_log_mel(samples)).T
        np.testing.assert_allclose(ours[:, : theirs.shape[1]], theirs[:, : ours.shape[1]], atol=1e-4)

    def test_windows_are_as_long_as_the_servers(self):
        item = (ROOT / "services/asr/src/models/whisper/item.rs").read_text()
        widths = re.search(r"WIDTHS: \[usize; \d+\] = \[(.*?)\];", item, re.S).group(1).replace("MAX_FRAMES", "3000")
        self.assertEqual(heard.WIDTHS, tuple(int(it) for it in re.findall(r"\d+", widths)))
        self.assertEqual(heard.MARGIN, int(re.search(r"MARGIN_FRAMES: usize = (\d+)", item).group(1)))
        self.assertEqual([heard.own_width(n) for n in (1, 180, 181, 3000)], [200, 200, 300, 3000])

    def test_every_kind_of_noise_sounds(self):
        for kind in noise.KINDS:
            sound = noise.make(kind, np.random.default_rng(3), 2.0)
            self.assertEqual(len(sound), 32_000)
            self.assertAlmostEqual(float(np.abs(sound).max()), 0.3, places=5)

    def test_a_telephone_lets_the_middle_through(self):
        t = np.arange(16_000) / 16_000
        loud = {f: np.sqrt(np.mean(telephone.samples_through(0.3 * np.sin(2 * np.pi * f * t)) ** 2)) / (0.3 / np.sqrt(2)) for f in (60, 1000, 6000)}
        self.assertGreater(loud[1000], 0.9)
        self.assertLess(max(loud[60], loud[6000]), 0.1)

    def test_features_through_a_telephone_are_like_those_of_samples_through_one(self):
        r = np.random.default_rng(5)
        # As loud as speech, with a spectrum that falls as speech's does.
        samples = noise.coloured(r, 32_000, slope=1.0)
        samples *= 0.3 / np.abs(samples).max()
        plain = features.raw_log_mel(samples)
        after = features.raw_log_mel(telephone.samples_through(samples))[: len(plain)] - plain
        made = [telephone.features_through(r, plain) - plain for _ in range(40)]
        hz = features.CENTRES
        for name, band in (("middle", (hz > 500) & (hz < 3200)), ("bass", hz < 100), ("treble", hz > 5000)):
            ours = [np.median(one[:, band]) for one in made]
            self.assertLess(min(ours) - 0.05, np.median(after[:, band]), name)
            self.assertGreater(max(ours) + 0.05, np.median(after[:, band]), name)
            self.assertLess(np.ptp(ours), 0.1 if name == "middle" else 9, name)
        self.assertLess(np.median([one[:, hz > 5000] for one in made]), -2)

    def test_the_rate_rises_and_falls(self):
        plan = learn.Plan(10, 1, rate=1e-3)
        rates = [learn.rate_at(plan, share) for share in (0, 0.02, 0.5, 1)]
        self.assertLess(rates[0], rates[1] / 10)
        self.assertGreater(rates[1], rates[2])
        self.assertLess(rates[3], 3e-5)

    def test_long_windows_come_late_unless_the_model_can_hear_already(self):
        def frames(plan, share):
            return [learn.kind_at(plan, share, step)[0].frames for step in range(200)]

        cold, warm = learn.Plan(10, 1), learn.Plan(10, 1, warm_start=True)
        self.assertLessEqual(max(frames(cold, 0.0)), 512)
        self.assertIn(1200, frames(cold, 1.0))
        self.assertIn(1200, frames(warm, 0.0))


if __name__ == "__main__":
    unittest.main()
