"""The wall clock of the whole cluster jumps by an hour, forward and back, while people talk and listen: nobody notices."""

import email.utils
import itertools
import json
import pathlib
import re
import shutil
import struct
import subprocess
import threading
import time
import unittest

from real_cluster import Cluster, need_everything
from resuming import Listener, check_crowd, crowd

HOUR = 3600
TEXT = "The train leaves the station at nine in the morning. My sister wants to learn how to play the piano. " * 4


def setUpModule():
    need_everything()


class Clock(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise unittest.SkipTest("there is no C compiler to move the clock with")
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        library, cls.moved_by = cls.cluster.folder / "clock.so", cls.cluster.folder / "moved_by"
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library,
                        pathlib.Path(__file__).parent / "jumping_clock.c"], check=True)
        cls.move(0)
        # The scripts, nginx, and the watch live in the same time.
        cls.cluster.environment |= {"LD_PRELOAD": str(library), "CLOCK_MOVED_BY": str(cls.moved_by)}
        cls.cluster.start("--asr", "1", "--tts", "1", "--asr-set", "log.level=debug", "--tts-set", "log.level=debug")
        cls.ports = {"asr": cls.cluster.asr[0], "tts": cls.cluster.tts[0]}

    @classmethod
    def move(cls, seconds):
        # In place: it is mapped.
        with open(cls.moved_by, "r+b" if cls.moved_by.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))

    def now_of(self, service):
        """How far the server believes itself to be from now: by a header, and by its log."""
        headers = self.cluster.ask("/healthz", port=self.ports[service])[1]
        log = (self.cluster.state / f"{service}-{self.ports[service]}.log").read_text().splitlines()
        stamps = [re.search(r'"timestamp":"([^"]+)"', line) for line in log[-20:]]
        logged = time.mktime(time.strptime([it[1] for it in stamps if it][-1][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        return [it - time.time() for it in (email.utils.parsedate_to_datetime(headers["Date"]).timestamp(), logged)]

    def jump(self, seconds):
        self.move(seconds)
        # A server looks at the clock for its headers twice a second.
        time.sleep(1.2)
        session = self.cluster.listen()
        session.close()
        self.assertEqual(session.to_the_end(), ("", 1000))
        self.assertEqual(self.cluster.say("Yes.")[0], 200)
        for service in ("asr", "tts"):
            for found in self.now_of(service):
                self.assertAlmostEqual(found, seconds, delta=60, msg=f"the clock of {service} did not jump, so nothing is shown")

    def seconds_told(self, service):
        """Every sum of seconds that an instance tells."""
        text = self.cluster.ask("/metrics", port=self.ports[service])[2].decode()
        return {name: float(value) for name, value in re.findall(r"^(\w+_seconds_sum\S*) (\S+)$", text, re.M)}

    def test_an_hour_forward_and_back(self):
        before = {service: self.seconds_told(service) for service in self.ports}
        began = time.monotonic()
        is_over = threading.Event()
        speakers = crowd(self.cluster.port, 6, 6)
        listeners = [Listener(self.cluster.port, TEXT, seed=nth, at_chunk=lambda *_: is_over.wait(0.5)) for nth in range(2)]
        for it in listeners:
            it.start()
        for it in listeners:
            self.assertTrue(it.has_begun.wait(30))
        n_jumps = 0
        for seconds in itertools.cycle((HOUR, 0, -HOUR, 0)):
            self.jump(seconds)
            if not all(it.is_alive() for it in speakers + listeners):
                break
            n_jumps += 1
        is_over.set()
        self.move(HOUR)
        n_words = check_crowd(self, speakers)
        for it in listeners:
            it.outcome()
        took = time.monotonic() - began
        print(f"\n  the clock jumped {n_jumps} times by an hour: {len(speakers)} streams and {len(listeners)} speeches, "
              f"{n_words} words of {n_words}, {sum(len(it.audio) // 2 for it in listeners)} of {sum(it.total for it in listeners)} samples; "
              f"longest wait for a final {max(m['latency_ms'] for it in speakers for m in it.told if m['type'] == 'final')} ms")
        self.assertGreaterEqual(n_jumps, 3, "forward, back, and behind, before anybody was done")
        for it in speakers + listeners:
            self.assertEqual((len(it.connections), it.refusals), (1, []), it.breaks)
        for it in listeners:
            self.assertEqual(len(it.audio) // 2, it.total)
        # Nothing is told to have taken an hour, or less than no time.
        for it in speakers:
            for message in it.told:
                if message["type"] == "final":
                    self.assertTrue(0 <= message["latency_ms"] < 1e3 * took, message)
        for service in self.ports:
            for name, total in self.seconds_told(service).items():
                self.assertTrue(0 <= total - before[service].get(name, 0) < HOUR, (name, total))
            uptime = json.loads(self.cluster.ask("/health", port=self.ports[service])[2]).get("uptime_s", 0)
            self.assertTrue(0 <= uptime < HOUR, uptime)
        # It stops as it should, with the clock an hour ahead.
        began = time.monotonic()
        self.cluster.script("stop_all.sh")
        self.assertLess(time.monotonic() - began, 60)


if __name__ == "__main__":
    unittest.main()
