"""Clients that resume, as docs/PROTOCOL.md tells them to, and that keep an account of all that they were told."""

import json
import pathlib
import threading
import time
import wave

from real_cluster import ROOT
from plain_websocket import Problem, WebSocket

RATE = 16000
FOLDER = ROOT / "tests/fixtures/speech"
# Recordings that the compiled-in model reads the same whatever is said around them, so that a word that differs was lost.
SPOKEN = {name: text for name, text in json.loads((FOLDER / "expected.json").read_text()).items()
          if name in ("seen_flite_014.wav", "held_espeak_084.wav", "held_ked_112.wav", "held_ked_136.wav", "held_slt_hts_110.wav")}


def samples_of(name):
    with wave.open(str(pathlib.Path(FOLDER, name))) as file:
        return file.readframes(file.getnframes())


def conversation(nth, n_clips, pause_s=1.5):
    """The audio of a speaker who says several things, each speaker in another order, and what they say."""
    names = sorted(SPOKEN)
    chosen = [names[(nth * 3 + it * (1 + nth % 3)) % len(names)] for it in range(n_clips)]
    silence = bytes(int(pause_s * RATE) * 2)
    return silence[:RATE] + b"".join(samples_of(name) + silence for name in chosen), [SPOKEN[name] for name in chosen]


def words_of(text):
    return "".join(it if it.isalnum() or it == "'" else " " for it in text.lower()).split()


class Resuming(threading.Thread):
    """What both kinds of client share: connect, go on until it is done, connect again where that is due."""

    attempts = 20

    def __init__(self, port, resumes=True):
        super().__init__(daemon=True)
        self.port, self.resumes = port, resumes
        self.connections, self.breaks, self.refusals = [], [], []
        self.problem = None
        self.is_done = False

    def run(self):
        try:
            while not self.is_done:
                try:
                    session = WebSocket(self.address(), {}, 60)
                except (Problem, OSError) as error:
                    self.refusals.append(str(error))
                    if len(self.refusals) > self.attempts:
                        raise AssertionError(f"refused: {self.refusals}") from None
                    time.sleep(0.2)
                    continue
                try:
                    self.one_connection(session)
                except (Problem, OSError) as error:
                    self.breaks.append(str(error))
                finally:
                    session.reader.close()
                    session.socket.close()
                if not self.is_done and not self.resumes:
                    raise AssertionError(f"the connection broke: {self.breaks}")
        except Exception as error:  # noqa: BLE001: told by `outcome`, in the thread of the test
            self.problem = error

    def outcome(self, timeout_s=120):
        """Waits for the end, and raises what went wrong."""
        self.join(timeout_s)
        if self.is_alive():
            raise AssertionError(f"not done after {timeout_s} s: {self.connections} {self.breaks}")
        if self.problem:
            raise self.problem
        return self


class Speaker(Resuming):
    """Speaks to a recogniser in real time. What follows the last word that came back is kept, and sent again after a break."""

    def __init__(self, port, audio, pace=1.0, resumes=True, options=""):
        super().__init__(port, resumes)
        self.audio, self.pace, self.options = audio, pace, options
        self.n_samples = len(audio) // 2
        self.safe = 0
        self.finals, self.errors, self.told = [], [], []
        self.receipt = None
        self.began = None

    def address(self):
        return f"ws://127.0.0.1:{self.port}/v1/stream/asr?sample_rate={RATE}&start_sample={self.safe}{self.options}"

    def send_from(self, session, start, stopped):
        step = RATE // 20
        try:
            for at in range(start, self.n_samples, step):
                due = self.began + at / RATE * self.pace
                if stopped.wait(max(0.0, due - time.monotonic())):
                    return
                session.send(self.audio[at * 2:(at + step) * 2])
                self.connections[-1][2] = min(at + step, self.n_samples)
            session.send(json.dumps({"type": "close"}))
        except OSError:
            return  # The receiving side is told as well.

    def one_connection(self, session):
        self.began = self.began or time.monotonic()
        start, stopped = self.safe, threading.Event()
        sending = threading.Thread(target=self.send_from, args=(session, start, stopped), daemon=True)
        try:
            while True:
                message = session.receive()
                if isinstance(message, tuple):
                    self.breaks.append(f"closed with {message[0]}")
                    return
                it = json.loads(message)
                self.told.append(it)
                self.heard(it, start, sending)
                if it["type"] == "closed":
                    self.receipt = {**it, "start_sample": start}
                    self.is_done = start + it["received_samples"] == self.n_samples
        finally:
            stopped.set()
            if sending.ident:
                sending.join(10)

    def heard(self, it, start, sending):
        if it["type"] == "ready" and not sending.ident:
            # The instance, from which sample on, and up to which sample it was sent something, as far as that has come.
            self.connections.append([it["instance"], start, start])
            sending.start()
        elif it["type"] == "progress":
            self.safe = max(self.safe, it["safe_sample"])
        elif it["type"] == "final":
            self.finals.append((it["start_time"], it["end_sample"], it["text"]))
            self.safe = max(self.safe, it["end_sample"])
        elif it["type"] == "error":
            self.errors.append(it)

    @property
    def text(self):
        return " ".join(text for _, _, text in self.finals if text)

    def check_accounts(self, test):
        """Every sample was answered for, once."""
        test.assertEqual(self.errors, [])
        last = self.receipt
        test.assertEqual(last["start_sample"] + last["received_samples"], self.n_samples)
        test.assertEqual(last["received_samples"], last["transcribed_samples"] + last["silence_samples"])
        test.assertEqual(last["discarded_samples"], 0)
        ends = [end for _, end, _ in self.finals]
        test.assertEqual(ends, sorted(set(ends)), "a final came twice, or in the wrong order")


class Listener(Resuming):
    """Has a text spoken, and after a break the rest of it."""

    def __init__(self, port, text, seed, resumes=True, at_chunk=None):
        super().__init__(port, resumes)
        self.text, self.seed, self.at_chunk = text, seed, at_chunk
        self.audio = b""
        self.total = None
        self.starts = []
        # Two seconds of it have come.
        self.has_begun = threading.Event()

    def address(self):
        return f"ws://127.0.0.1:{self.port}/v1/stream/tts"

    def one_connection(self, session):
        chunk = None
        while True:
            message = session.receive()
            if isinstance(message, tuple):
                self.breaks.append(f"closed with {message[0]}")
                return
            if isinstance(message, bytes):
                # A gap or an overlap is a fault of the server, so it is not mended here.
                if chunk["start_sample"] != len(self.audio) // 2 or len(message) != chunk["samples"] * 2:
                    raise AssertionError(f"{chunk} after sample {len(self.audio) // 2}")
                self.audio += message
                if len(self.audio) >= 2 * 2 * 24000:
                    self.has_begun.set()
                if self.at_chunk:
                    self.at_chunk(self, chunk)
                continue
            it = json.loads(message)
            if it["type"] == "ready":
                skipped = len(self.audio) // 2
                self.connections.append((it["instance"], skipped))
                session.send(json.dumps({"type": "synthesize", "request_id": "r", "text": self.text, "seed": self.seed,
                                         "skip_samples": skipped}))
            elif it["type"] == "audio_chunk":
                chunk = it
            elif it["type"] == "error" and it["code"] not in ("DRAINING", "OVERLOADED"):
                raise AssertionError(it)
            elif it["type"] == "synthesis_complete":
                self.total = it["total_samples"]
                self.is_done = True
                session.send(json.dumps({"type": "close"}))
            elif it["type"] == "closed":
                return


def crowd(port, n_speakers, n_clips, apart_s=0.05, **more):
    """Speakers who have begun. What each is going to say is its `said`."""
    speakers = []
    for nth in range(n_speakers):
        audio, texts = conversation(nth, n_clips)
        speakers.append(Speaker(port, audio, **more))
        speakers[-1].said = words_of(" ".join(texts))
        speakers[-1].start()
        # Not all in step, so that a fault meets speech, pauses, and turns that are just being transcribed.
        time.sleep(apart_s)
    return speakers


def check_crowd(test, speakers):
    """Everybody was heard: each word once, each sample answered for. Returns how many words."""
    for it in speakers:
        it.outcome()
    test.assertEqual([words_of(it.text) for it in speakers], [it.said for it in speakers])
    for it in speakers:
        it.check_accounts(test)
    return sum(len(it.said) for it in speakers)


def p95_ms(speakers):
    """From the end of speech to its text, as the server told it."""
    found = sorted(it["latency_ms"] for speaker in speakers for it in speaker.told if it["type"] == "final")
    return found[int(0.95 * (len(found) - 1))]
