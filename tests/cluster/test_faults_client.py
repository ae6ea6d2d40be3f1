"""The Python client of this repository loses an instance, many streams at a time, and its user notices nothing but `Resumed`."""

import asyncio
import importlib.util
import os
import signal
import sys
import unittest

from real_cluster import ROOT, Cluster, need_everything
from resuming import RATE, conversation, words_of
from test_faults_killed import N_LISTENERS, N_STREAMS, TEXT

sys.path.insert(0, str(ROOT / "services/clients/python"))
if importlib.util.find_spec("websockets") is None:
    sys.path.append(str(ROOT / ".native/python"))


def need_websockets():
    if importlib.util.find_spec("websockets") is None:
        message = "websockets is not installed: scripts/setup.sh --tests"
        if os.environ.get("CI") == "true":
            raise AssertionError(message)
        raise unittest.SkipTest(message)


def setUpModule():
    need_everything()
    need_websockets()


class Client(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        cls.cluster.start()

    async def asyncSetUp(self):
        # Or every slow await is reported.
        asyncio.get_running_loop().set_debug(False)

    async def speak(self, nth):
        """What one stream hears, and what became of it."""
        from voice_client import asr
        audio, texts = conversation(nth, 3)
        heard, instances = [], []
        async with asr.connect(f"ws://127.0.0.1:{self.cluster.port}/v1/stream/asr") as stream:
            async def listen():
                async for event in stream:
                    if isinstance(event, asr.Final):
                        heard.append(event.text)
                    elif isinstance(event, (asr.Ready, asr.Resumed)):
                        instances.append(event.instance)

            listening = asyncio.create_task(listen())
            began, step = asyncio.get_running_loop().time(), RATE // 20 * 2
            for at in range(0, len(audio), step):
                await asyncio.sleep(max(0.0, began + at / 2 / RATE - asyncio.get_running_loop().time()))
                await stream.send(audio[at:at + step])
            receipt = await stream.finish()
            await listening
        self.assertEqual(receipt.samples, len(audio) // 2)
        return words_of(" ".join(heard)), words_of(" ".join(texts)), instances, receipt.connections

    async def test_a_recogniser_is_killed(self):
        killed, other = (f"asr-{port}" for port in self.cluster.asr)
        streams = [asyncio.create_task(self.speak(nth)) for nth in range(N_STREAMS)]
        await asyncio.sleep(6)
        os.kill(self.cluster.pid(killed), signal.SIGKILL)
        found = await asyncio.wait_for(asyncio.gather(*streams), 120)
        hit = [it for it in found if it[2][0] == killed]
        print(f"\n  the Python client, a recogniser killed: {len(found)} streams, {len(hit)} resumed, "
              f"{sum(len(it[0]) for it in found)} of {sum(len(it[1]) for it in found)} words")
        self.assertEqual([it[0] for it in found], [it[1] for it in found])
        self.assertGreaterEqual(len(hit), N_STREAMS // 2 - 1)
        for it in found:
            self.assertEqual(it[2:], ([killed, other], 2) if it in hit else ([other], 1))

    async def test_a_synthesiser_is_killed(self):
        from voice_client import tts
        begun = asyncio.Event()

        async def listen(seed):
            async with tts.speak(f"ws://127.0.0.1:{self.cluster.port}/v1/stream/tts", TEXT, seed=seed) as speech:
                at = 0
                async for event in speech:
                    if isinstance(event, tts.Chunk):
                        self.assertEqual(event.start_sample, at)
                        at += event.samples
                        if at > 48000:
                            begun.set()
                        # Not all at once, or there is no middle to be killed in.
                        await asyncio.sleep(0.01)
                    elif isinstance(event, tts.Complete):
                        self.assertEqual(event.total_samples, at)
                        return at, event.connections

        alone = await asyncio.gather(*(listen(seed) for seed in range(N_LISTENERS)))
        begun.clear()
        listening = [asyncio.create_task(listen(seed)) for seed in range(N_LISTENERS)]
        await asyncio.wait_for(begun.wait(), 60)
        killed = f"tts-{self.cluster.tts[0]}"
        os.kill(self.cluster.pid(killed), signal.SIGKILL)
        found = await asyncio.wait_for(asyncio.gather(*listening), 120)
        print(f"\n  the Python client, a synthesiser killed: {len(found)} speeches, {sum(it[1] > 1 for it in found)} resumed, "
              f"{sum(it[0] for it in found)} of {sum(it[0] for it in alone)} samples")
        self.assertEqual([it[0] for it in found], [it[0] for it in alone])
        self.assertEqual({it[1] for it in alone}, {1})
        self.assertIn(2, {it[1] for it in found})


if __name__ == "__main__":
    unittest.main()
