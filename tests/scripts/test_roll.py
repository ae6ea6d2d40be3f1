"""`scripts/roll.sh --systemd`, with a systemctl and an nginx that only write down what they are told."""

import http.server
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

from nginx_front import ROOT

SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >>"{log}"
case "$1" in is-active) [ ! -e "{folder}/$3.dead" ] ;; start) [ ! -e "{folder}/$2.broken" ] || touch "{folder}/$2.dead" ;; esac
"""
NGINX = """#!/bin/sh
echo "nginx $* with $(cut -f2,4 {folder}/instances.tsv | tr '\\t\\n' '= ')" >>"{log}"
"""


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # A unit that did not come back answers nothing good.
        self.send_response(503 if list(self.server.folder.glob(f"*@{self.server.server_port}.service.dead")) else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Systemd(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="roll-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.log = self.folder / "log"
        for name, text in (("systemctl", SYSTEMCTL), ("nginx", NGINX)):
            path = self.folder / name
            path.write_text(text.replace("{log}", str(self.log)).replace("{folder}", str(self.folder)))
            path.chmod(0o755)
        self.ports = [self.instance() for _ in range(3)]
        a, b, c = self.ports
        self.list = self.folder / "instances.tsv"
        self.list.write_text(f"asr\tasr-{a}\t127.0.0.1:{a}\tup\nasr\tasr-{b}\t127.0.0.1:{b}\tup\ntts\ttts-{c}\t127.0.0.1:{c}\tup\n"
                             f"tts\ttts-far\t10.0.0.5:8002\tup\n")

    def instance(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready)
        server.folder = self.folder
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_port

    def roll(self, *arguments):
        environment = {"PATH": f"{self.folder}:/usr/sbin:/usr/bin:/bin", "VOICE_START_TIMEOUT_S": "1", "VOICE_STOP_TIMEOUT_S": "1"}
        return subprocess.run([ROOT / "scripts/roll.sh", "--systemd", "--list", self.list, "--out", self.folder, *arguments],
                              env=environment, capture_output=True, text=True, timeout=60)

    def states(self):
        return [line.split("\t")[3] for line in self.list.read_text().splitlines()]

    def test_one_after_the_other(self):
        done = self.roll("--services", "asr")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        a, b, c = self.ports
        conf = "nginx -c /etc/nginx/voice/voice.conf"
        told = [it for it in self.log.read_text().splitlines() if "is-active" not in it and " -t " not in it]
        expected = []
        for port in (a, b):
            down = f"asr-{a}={'down' if port == a else 'up'} asr-{b}={'down' if port == b else 'up'} tts-{c}=up tts-far=up "
            up = f"asr-{a}=up asr-{b}=up tts-{c}=up tts-far=up "
            expected += [f"{conf} -s reload with {down}", f"systemctl stop asr@{port}.service",
                         f"systemctl start asr@{port}.service", f"{conf} -s reload with {up}"]
        self.assertEqual(told, expected)
        self.assertEqual(self.states(), ["up"] * 4)

    def test_one_that_does_not_come_back_ends_the_roll(self):
        a, b, _ = self.ports
        (self.folder / f"asr@{a}.service.broken").touch()
        done = self.roll("--services", "asr")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"asr-{a} did not come back", done.stderr)
        self.assertEqual(self.states(), ["down", "up", "up", "up"])
        self.assertNotIn(f"stop asr@{b}", self.log.read_text())

    def test_who_was_taken_out_stays_out_unless_it_is_named(self):
        a, b, _ = self.ports
        self.list.write_text(f"asr\tasr-{a}\t127.0.0.1:{a}\tdown\nasr\tasr-{b}\t127.0.0.1:{b}\tup\n")
        done = self.roll("--alone")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"start asr@{a}.service", self.log.read_text())
        self.assertIn("out of the balancer, as it was", done.stdout)
        self.assertEqual(self.states(), ["down", "up"])
        self.assertEqual(self.roll(f"asr-{a}").returncode, 0)
        self.assertEqual(self.states(), ["up", "up"])

    def test_nothing_is_touched_if_something_is_wrong(self):
        a, b, c = self.ports
        (self.folder / f"asr@{b}.service.dead").touch()
        for arguments, why in ((("--services", "asr"), f"asr-{b} does not run"), ((), "does not run"), (("tts-far",), "not on this machine"),
                               (("asr-1",), "there is no instance asr-1")):
            done = self.roll(*arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn(why, done.stderr)
        self.assertNotIn("stop", self.log.read_text())
        # An address of this machine other than 127.0.0.1 is here all the same: it is its unit that is missing.
        own = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
        if own:
            name = f"[{own[0]}]" if ":" in own[0] else own[0]
            self.list.write_text(f"asr\tasr-{b}\t{name}:{b}\tup\n")
            self.assertIn(f"asr-{b} does not run", self.roll().stderr)
        self.list.write_text(f"tts\ttts-{c}\t127.0.0.1:{c}\tup\n")
        self.assertIn("the only instance of its service", self.roll().stderr)
        self.assertEqual(self.roll("--alone").returncode, 0)


if __name__ == "__main__":
    unittest.main()
