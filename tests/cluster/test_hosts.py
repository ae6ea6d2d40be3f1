"""Several hosts behind one balancer: each in a network namespace with its own address, one cut off in mid-sentence."""

import asyncio
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest
import urllib.request
import wave

from real_cluster import ROOT, Cluster, need_everything

sys.path[:0] = [str(ROOT / "services/clients/python"), str(ROOT / ".native/python")]
from voice_client import asr  # noqa: E402
from voice_client.retry import Patience  # noqa: E402

# What the built-in model reads word for word.
CLIPS = {
    "held_espeak_086": "They want to fix the book.", "held_espeak_084": "He is 25 years old.", "held_ked_112": "My name is Grace.",
    "held_ked_136": "I need to change my problem.", "held_slt_hts_110": "Don't forget the sugar.",
}
# A host that is cut off sends nothing any more, not even that it is gone: silence is how a client finds out.
PATIENCE = Patience(silence=2.0, connect=3.0)
IP = shutil.which("ip", path=os.environ["PATH"] + ":/usr/sbin") or "ip"


def ip(*arguments):
    subprocess.run([IP, *arguments], check=True, capture_output=True, text=True)


def can_make_hosts():
    """Why not, if not."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"voice-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespaces here: {getattr(error, 'stderr', None) or error}"
    return None


def setUpModule():
    need_everything()
    if problem := can_make_hosts():
        raise unittest.SkipTest(problem)


class Network:
    """A bridge on this machine, which is the balancer, and hosts that only it reaches."""

    def __init__(self, folder):
        self.folder = folder
        # Interfaces have at most 15 letters; two runs at a time must not meet.
        self.mark = f"{os.getpid() % 100_000:x}"
        self.bridge = f"vo{self.mark}"
        self.net = f"10.203.{os.getpid() % 250}"
        self.hosts, self.processes = [], []
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.net}.1/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")

    def host(self, letter):
        """Adds a host; returns its address."""
        name, outside, inside = f"voice-{self.mark}-{letter}", f"vo{self.mark}{letter}", f"vi{self.mark}{letter}"
        address = f"{self.net}.{10 + len(self.hosts)}"
        ip("netns", "add", name)
        self.hosts.append(name)
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        ip("link", "set", outside, "master", self.bridge, "up")
        ip("-n", name, "addr", "add", f"{address}/24", "dev", inside)
        ip("-n", name, "link", "set", inside, "up")
        ip("-n", name, "link", "set", "lo", "up")
        return address

    def run(self, letter, service, address, port, *options):
        """Starts a server on a host and waits until it is ready."""
        binary = pathlib.Path(os.environ.get("VOICE_BIN") or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release")
        log = self.folder / f"{service}-{letter}.log"
        command = [IP, "netns", "exec", f"voice-{self.mark}-{letter}", str(binary / service), "--host", address, "--port", str(port), *options]
        with log.open("w") as out:
            self.processes.append(subprocess.Popen(command, stdout=out, stderr=out))
        for _ in range(300):
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"http://{address}:{port}/readyz", timeout=1).close()
            if self.processes[-1].poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"{service} on host {letter} is not ready:\n{log.read_text()[-2000:]}")

    def cut_off(self, letter):
        ip("link", "set", f"vo{self.mark}{letter}", "down")

    def join_again(self, letter):
        ip("link", "set", f"vo{self.mark}{letter}", "up")

    def discard(self):
        for process in self.processes:
            process.kill()
            process.wait()
        for name in self.hosts:
            # A namespace lives on while anything in it does, its end of the cable too.
            ip("link", "del", f"vo{self.mark}{name[-1]}")
            ip("netns", "del", name)
        ip("link", "del", self.bridge)


def words(text):
    return "".join(it if it.isalnum() or it == "'" else " " for it in text.lower()).split()


def wait_until(what, is_so, timeout_s=30):
    give_up = time.monotonic() + timeout_s
    while not is_so():
        if give_up < time.monotonic():
            raise AssertionError(f"not after {timeout_s} s: {what}")
        time.sleep(0.2)


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        cls.network = Network(cls.cluster.folder)
        cls.addClassCleanup(cls.network.discard)
        cls.cluster.script("start_all.sh", "--services", "nginx")
        voices = f"voices.store={cls.cluster.folder}/voices"
        added = []
        for letter in "ab":
            address = cls.network.host(letter)
            cls.network.run(letter, "asr", address, 8001, "--set", f"instance_id=asr-{letter}")
            cls.network.run(letter, "tts", address, 8002, "--set", f"instance_id=tts-{letter}", "--set", voices)
            added += ["--add", f"asr-{letter}={address}:8001", "--add", f"tts-{letter}={address}:8002"]
        cls.cluster.script("nginx_upstreams.sh", "--list", str(cls.cluster.state / "instances.tsv"), *added, "--reload")
        # nginx takes a new configuration in its own time.
        wait_until("nginx knows the hosts", lambda: cls.cluster.ask("/readyz")[0] == 200)

    def cut_off_the_host_of(self, instance):
        letter = instance[-1]
        self.network.cut_off(letter)
        self.addCleanup(self.network.join_again, letter)

    def test_who_speaks_while_a_host_is_cut_off_is_heard_to_the_end(self):
        said = [word for text in CLIPS.values() for word in words(text)]

        async def speak():
            heard, served_by = [], []
            url = f"ws://127.0.0.1:{self.cluster.port}/v1/stream/asr"
            async with asr.connect(url, patience=PATIENCE) as stream:
                async def listen():
                    async for event in stream:
                        if isinstance(event, (asr.Ready, asr.Resumed)):
                            served_by.append(event.instance)
                        if isinstance(event, asr.Final):
                            heard.append(event.text)
                            if len(heard) == 2:
                                self.cut_off_the_host_of(served_by[0])
                listening = asyncio.create_task(listen())
                for name in CLIPS:
                    with wave.open(str(ROOT / f"tests/fixtures/speech/{name}.wav")) as file:
                        audio = file.readframes(file.getnframes()) + bytes(2 * 16_000 * 2)
                    for at in range(0, len(audio), 3200):
                        await stream.send(audio[at:at + 3200])
                        await asyncio.sleep(0.1)
                receipt = await stream.finish()
                await listening
            return heard, served_by, receipt

        heard, served_by, receipt = asyncio.run(asyncio.wait_for(speak(), 120))
        print(f"\n    {len(served_by)} connections, {len(heard)} finals, {len(said)} words", end=" ")
        self.assertEqual(words(" ".join(heard)), said)
        self.assertEqual(set(served_by), {"asr-a", "asr-b"}, "one was cut off, and the other took over")
        self.assertEqual(receipt.connections, 2)

    def test_new_callers_go_to_the_host_that_is_left(self):
        self.network.cut_off("b")
        self.addCleanup(self.network.join_again, "b")
        for _ in range(4):
            status, _headers, body = self.cluster.say("Hello.")
            self.assertEqual(status, 200, body)
            self.assertEqual(self.cluster.transcribe()[0], 200)
        states = {"asr-b": "down", "tts-b": "down", "asr-a": "up", "tts-a": "up"}
        wait_until("the watcher takes the host out", lambda: self.states() == states)
        self.network.join_again("b")
        wait_until("the watcher puts the host back", lambda: set(self.states().values()) == {"up"})

    def states(self):
        """What the list says of every instance."""
        lines = (self.cluster.state / "instances.tsv").read_text().splitlines()
        return {it.split("\t")[1]: it.split("\t")[3] for it in lines}
