"""Streams over sockets that break, against servers that know what has to come out."""

import asyncio
import random
import struct
import time
import unittest

from voice_client import GaveUp, Impossible, Over, Patience, Refused, asr, tts

from .fakes import WORD, Fake

FAST = Patience(attempts=30, first_wait=0.001)


def numbers(n):
    """Audio in which the n-th word is n."""
    return b"".join(struct.pack(f"<{WORD}h", *[it] * WORD) for it in range(n))


async def stream(fake, audio, frame=333, **options):
    async with asr.connect(fake.asr, patience=FAST, **options) as opened:
        async def read():
            return [event async for event in opened]

        reading = asyncio.create_task(read())
        for begin in range(0, len(audio), frame):
            await opened.send(audio[begin:begin + frame])
            await asyncio.sleep(0)
        receipt = await opened.finish()
        return receipt, await reading


class Streams(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        # Or every await of thousands is traced.
        asyncio.get_running_loop().set_debug(False)


class Asr(Streams):
    async def test_every_word_is_told_once_however_often_the_connection_breaks(self):
        for seed in range(5):
            draw = random.Random(seed)
            fates = [draw.choice([0, 1, 2, 3, 4, 5, 8, 13, 40]) for _ in range(25)]
            with self.subTest(fates=fates):
                async with Fake(fates) as fake:
                    receipt, events = await stream(fake, numbers(60))
                finals = [it for it in events if isinstance(it, asr.Final)]
                self.assertEqual([it.text for it in finals], [str(it) for it in range(60)])
                self.assertEqual([it.segment_id for it in finals], list(range(1, 61)))
                for kind in (asr.SpeechStart, asr.TurnEnd):
                    self.assertEqual([it.segment_id for it in events if isinstance(it, kind)], list(range(1, 61)), kind)
                self.assertEqual((receipt.samples, receipt.segments), (60 * WORD, 60))
                self.assertGreater(receipt.connections, 3)
                self.assertEqual((type(events[0]), events[-1]), (asr.Ready, receipt))

    async def test_a_stream_that_is_not_read_waits_and_can_be_read_after_its_end(self):
        async with Fake() as fake, asr.connect(fake.asr, patience=FAST, max_kept=0.1) as opened:
            sending = asyncio.create_task(self.send_all(opened, numbers(2_000)))
            done, _ = await asyncio.wait({sending}, timeout=1)
            self.assertFalse(done, "it took everything though nobody reads")
            finals = []
            async for event in opened:
                if isinstance(event, asr.Final):
                    finals.append(event)
                if sending.done():
                    break
            receipt = await opened.finish()
            finals += [it async for it in opened if isinstance(it, asr.Final)]
        self.assertEqual([it.text for it in finals], [str(it) for it in range(2_000)])
        self.assertEqual(receipt.connections, 1)

    @staticmethod
    async def send_all(opened, audio):
        for begin in range(0, len(audio), 4_000):
            await opened.send(audio[begin:begin + 4_000])

    async def test_a_retry_after_is_kept_and_the_key_is_sent(self):
        async with Fake([0], retry_after=1) as fake:
            began = time.monotonic()
            async with asr.connect(fake.asr, patience=FAST, api_key="secret") as opened:
                self.assertGreaterEqual(time.monotonic() - began, 1)
                await opened.finalize("f1")
                await opened.finish()
                self.assertEqual([it.id async for it in opened if isinstance(it, asr.Finalized)], ["f1"])
            self.assertEqual([it["Authorization"] for it in fake.headers], ["Bearer secret"] * 2)

    async def test_what_cannot_be_is_an_error_at_once_and_a_dead_server_is_one_soon(self):
        with self.assertRaises(Impossible):
            await asr.connect("http://127.0.0.1")
        async with Fake() as fake:
            with self.assertRaises(Refused) as caught:
                await asr.connect(fake.asr, language="xx")
            self.assertEqual((caught.exception.code, fake.n_connections), ("UNKNOWN_LANGUAGE", 1))
        with self.assertRaises(GaveUp):
            await asr.connect(fake.asr, patience=Patience(attempts=3, first_wait=0.001))
        # It opens, and is never reached again.
        async with Fake([2] + [0] * 20) as fake:
            opened = await asr.connect(fake.asr, patience=Patience(attempts=3, first_wait=0.001))
            with self.assertRaises(GaveUp):
                async for _ in opened:
                    pass
            with self.assertRaises(Over):
                await opened.send(b"12")
            with self.assertRaises(GaveUp):
                await opened.finish()

    async def test_a_server_that_dies_in_mid_stream_is_given_up_as_soon(self):
        # What the first connection brought is no progress of those that never were.
        async with Fake([8] + [0] * 20) as fake:
            opened = await asr.connect(fake.asr, patience=Patience(attempts=3, first_wait=0.001))
            with self.assertRaises(GaveUp):
                for _ in range(20):
                    await opened.send(numbers(1))
                await opened.finish()
        self.assertEqual(fake.n_connections, 3)
        async with Fake([5] + [0] * 20, n_samples=1_999) as fake:
            with self.assertRaises(GaveUp):
                async with tts.speak(fake.tts, "Hello.", patience=Patience(attempts=3, first_wait=0.001)) as speech:
                    async for _ in speech:
                        pass
        self.assertEqual(fake.n_connections, 3)

    async def test_who_says_nothing_outlives_any_number_of_restarts(self):
        patience = Patience(attempts=3, first_wait=0.001, longest_wait=0.02)
        async with Fake(restarts=[0.1] * 8) as fake, asr.connect(fake.asr, patience=patience) as opened:
            while fake.n_connections < 9:
                await opened.send(b"")
                await asyncio.sleep(0.01)
            await opened.send(numbers(1))
            self.assertEqual((await opened.finish()).samples, WORD)
        async with Fake(restarts=[0.1] * 8, n_samples=10) as fake, tts.connect(fake.tts, patience=patience) as speech:
            while fake.n_connections < 9:
                await asyncio.sleep(0.01)
            await speech.push("Hello.")
            await speech.end()
            self.assertEqual(len(await speech.audio()), 20)

    async def test_a_server_that_is_ready_and_crashes_is_given_up(self):
        patience = Patience(attempts=3, first_wait=0.001)
        async with Fake(restarts=[0] * 9) as fake:
            opened = await asr.connect(fake.asr, patience=patience)
            with self.assertRaises(GaveUp):
                await opened.finish()
        self.assertEqual(fake.n_connections, 3)
        async with Fake(restarts=[0] * 9) as fake:
            with self.assertRaises(GaveUp):
                await tts.connect(fake.tts, patience=patience).audio()
        self.assertEqual(fake.n_connections, 3)


class Tts(Streams):
    async def test_no_sample_is_missing_or_comes_twice(self):
        for seed in range(5):
            draw = random.Random(seed)
            fates = [draw.choice([0, 1, 2, 3, 4, 5, 8]) for _ in range(25)]
            with self.subTest(fates=fates):
                async with Fake(fates, n_samples=1_999) as fake:
                    async with tts.speak(fake.tts, "Hello.", patience=FAST, speed=1.5) as speech:
                        events = [it async for it in speech]
                chunks = [it for it in events if isinstance(it, tts.Chunk)]
                data = b"".join(it.audio for it in chunks)
                self.assertEqual(data, struct.pack("<1999h", *range(1_999)))
                self.assertEqual([it.chunk_id for it in chunks], list(range(1, len(chunks) + 1)))
                self.assertEqual(events[-1].total_samples, 1_999)
                self.assertGreater(events[-1].connections, 2)
                asked = [it for session in fake.asked for it in session]
                self.assertEqual({(it["text"], it["speed"], it["temperature"]) for it in asked}, {("Hello.", 1.5, 0.5)})

    async def test_text_in_pieces_is_sent_again_whole(self):
        async with Fake([1, 4, 2], n_samples=300) as fake:
            async with tts.connect(fake.tts, patience=FAST) as speech:
                for piece in ["Good ", "morn", "ing."]:
                    await speech.push(piece)
                await speech.flush()
                await speech.end()
                self.assertEqual(len(await speech.audio()), 600)
            for session in fake.asked[1:]:
                self.assertEqual("".join(it.get("text", "") for it in session), "Good morning.")
                self.assertEqual([it["type"] for it in session], ["text", "text", "text", "flush", "end"])

    async def test_a_speech_is_cancelled_whenever_it_is(self):
        async with Fake(n_samples=10) as fake:
            speech = tts.connect(fake.tts, patience=FAST)
            await asyncio.sleep(0.2)
            await speech.cancel()
            self.assertEqual([type(it) async for it in speech], [tts.Cancelled])
            speech = tts.connect(fake.tts, patience=FAST)
            await speech.push("Hello")
            while not any(it["type"] == "text" for session in fake.asked for it in session):
                await asyncio.sleep(0.01)
            await speech.cancel()
            self.assertEqual([type(it) async for it in speech], [tts.Cancelled])
            self.assertEqual(fake.asked[-1][-1]["type"], "cancel")
        speech = tts.speak(fake.tts, "Hello", patience=Patience())
        await speech.cancel()
        self.assertEqual([type(it) async for it in speech], [tts.Cancelled])

    async def test_what_cannot_be_said_is_an_error_and_is_not_tried_again(self):
        async with Fake(n_samples=10) as fake:
            with self.assertRaises(Refused) as caught:
                await tts.speak(fake.tts, "Hello", voice_id="nobody").audio()
            self.assertEqual((caught.exception.code, fake.n_connections), ("UNKNOWN_VOICE", 1))


if __name__ == "__main__":
    unittest.main()
