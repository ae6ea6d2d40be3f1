"""The bookkeeping of streams that break: what is sent again, what is told once."""

import json
import unittest

from voice_client.errors import Break, GaveUp, Impossible, Refused
from voice_client.events import Chunk, Final, Receipt, Resumed, TurnEnd
from voice_client.listening import Listening
from voice_client.retry import Patience, Retry
from voice_client.speaking import Speaking

LOST = Break("reset")


class Waits(unittest.TestCase):
    def test_waits_double_up_to_the_longest_and_progress_begins_anew(self):
        retry = Retry(Patience())
        waits = [round(retry.after(LOST, 1.0), 3) for _ in range(8)]
        self.assertEqual(waits, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
        retry.progressed()
        self.assertAlmostEqual(retry.after(LOST, 0.5), 0.05)

    def test_a_retry_after_is_kept_and_attempts_are_limited(self):
        full = Break.refused(503, "AT_CAPACITY", "full", 2.0)
        retry = Retry(Patience(attempts=3))
        self.assertAlmostEqual(retry.after(full, 0.5), 2.05)
        retry.after(Break.refused(503, "X", "x", 1e9), 0.0)
        with self.assertRaises(GaveUp) as caught:
            retry.after(full, 0.0)
        self.assertIn("AT_CAPACITY", str(caught.exception))

    def test_what_passes_is_tried_again_and_what_does_not_is_an_error(self):
        for passes in [Break.refused(502, "", ""), Break.refused(429, "", ""), Break.closed(1006, ""), Break.closed(1012, ""),
                       Break.said("DRAINING", "")]:
            self.assertIsNone(passes.final, passes)
        for last in [Break.refused(422, "", ""), Break.refused(401, "", ""), Break.closed(1008, ""), Break.said("UNKNOWN_VOICE", "")]:
            with self.assertRaises(Refused):
                Retry(Patience()).after(last, 0.0)


class Hearing:
    """A core and a server that says what it is told to."""

    def __init__(self, **config):
        self.core = Listening(config, 10.0)
        self.told = []

    def says(self, **message):
        self.told += self.core.on_text(json.dumps(message))

    def ready(self):
        self.says(type="ready", session_id="s", instance="i", config={"final_on": "turn_end", "vad": {"pre_roll_secs": 0.5}},
                  limits={"idle_timeout_s": 300})

    def connect(self):
        self.core.connected()
        config = json.loads(self.core.outgoing())
        assert self.core.outgoing() is None, "audio before the options are known"
        self.ready()
        self.ready()
        return config["start_sample"]

    def sent(self):
        out = list(iter(self.core.outgoing, None))
        return b"".join(it for it in out if isinstance(it, bytes)), [json.loads(it) for it in out if isinstance(it, str)]

    def last(self, segment, end_sample):
        self.says(type="final", segment_id=segment, text="x", start_time=0.0, end_time=1.0, end_sample=end_sample)

    def breaks(self):
        why, events = self.core.broken(LOST)
        self.told += events
        return why

    def closed(self, n):
        self.says(type="closed", received_samples=n, transcribed_samples=n, silence_samples=0, discarded_samples=0, segments=1)


def audio(n):
    return bytes(it % 251 for it in range(n))


class ListeningTest(unittest.TestCase):
    def test_what_is_not_delivered_is_sent_again_from_there(self):
        rig, all = Hearing(), audio(96_000)
        self.assertEqual(rig.connect(), 0)
        rig.core.push(all)
        self.assertEqual(rig.sent()[0], all)
        rig.says(type="progress", received_sample=40_000, safe_sample=10_000, queued_ms=0)
        rig.breaks()
        self.assertEqual(rig.connect(), 10_000)
        self.assertEqual(rig.sent()[0], all[20_000:])
        rig.last(1, 30_000)
        rig.says(type="progress", received_sample=40_000, safe_sample=20_000, queued_ms=0)
        self.assertTrue(rig.core.has_advanced)
        rig.breaks()
        self.assertEqual(rig.connect(), 30_000)
        self.assertFalse(rig.core.has_advanced)
        self.assertEqual(rig.sent()[0], all[60_000:])

    def test_samples_are_cut_whole_whatever_their_size(self):
        for encoding, channels, width in [("pcm_s16le", 2, 4), ("pcm_f32le", 1, 4), ("mulaw", 1, 1)]:
            rig, all = Hearing(encoding=encoding, channels=channels), audio(1001)
            rig.connect()
            for begin in range(0, len(all), 7):
                rig.core.push(all[begin:begin + 7])
            rig.sent()
            rig.says(type="progress", received_sample=100, safe_sample=33, queued_ms=0)
            rig.breaks()
            self.assertEqual(rig.connect(), 33)
            self.assertEqual(rig.sent()[0], all[33 * width:])
        for impossible in [{"encoding": "ogg_opus"}, {"start_sample": 5}]:
            with self.assertRaises(Impossible):
                Listening(impossible, 1.0)

    def test_segments_are_counted_through_all_connections_and_begun_once(self):
        rig = Hearing()
        rig.connect()
        rig.core.push(audio(32_000))
        rig.says(type="speech_start", segment_id=1, timestamp=0.1)
        rig.last(1, 3_200)
        rig.says(type="speech_start", segment_id=2, timestamp=0.3)
        # Before its turn's end came.
        rig.breaks()
        rig.connect()
        rig.says(type="speech_start", segment_id=1, timestamp=0.3)
        rig.last(1, 6_400)
        rig.says(type="turn_end", segment_id=1, probability=0.9, reason="smart_turn")
        names = [(type(it).__name__, getattr(it, "segment_id", None)) for it in rig.told]
        self.assertEqual(names, [("Ready", None), ("SpeechStart", 1), ("Final", 1), ("SpeechStart", 2), ("TurnEnd", 1), ("Resumed", None),
                                 ("Final", 2), ("TurnEnd", 2)])
        self.assertEqual([it.reason for it in rig.told if isinstance(it, TurnEnd)], ["close", "smart_turn"])
        self.assertEqual([it.start_sample for it in rig.told if isinstance(it, Resumed)], [3_200])

    def test_finalize_and_close_stand_where_they_were_asked_on_every_connection(self):
        rig = Hearing()
        rig.connect()
        rig.core.push(audio(100))
        rig.core.finalize("f1")
        rig.core.push(audio(50))
        rig.core.finish()
        self.assertEqual([len(it) if isinstance(it, bytes) else json.loads(it)["type"] for it in iter(rig.core.outgoing, None)],
                         [100, "finalize", 50, "close"])
        rig.says(type="finalized", id="f1")
        rig.breaks()
        rig.connect()
        self.assertEqual((rig.sent()[1]), [{"type": "close"}])
        # A server that goes down before it has read all: what it says of its part is not the end.
        rig.closed(60)
        self.assertIsNone(rig.core.output)
        rig.breaks()
        self.assertEqual(rig.connect(), 0, "a word may have begun in the last half second")
        rig.sent()
        rig.closed(75)
        self.assertEqual((rig.core.output.samples, rig.core.output.connections), (75, 3))
        self.assertIsInstance(rig.told[-1], Receipt)

    def test_room_is_bounded_and_grows_again(self):
        rig = Hearing()
        rig.connect()
        for _ in range(10):
            self.assertTrue(rig.core.has_room)
            rig.core.push(audio(32_000))
        self.assertFalse(rig.core.has_room)
        rig.sent()
        rig.says(type="progress", received_sample=9**9, safe_sample=9**9, queued_ms=0)
        self.assertTrue(rig.core.has_room)
        self.assertEqual(rig.core.settled, 160_000)

    def test_errors_that_pass_wait_for_the_close_and_others_end_the_stream(self):
        rig = Hearing()
        rig.connect()
        rig.says(type="error", code="INVALID_SAMPLES", message="m", recoverable=True)
        rig.says(type="error", code="SLOW_CONSUMER", message="m", recoverable=False)
        self.assertIn("SLOW_CONSUMER", str(rig.breaks()))
        rig.core.connected()
        rig.ready()
        with self.assertRaises(Break) as caught:
            rig.says(type="error", code="INVALID_PARAMETER", message="m", recoverable=True)
        self.assertIsInstance(caught.exception.final, Refused)

    def test_messages_of_a_newer_server_are_passed_over_and_nonsense_is_an_error(self):
        rig = Hearing()
        rig.connect()
        n_told = len(rig.told)
        rig.says(type="speaker_changed")
        rig.says(type="final", segment_id=1, text="x", start_time=0, end_time=1, end_sample=0, mood="good")
        self.assertEqual([type(it) for it in rig.told[n_told:]], [Final])
        for nonsense in ["", "[]", '{"no":"type"}', '{"type":"progress"}', '{"type":"final"}']:
            with self.assertRaises(Break):
                rig.core.on_text(nonsense)


class Speech:
    def __init__(self, core):
        self.core = core
        self.told = []

    def says(self, **message):
        self.told += self.core.on_text(json.dumps({"request_id": "speech", **message}))

    def connect(self, temperature=0.5):
        self.core.connected()
        assert self.core.outgoing() is None, "nothing is asked before `ready`"
        self.says(type="ready", instance="i", config={"temperature": temperature})
        return self.asked()

    def asked(self):
        return [json.loads(it) for it in iter(self.core.outgoing, None)]

    def started(self, seed=7):
        self.says(type="synthesis_started", voice_id="v", encoding="pcm_s16le", sample_rate=24_000, seed=seed)

    def chunk(self, start, n, text_end=4, words=()):
        self.says(type="audio_chunk", chunk_id=1, start_sample=start, samples=n, sample_rate=24_000, text_start=0, text_end=text_end,
                  estimated_words=list(words))
        self.told += self.core.on_binary(b"".join(it.to_bytes(2, "little") for it in range(start, start + n)))

    def samples(self):
        data = b"".join(it.audio for it in self.told if isinstance(it, Chunk))
        return [int.from_bytes(data[it:it + 2], "little") for it in range(0, len(data), 2)]


class SpeakingTest(unittest.TestCase):
    def test_the_same_is_asked_again_from_the_end_of_the_last_chunk(self):
        rig = Speech(Speaking({}, "One. Two."))
        asked, = rig.connect()
        self.assertEqual((asked["type"], asked["text"], asked.get("skip_samples")), ("synthesize", "One. Two.", None))
        rig.started()
        rig.chunk(0, 800)
        rig.core.broken(LOST)
        asked, = rig.connect(0.9)
        self.assertEqual((asked["skip_samples"], asked["seed"], asked["temperature"]), (800, 7, 0.5))
        rig.started()
        # A server that skips less than it was told.
        rig.chunk(600, 300)
        rig.says(type="synthesis_complete", total_samples=900)
        self.assertEqual(rig.samples(), list(range(900)))
        self.assertEqual((rig.core.output.total_samples, rig.core.output.connections), (900, 2))

    def test_gaps_short_frames_and_another_seed_are_errors(self):
        rig = Speech(Speaking({}, "One."))
        rig.connect()
        rig.started()
        rig.chunk(0, 100)
        with self.assertRaises(Break):
            rig.chunk(101, 10)
        with self.assertRaises(Break):
            rig.core.on_binary(b"12")
        with self.assertRaises(Break):
            rig.says(type="synthesis_complete", total_samples=101)
        rig.core.broken(LOST)
        rig.connect()
        with self.assertRaises(Break):
            rig.started(8)

    def test_pieces_are_sent_again_in_the_same_order_and_cut_where_a_server_did_not_wait(self):
        core = Speaking({})
        rig = Speech(core)
        for text, is_late in [("We will hurry", False), (" and", False), (" catch ", True), ("the train. ", False), ("Now, ", False),
                              ("go", False)]:
            core.push(text, is_late)
        rig.connect()
        rig.started()
        for nth, text_end in enumerate([17, 34, 40]):
            rig.chunk(100 * nth, 100, text_end)
        core.broken(LOST)
        expected = ["text", "text", "flush", "text", "text", "text", "text"]
        self.assertEqual([it["type"] for it in rig.connect()], expected)
        rig.started()
        rig.chunk(300, 100, 42)
        core.broken(LOST)
        core.end()
        core.push("too late", False)
        asked = rig.connect()
        self.assertEqual([it["type"] for it in asked][:-1], expected)
        self.assertEqual(asked[-1]["type"], "end")
        self.assertEqual("".join(it.get("text", "") for it in asked), "We will hurry and catch the train. Now, go")

    def test_words_are_told_once(self):
        rig = Speech(Speaking({}, "One two."))
        rig.connect()
        rig.started()
        rig.chunk(0, 100)
        rig.core.broken(LOST)
        rig.connect()
        rig.started()
        rig.chunk(100, 100, words=[{"word": "One", "start": 0.001}, {"word": "two", "start": 0.005}])
        self.assertEqual([it["word"] for it in rig.told[-1].estimated_words], ["two"])

    def test_a_speech_without_text_is_a_speech_and_one_that_is_cancelled_ends(self):
        rig = Speech(Speaking({}))
        self.assertEqual(rig.connect(), [])
        rig.core.flush()
        rig.core.end()
        self.assertEqual([it["type"] for it in rig.asked()], ["text", "end"])
        rig.core.cancel()
        self.assertEqual([it["type"] for it in rig.asked()], ["cancel"])
        rig.core.broken(LOST)
        self.assertEqual(rig.core.output.end_sample, 0)
        self.assertEqual(len(Speaking({}, "One.").cancel()), 1, "nobody was asked yet")

    def test_what_a_request_cannot_be_is_final(self):
        for code, is_final in [("UNKNOWN_VOICE", True), ("TIMEOUT", True), ("DRAINING", False), ("OVERLOADED", False)]:
            rig = Speech(Speaking({}, "One."))
            rig.connect()
            with self.assertRaises(Break) as caught:
                rig.says(type="error", code=code, message="m", recoverable=True)
            self.assertEqual(caught.exception.final is not None, is_final, code)


if __name__ == "__main__":
    unittest.main()
