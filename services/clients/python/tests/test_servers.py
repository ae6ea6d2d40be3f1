"""The real servers, one of which is killed while it is heard, or speaks."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import unittest
import wave

from voice_client import asr, tts

from . import ROOT
from .cluster import Cluster, need_servers

SPEECH = ROOT / "tests" / "fixtures" / "speech"
# What the built-in model reads word for word.
READ_WELL = {
    "held_espeak_086": "They want to fix the book.",
    "held_espeak_084": "He is 25 years old.",
    "held_ked_112": "My name is Grace.",
    "held_ked_136": "I need to change my problem.",
    "held_slt_hts_110": "Don't forget the sugar.",
    "seen_flite_014": "How many trains do you have?",
}
STORY = "The train to the city leaves at nine. We will have to hurry to catch it. Bring the red umbrella, please."


def words(text):
    return re.findall(r"\w+", text.lower())


def audio():
    """The recordings, with silence after each."""
    data = b""
    for name in READ_WELL:
        with wave.open(str(SPEECH / f"{name}.wav")) as file:
            data += file.readframes(file.getnframes()) + b"\0" * 38_400
    return data


class Servers(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        need_servers()

    async def asyncSetUp(self):
        # Or every slow await is reported.
        asyncio.get_running_loop().set_debug(False)

    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.stop)
        self.cluster.wait()

    async def test_every_word_is_told_once_though_the_instance_is_killed(self):
        async with self.cluster as cluster:
            stream = await asr.connect(f"ws://{cluster.host}/v1/stream/asr")

            async def read():
                return [event async for event in stream]

            reading = asyncio.create_task(read())
            data = audio()
            for nth, begin in enumerate(range(0, len(data), 3_200)):
                await stream.send(data[begin:begin + 3_200])
                # Six times as fast as speech.
                await asyncio.sleep(0.1 / 6)
                if nth == 70:
                    cluster.instances["asr"][0].kill()
            receipt = await stream.finish()
            events = await reading
        finals = [it.text for it in events if isinstance(it, asr.Final)]
        self.assertEqual(words(" ".join(finals)), words(" ".join(READ_WELL.values())))
        self.assertEqual((receipt.samples, receipt.connections), (len(data) // 2, 2))
        self.assertEqual(sum(isinstance(it, asr.Resumed) for it in events), 1)
        self.assertEqual(sum(isinstance(it, asr.TurnEnd) for it in events), len(finals))

    async def test_no_sample_is_missing_though_the_instance_is_killed(self):
        async with self.cluster as cluster:
            url = f"ws://{cluster.host}/v1/stream/tts"
            position, seed, resumed = 0, None, []
            async for event in tts.speak(url, STORY, chunk_size=8, temperature=0.7):
                if isinstance(event, tts.Started):
                    seed = event.seed
                elif isinstance(event, tts.SpeechResumed):
                    resumed.append(event.start_sample)
                elif isinstance(event, tts.Chunk):
                    self.assertEqual((event.start_sample, len(event.audio)), (position, 2 * event.samples))
                    position += event.samples
                    if event.chunk_id == 2:
                        cluster.instances["tts"][0].kill()
            self.assertEqual((event.total_samples, event.connections), (position, 2))
            self.assertEqual(len(resumed), 1)
            whole = await tts.speak(url, STORY, chunk_size=8, temperature=0.7, seed=seed).audio()
            self.assertEqual(len(whole), 2 * position)

    async def test_the_example_of_the_documentation_runs(self):
        text = (ROOT / "docs" / "CLIENTS.md").read_text()
        example = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "example.py")
            with open(path, "w") as file:
                file.write(example)
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(it for it in sys.path if it)}
            async with self.cluster as cluster:
                arguments = [sys.executable, path, cluster.host, str(SPEECH / "held_ked_136.wav"), os.path.join(folder, "out.wav")]
                done = await asyncio.to_thread(subprocess.run, arguments, env=environment, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("I need to change my problem.", done.stdout)
            with wave.open(os.path.join(folder, "out.wav")) as spoken:
                self.assertGreater(spoken.getnframes(), spoken.getframerate())


if __name__ == "__main__":
    unittest.main()
