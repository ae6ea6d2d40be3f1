"""`scripts/watch_instances.sh --systemd`, with instances that hang as they are told and an nginx that does nothing."""

import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from nginx_front import ROOT


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.n_asked += 1
        self.server.may_answer.wait(20)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Watch(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="watch-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.nginx(0)
        self.instances = [self.instance() for _ in range(2)]
        self.list = self.folder / "instances.tsv"
        self.list.write_text("".join(f"asr\tasr-{it.server_port}\t127.0.0.1:{it.server_port}\tup\n" for it in self.instances))

    def nginx(self, code):
        path = self.folder / "nginx"
        path.write_text(f"#!/bin/sh\necho called >>{self.folder}/called\nsleep 0.3\nexit {code}\n")
        path.chmod(0o755)

    def instance(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        server.n_asked = 0
        server.may_answer = threading.Event()
        server.may_answer.set()
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(server.may_answer.set)
        return server

    def watch(self):
        watching = subprocess.Popen([ROOT / "scripts/watch_instances.sh", "--systemd", "--list", self.list, "--out", self.folder, "--every", "0.1"],
                                    env={"PATH": f"{self.folder}:/usr/sbin:/usr/bin:/bin"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(watching.wait)
        self.addCleanup(watching.kill)
        return watching

    def wait_until(self, what, look):
        end = time.monotonic() + 30
        while not look():
            self.assertLess(time.monotonic(), end, f"not {what} within 30 s")
            time.sleep(0.05)

    def until(self, *states):
        end = time.monotonic() + 30
        while (now := [line.split("\t")[3] for line in self.list.read_text().splitlines()]) != list(states):
            self.assertLess(time.monotonic(), end, f"{now} and not {states}")
            time.sleep(0.05)

    def test_one_that_another_watcher_took_out_is_put_back(self):
        watching = self.watch()
        self.instances[0].may_answer.clear()
        self.until("down", "up")
        # In the middle of its work, as by a reboot.
        watching.kill()
        watching.wait()
        self.instances[0].may_answer.set()
        self.watch()
        self.until("up", "up")

    def test_what_somebody_else_took_out_stays_out(self):
        self.list.write_text(self.list.read_text().replace("up", "down", 1))
        self.watch()
        self.wait_until("looked after", lambda: 5 <= self.instances[1].n_asked)
        self.until("down", "up")

    def test_where_nginx_does_not_take_it_the_list_tells_no_lies(self):
        self.nginx(1)
        self.watch()
        self.instances[0].may_answer.clear()
        self.wait_until("told", (self.folder / "called").exists)
        self.until("up", "up")


if __name__ == "__main__":
    unittest.main()
