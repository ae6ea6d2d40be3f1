"""The scripts of the cluster with the real servers: start, look, renew with people talking, stop; and nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import unittest
from pathlib import Path

from real_cluster import ROOT, SPOKEN, Cluster, need_everything


def setUpModule():
    need_everything()


class Running(unittest.TestCase):
    """One cluster of two and two."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        cls.started = cls.cluster.start()

    def names(self, *services):
        ports = {"asr": self.cluster.asr, "tts": self.cluster.tts}
        return [f"{service}-{port}" for service in services for port in ports[service]]

    def test_the_start_says_what_is_ready(self):
        for name in self.names("asr", "tts"):
            self.assertRegex(self.started.stdout, rf"{name} +ready on 127\.0\.0\.1:{name[4:]}, process \d+")
        self.assertIn(f"http://127.0.0.1:{self.cluster.port}", self.started.stdout)

    def test_it_is_not_started_twice(self):
        before = self.cluster.table()
        second = self.cluster.start(check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn("runs already", second.stderr)
        second = self.cluster.script("start_asr.sh", "--port", str(self.cluster.asr[1]), check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"asr-{self.cluster.asr[1]} runs already", second.stderr)
        self.assertEqual({name: it["pid"] for name, it in before.items()},
                         {name: it["pid"] for name, it in self.cluster.table().items()})

    def test_status(self):
        done = self.cluster.script("status.sh")
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0].split(), ["instance", "process", "balancer", "state", "sessions", "uptime", "memory"])
        self.assertEqual([it.split()[0] for it in lines[1:]], [*self.names("asr", "tts"), "nginx", "watch"])
        session = self.cluster.listen()
        it = self.cluster.table()[session.instance]
        self.assertEqual((it["state"], it["ready"], it["draining"], it["sessions"], it["balancer"]), ("ok", True, False, 1, "up"))
        self.assertEqual(it["pid"], self.cluster.pid(session.instance))
        self.assertGreater(it["memory_bytes"], 20 << 20)
        session.close()
        session.to_the_end()

    def recognisers_give_way(self):
        """Only where the kernel weighs sessions against each other."""
        groups = {name: Path(f"/proc/{self.cluster.pid(name)}/autogroup") for name in self.names("asr", "tts")}
        for name, group in groups.items():
            if group.exists():
                self.assertTrue(group.read_text().endswith(" nice 5\n" if name.startswith("asr") else " nice 0\n"), name)

    def test_recognisers_give_way_to_synthesisers(self):
        self.recognisers_give_way()

    def test_an_instance_is_added_beside_the_others(self):
        port = self.cluster.ports[5]
        self.cluster.script("start_asr.sh", "--port", str(port), "--", "--set", "server.max_connections=3")
        name = f"asr-{port}"
        self.assertEqual(self.cluster.table()[name]["max_sessions"], 3)
        sessions = [self.cluster.listen() for _ in range(6)]
        self.assertIn(name, {it.instance for it in sessions})
        for it in sessions:
            it.close()
            it.to_the_end()
        os.kill(self.cluster.pid(name), signal.SIGKILL)
        self.wait_for(name, state="ended")
        self.assertEqual(self.cluster.script("status.sh", check=False).returncode, 1)
        self.assertEqual(self.cluster.transcribe()[0], 200, "the others serve")
        # What is left of it, its file, does not keep a new one from starting.
        (self.cluster.state / f"{name}.pid").write_text(f"{os.getpid()} 1\n")
        self.cluster.script("start_asr.sh", "--port", str(port))
        os.kill(self.cluster.pid(name), signal.SIGTERM)
        self.cluster.script("nginx_upstreams.sh", "--remove", name, "--reload")

    def test_a_roll_cuts_nobody_and_refuses_nobody(self):
        sessions = [self.cluster.listen() for _ in range(4)]
        self.assertEqual({it.instance for it in sessions}, set(self.names("asr")))
        before = {name: self.cluster.pid(name) for name in self.names("asr", "tts")}
        as_before = {name: self.cluster.started_as(name) for name in before}
        for it in sessions:
            it.speak(0.0, 1.0, pace=0.1)
        rolling = self.cluster.begin("roll.sh")
        answers, stop = [], threading.Event()

        def keep_asking():
            while not stop.is_set():
                answers.append(self.cluster.transcribe())
                answers.append(self.cluster.say("Yes."))
                with self.subTest("a new session"):
                    one = self.cluster.listen()
                    one.close()
                    one.to_the_end()

        asking = threading.Thread(target=keep_asking)
        asking.start()
        ends = []

        def go_on(session):
            session.speak(1.0)
            ends.append(session.to_the_end())

        going = [threading.Thread(target=go_on, args=(it,)) for it in sessions]
        for it in going:
            it.start()
        for it in going:
            it.join(60)
        output, _ = rolling.communicate(timeout=120)
        stop.set()
        asking.join(60)
        self.assertEqual(rolling.returncode, 0, output)
        # Everybody was heard to the end of their sentence, and then told to come again.
        self.assertEqual(ends, [(SPOKEN, 1012)] * 4)
        for it in sessions:
            self.assertEqual([m["type"] for m in it.heard if m["type"] in ("draining", "closed")], ["draining", "closed"])
        self.assertGreater(len(answers), 4)
        self.assertEqual({status for status, _, _ in answers}, {200}, [it[2] for it in answers if it[0] != 200])
        table = self.cluster.table()
        for name, pid in before.items():
            self.assertNotEqual(table[name]["pid"], pid, name)
            self.assertEqual((table[name]["state"], table[name]["balancer"]), ("ok", "up"), name)
            self.assertEqual(self.cluster.started_as(name), as_before[name], name)
        self.recognisers_give_way()

    def test_a_roll_of_what_does_not_run_touches_nothing(self):
        before = self.cluster.table()
        done = self.cluster.script("roll.sh", self.names("asr")[0], "asr-1", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no instance asr-1", done.stderr)
        self.assertEqual({name: it["pid"] for name, it in before.items()},
                         {name: it["pid"] for name, it in self.cluster.table().items()})

    def test_one_that_hangs_gets_nothing_new_until_it_answers(self):
        hanging, other = self.names("asr")
        os.kill(self.cluster.pid(hanging), signal.SIGSTOP)
        try:
            self.wait_for(hanging, balancer="down")
            began = time.monotonic()
            self.assertEqual({self.instance_of_a_session() for _ in range(4)}, {other})
            self.assertLess(time.monotonic() - began, 5)
            # The last one stays in: it may be slow, and nobody at all is worse.
            os.kill(self.cluster.pid(other), signal.SIGSTOP)
            time.sleep(4)
            self.assertEqual(self.cluster.table()[other]["balancer"], "up")
        finally:
            for name in (hanging, other):
                os.kill(self.cluster.pid(name), signal.SIGCONT)
        self.wait_for(hanging, balancer="up")

    def instance_of_a_session(self):
        session = self.cluster.listen()
        session.close()
        session.to_the_end()
        return session.instance

    def wait_for(self, name, **wanted):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            it = self.cluster.table()[name]
            if all(it[key] == value for key, value in wanted.items()):
                return
            time.sleep(0.2)
        self.fail(f"{name} is {it}, wanted {wanted}")


class Starting(unittest.TestCase):
    """What happens to a start that fails, and to what a stop leaves."""

    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.discard)

    def nothing_is_left(self):
        for _ in range(50):
            if not self.cluster.processes():
                break
            time.sleep(0.1)
        self.assertEqual(self.cluster.processes(), [])
        self.assertEqual([it.name for it in self.cluster.state.glob("*.pid")], [])
        self.assertEqual(self.cluster.script("status.sh", check=False).returncode, 3)

    def test_from_start_to_stop(self):
        self.cluster.start("--asr", "1", "--tts", "1", "--combined-logs")
        self.assertGreaterEqual(len(self.cluster.processes()), 4, "else it is not seen what is left")
        lines = [json.loads(line) for line in (self.cluster.state / "cluster.log").read_text().splitlines()]
        self.assertEqual({it["instance"] for it in lines}, {f"asr-{self.cluster.asr[0]}", f"tts-{self.cluster.tts[0]}"})
        self.assertEqual(self.cluster.script("roll.sh", "--services", "asr", check=False).returncode, 1, "it is the only one")
        session = self.cluster.listen()
        session.speak(0.0, 2.0, pace=0.1)
        stopping = self.cluster.begin("stop_all.sh")
        session.speak(2.0)
        text, code = session.to_the_end()
        self.assertEqual((text, code), (SPOKEN, 1012))
        output, _ = stopping.communicate(timeout=60)
        self.assertEqual(stopping.returncode, 0, output)
        self.assertIn("Stopped:", output)
        self.nothing_is_left()
        self.assertIn("No cluster runs here.", self.cluster.script("stop_all.sh").stdout)

    def test_a_taken_port(self):
        for port in (self.cluster.tts[1], self.cluster.speech):
            with socket.create_server(("127.0.0.1", port)):
                done = self.cluster.start(check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"port {port} is taken", done.stderr)
            self.nothing_is_left()

    def test_a_server_that_does_not_start(self):
        done = self.cluster.start("--tts-set", "model.name=nowhere", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"nowhere(.|\n)*error: tts-\d+ ended while it was starting")
        self.nothing_is_left()

    def test_an_interrupted_start(self):
        starting = self.cluster.begin("start_all.sh")
        while not list(self.cluster.state.glob("asr-*.pid")):
            self.assertIsNone(starting.poll())
            time.sleep(0.01)
        starting.send_signal(signal.SIGINT)
        starting.communicate(timeout=60)
        self.assertEqual(starting.returncode, 130)
        self.nothing_is_left()

    def test_an_interruption_between_a_start_and_its_note(self):
        """Ctrl-C at the two worst moments: an instance runs and nothing says so yet, and it is noted and not yet counted."""
        for moment in ('kill -INT $$; really "$@"', 'really "$@"; kill -INT $$'):
            code = (". scripts/cluster_common.sh; take_cluster; trap undo_start EXIT; trap 'interrupt 130' INT;"
                    'eval "really() $(declare -f note_pid | tail -n +2)"; note_pid() { ' + moment + '; };'
                    "launch asr-1 /dev/null sleep 60; launch asr-2 /dev/null sleep 60")
            # As Ctrl-C does, also where the test itself runs in the background of a shell.
            done = subprocess.run(["bash", "-euc", code], cwd=ROOT, env=self.cluster.environment, capture_output=True, text=True,
                                  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            self.assertEqual((done.returncode, done.stderr.splitlines()[:1]), (130, ["Stopping what was started."]))
            self.nothing_is_left()

    def test_what_ends_before_it_is_noted_does_not_run(self):
        code = '. scripts/cluster_common.sh; take_cluster; true & wait $!; note_pid tts-1 $!; ! pid_of tts-1'
        subprocess.run(["bash", "-euc", code], cwd=ROOT, env=self.cluster.environment, check=True)

    def test_only_what_is_asked_for(self):
        self.cluster.start("--services", "tts", "--tts", "1")
        self.assertEqual(list(self.cluster.table()), [f"tts-{self.cluster.tts[0]}"])
        self.cluster.script("stop_all.sh")
        self.nothing_is_left()

    def test_two_gpus_and_none(self):
        folder = self.cluster.folder / "bin"
        folder.mkdir()
        (folder / "nvidia-smi").write_text('#!/bin/sh\n[ "$1" = -L ] || printf "0\\n1\\n"\n')
        (folder / "nvidia-smi").chmod(0o755)
        for server in ("asr", "tts"):
            (folder / server).write_text('#!/bin/sh\nsleep 60\n')
            (folder / server).chmod(0o755)
        code = '. scripts/cluster_common.sh; echo "$(gpu_of asr)/$(gpu_of tts)"; share_of_cores asr 2'
        for environment, expected in (({}, "0/1\n"), ({"CUDA_VISIBLE_DEVICES": "3"}, "/\n")):
            variables = {**self.cluster.environment, "PATH": f"{folder}:{os.environ['PATH']}", **environment}
            done = subprocess.run(["bash", "-euc", code], cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
            self.assertEqual(done.stdout, expected)


if __name__ == "__main__":
    unittest.main()
