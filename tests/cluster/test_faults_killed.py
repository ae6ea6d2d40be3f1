"""Instances that are killed in the middle of everything, behind a real nginx: nothing is lost and nothing comes twice."""

import array
import math
import os
import signal
import time
import unittest

from real_cluster import Cluster, need_everything
from resuming import RATE, Listener, Speaker, check_crowd, conversation, crowd, words_of

N_STREAMS = int(os.environ.get("FAULTS_STREAMS", 16))
N_LISTENERS = 4
TEXT = ("The train leaves the station at nine in the morning. My sister wants to learn how to play the piano. "
        "We should go home before it starts to rain. There are twelve months in a year. ") * 4


def setUpModule():
    need_everything()


class Killed(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        cls.cluster.start()

    def kill(self, name):
        os.kill(self.cluster.pid(name), signal.SIGKILL)

    def start_again(self, service, port):
        self.cluster.script(f"start_{service}.sh", "--port", str(port),
                            *(["--", "--set", f"voices.store={self.cluster.folder}/voices"] if service == "tts" else []))

    def test_a_recogniser_killed_in_mid_word_loses_none(self):
        killed = f"asr-{self.cluster.asr[0]}"
        speakers = crowd(self.cluster.port, N_STREAMS, 3)
        time.sleep(6.0)
        self.kill(killed)
        self.addCleanup(self.start_again, "asr", self.cluster.asr[0])
        for it in speakers:
            it.outcome()
        hit = [it for it in speakers if it.connections[0][0] == killed]
        n_again = sum(it.connections[0][2] - it.connections[1][1] for it in hit if len(it.connections) > 1)
        print(f"\n  kill -9 of one of two recognisers: {len(speakers)} streams, {len(hit)} broken and resumed, "
              f"{sum(len(words_of(it.text)) for it in speakers)} of {sum(len(it.said) for it in speakers)} words came; "
              f"{n_again / RATE:.1f} s of audio had to be sent again")
        check_crowd(self, speakers)
        for it in speakers:
            self.assertEqual(len(it.connections), 2 if it in hit else 1, it.breaks)
        # least_conn has spread them, so the test is one.
        self.assertGreaterEqual(len(hit), N_STREAMS // 2 - 1)
        self.assertEqual({it.connections[-1][0] for it in hit}, {f"asr-{self.cluster.asr[1]}"})
        # Nobody began at the beginning again for want of a better place, and somebody was in mid-word.
        self.assertTrue(any(0 < it.connections[1][1] for it in hit))

    def test_without_resuming_words_are_lost(self):
        """So the test above sees something."""
        audio, _ = conversation(0, 2)
        speakers = [Speaker(self.cluster.port, audio, resumes=False) for _ in range(2)]
        for it in speakers:
            it.start()
        time.sleep(2.0)
        instance = speakers[0].connections[0][0]
        self.kill(instance)
        self.addCleanup(self.start_again, "asr", int(instance[4:]))
        with self.assertRaisesRegex(AssertionError, "the connection broke"):
            speakers[0].outcome()
        self.assertEqual(speakers[0].text, "")
        if speakers[1].connections[0][0] != instance:
            speakers[1].outcome()

    def test_a_synthesiser_killed_in_mid_sentence_loses_no_sample(self):
        alone = []
        for nth in range(N_LISTENERS):
            alone.append(Listener(self.cluster.port, TEXT, seed=nth))
            alone[-1].start()
        for it in alone:
            it.outcome()
            self.assertEqual(len(it.connections), 1)
        listeners = [Listener(self.cluster.port, TEXT, seed=nth, at_chunk=lambda *_: time.sleep(0.01)) for nth in range(N_LISTENERS)]
        for it in listeners:
            it.start()
        for it in listeners:
            self.assertTrue(it.has_begun.wait(30))
        killed = listeners[0].connections[0][0]
        self.kill(killed)
        self.addCleanup(self.start_again, "tts", int(killed[4:]))
        for it in listeners:
            it.outcome()
        hit = [it for it in listeners if it.connections[0][0] == killed]
        likest, missing_one = [], []
        for it, whole in zip(listeners, alone):
            # The words and the length are the same to the sample, and the sound is as far as decoders repeat themselves: `docs/PROTOCOL.md`,
            # promise 4.
            self.assertEqual(it.total, whole.total)
            self.assertEqual(len(it.audio) // 2, it.total)
            self.assertEqual(len(it.connections), 2 if it in hit else 1, it.breaks)
            one, other = levels(it.audio), levels(whole.audio)
            likest.append(likeness(one, other))
            # Were a token missing, or there twice, it would be seen.
            missing_one.append(likeness(one[:-1], other[1:]))
        print(f"\n  kill -9 of one of two synthesisers: {len(listeners)} speeches of {alone[0].total / 24000:.0f} s, {len(hit)} resumed at "
              f"{[it.connections[1][1] for it in hit]} samples, none missing or twice; likeness to the unbroken {min(likest):.4f}, "
              f"40 ms apart {max(missing_one):.4f}")
        self.assertGreater(min(likest), 0.98)
        self.assertLess(max(missing_one), 0.98)
        self.assertGreaterEqual(len(hit), 1)
        self.assertTrue(all(0 < it.connections[1][1] < it.total for it in hit), "not in the middle")


def levels(audio):
    """How loud each 40 ms is, which is one token of speech."""
    samples = array.array("h", audio)
    return [math.sqrt(sum(it * it for it in samples[at:at + 960])) for at in range(0, len(samples), 960)]


def likeness(one, other):
    """1 for the same speech. Decoders draw fresh noise and may join 5 ms apart, so samples are not compared one by one."""
    product = sum(a * b for a, b in zip(one, other))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


if __name__ == "__main__":
    unittest.main()
