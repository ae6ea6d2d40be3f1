"""The real servers as they are installed: what they tell systemd, where their libraries come from, what probes and scalers read."""

import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import unittest

import servers

REPOSITORY = servers.REPOSITORY
SERVICES = ("asr", "tts")


class Spoken(unittest.TestCase):
    """What a real server tells systemd, heard at the socket that systemd would hold."""

    def manager(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        manager = servers.Manager(folder.name)
        self.addCleanup(manager.close)
        return manager

    def start(self, service, manager, *arguments):
        environment = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"}
        if service == "tts":
            arguments += ("--set", f"voices.store={pathlib.Path(manager.path).parent}/voices")
        server = servers.Server(servers.binary(service), arguments, environment)
        server.__enter__()
        self.addCleanup(server.__exit__)
        return server

    def check_a_life(self, service, path):
        manager = self.manager()
        server = self.start(service, manager)
        server.until(lambda: "READY=1" in manager.read(), "READY=1")
        self.assertEqual(server.get("/readyz")[0], 200, "ready was told too early")
        self.assertEqual(manager.told[0], "STATUS=loading the models")
        session, hello = servers.open_session(server.address(), path)
        self.addCleanup(session.socket.close)
        self.addCleanup(session.reader.close)
        self.assertEqual(hello["type"], "ready")
        n_told = len(manager.told)
        server.until(lambda: manager.read()[n_told:].count("WATCHDOG=1") >= 3, "three signs of life")
        self.assertTrue(any(it.startswith("STATUS=ready, 1 sessions") for it in manager.told), manager.told)

        server.process.send_signal(signal.SIGTERM)
        server.until(lambda: "STOPPING=1" in manager.read(), "STOPPING=1", 10)
        told = []
        while not told or not isinstance(told[-1], tuple):
            told.append(session.receive())
        self.assertEqual(told[-1], (1012, "DRAINING"), told)
        self.assertEqual(server.process.wait(20), 0, server.log())
        manager.read()
        after = manager.told[manager.told.index("STOPPING=1"):]
        self.assertIn("EXTEND_TIMEOUT_USEC=30000000", after)
        self.assertNotIn("READY=1", after)

    def test_the_recogniser(self):
        self.check_a_life("asr", "/v1/stream/asr")

    def test_the_synthesiser(self):
        self.check_a_life("tts", "/v1/stream/tts")

    def test_a_stopped_process_feeds_nothing(self):
        manager = self.manager()
        server = self.start("asr", manager)
        server.until(lambda: "WATCHDOG=1" in manager.read(), "a sign of life")
        server.process.send_signal(signal.SIGSTOP)
        manager.read()
        n_told = len(manager.told)
        self.assertEqual(len(manager.read(1.5)), n_told, "a stopped process spoke")
        server.process.send_signal(signal.SIGCONT)
        server.until(lambda: "WATCHDOG=1" in manager.read()[n_told:], "a sign of life again")

    def test_a_mistake_in_the_settings_ends_with_78_and_is_never_ready(self):
        for service in SERVICES:
            manager = self.manager()
            server = self.start(service, manager, "--set", "server.prot=1")
            self.assertEqual(server.process.wait(20), 78, server.log())
            self.assertIn("server.prot", server.log())
            self.assertEqual(manager.read(), [])

    def test_a_port_that_is_no_number_is_a_mistake_too(self):
        ran = subprocess.run([servers.binary("asr"), "--port", "first"], capture_output=True, text=True, timeout=20)
        self.assertEqual(ran.returncode, 78, ran.stderr)


class Installed(unittest.TestCase):
    """The real programs, started from where they were installed, with nothing of the checkout in reach."""

    def check(self, service):
        program = servers.binary(service)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        if not (program.parent / "asr").is_file() or not (program.parent / "tts").is_file():
            self.skipTest("only one of the servers is built")
        subprocess.run([REPOSITORY / "scripts/install.sh", "--from", program.parent, f"--prefix-root={root}", "--no-nginx"], check=True,
                       capture_output=True, timeout=120, cwd="/")
        arguments = ["--config", root / f"etc/voice/{service}.yaml", "--set", f"home={root}/opt/voice"]
        if service == "tts":
            arguments += ["--set", f"voices.store={root}/var/lib/voice/voices"]
        with servers.Server(root / f"opt/voice/bin/{service}", arguments) as server:
            server.until_ready()
            maps = pathlib.Path(f"/proc/{server.process.pid}/maps").read_text()
            libraries = {line.split()[-1] for line in maps.splitlines() if "libonnxruntime" in line or "libctranslate2" in line}
        self.assertTrue(libraries)
        for library in libraries:
            self.assertTrue(library.startswith(f"{root}/opt/voice/lib/"), library)

    def test_the_recogniser_finds_its_libraries(self):
        self.check("asr")

    def test_the_synthesiser_finds_its_libraries(self):
        self.check("tts")


# In a view of the file system of its own, in which /etc, /opt and /var can be written to without a trace.
APART = """
set -euo pipefail
mount -t tmpfs tmpfs "$1"
for folder in etc opt var; do
    mkdir "$1/$folder" "$1/work-$folder"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/$folder,workdir=$1/work-$folder" "/$folder"
done
"""


class AsRoot(unittest.TestCase):
    """What `install.sh` does to a system and not to a scratch root: the user, owners, rights."""

    def setUp(self):
        self.programs = servers.binary("asr").parent
        if not (self.programs / "tts").is_file():
            self.skipTest("tts is not built")
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        if os.geteuid() != 0 or self.run_apart("true").returncode != 0:
            self.skipTest("this needs root and mount namespaces")

    def run_apart(self, script):
        command = ["unshare", "--mount", "bash", "-c", APART + script, "bash", self.folder.name]
        environment = {**os.environ, "FROM": str(self.programs), "REPO": str(REPOSITORY), "ORT_DISABLE_TELEMETRY": "1"}
        return subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, cwd="/")

    def test_the_user_of_the_services_can_run_them_and_no_more(self):
        ran = self.run_apart("""
            before=$(getent group voice || true)
            "$REPO/scripts/install.sh" --from "$FROM" --asr 2 --listen 127.0.0.1 >/dev/null
            "$REPO/scripts/install.sh" --from "$FROM" >/dev/null
            stat -c '%n %U:%G %a' /etc/voice /etc/voice/tts.yaml /var/lib/voice /opt/voice/bin/asr
            refused() { if "$@" >/dev/null 2>&1; then echo "not refused: $*"; fi; }
            as_voice() { setpriv --reuid voice --regid voice --init-groups --no-new-privs "$@"; }
            as_voice /opt/voice/bin/asr --config /etc/voice/asr.yaml --check-config
            as_voice /opt/voice/bin/tts --config /etc/voice/tts.yaml --check-config
            as_voice touch /var/lib/voice/writable
            refused as_voice touch /etc/voice/other
            refused as_voice touch /opt/voice/other
            [ ! -d /etc/nginx/voice ] || PATH=$PATH:/usr/sbin nginx -t -q -c /etc/nginx/voice/voice.conf
            systemctl is-enabled asr@8011 voice.target
            "$REPO/scripts/uninstall.sh" --purge >/dev/null
            refused getent passwd voice
            for folder in /opt/voice /etc/voice /var/lib/voice; do refused test -e $folder; done
            [ -z "$before" ] || [ "$before" = "$(getent group voice)" ]
            echo whole
        """)
        self.assertEqual(ran.stdout.splitlines(), [
            "/etc/voice root:voice 750", "/etc/voice/tts.yaml root:voice 640", "/var/lib/voice voice:voice 750",
            "/opt/voice/bin/asr root:root 755", "the settings are in order", "the settings are in order", "enabled", "enabled", "whole",
        ], ran.stderr)


class Containers(unittest.TestCase):
    def health_check(self, service, port):
        command = json.loads(re.search(r"HEALTHCHECK .*\\\n +CMD (\[.*\])", (REPOSITORY / f"services/{service}/Dockerfile").read_text()).group(1))
        environment = {"PATH": "/usr/bin:/bin", "VOICE__SERVER__PORT": str(port)}
        return subprocess.run(command, env=environment, timeout=10, capture_output=True).returncode

    def test_the_health_check_tells_life_from_death(self):
        for service in SERVICES:
            with servers.Server(servers.binary(service)) as server:
                server.until_ready()
                port = server.address().rpartition(":")[2]
                self.assertEqual(self.health_check(service, port), 0)
            self.assertNotEqual(self.health_check(service, port), 0, "a dead server is healthy")

    def test_the_health_check_wants_200(self):
        class Refusing(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(503 if self.path == "/livez" else 200)
                self.end_headers()

            def log_message(self, *_arguments):
                pass
        with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as stalled:
            threading.Thread(target=stalled.serve_forever, daemon=True).start()
            self.assertNotEqual(self.health_check("asr", stalled.server_port), 0)
            stalled.shutdown()

    def test_the_servers_have_what_the_adapter_reads(self):
        text = (REPOSITORY / "config/kubernetes/prometheus-adapter.yaml").read_text()
        for service, model in (("asr", "whisper"), ("tts", "language-model")):
            program = servers.binary(service)
            with servers.Server(program) as server:
                server.until_ready()
                metrics = server.get("/metrics")[1]
            self.assertIn(f"\n{service}_connections ", metrics)
            self.assertRegex(text, rf'seriesQuery: .{service}_queue_wait_seconds_bucket\{{')
            self.assertIn(f'model="{model}"', text)
            self.assertRegex(metrics, rf'\n{service}_queue_wait_seconds_bucket\{{lane="urgent",model="{model}",le=')


if __name__ == "__main__":
    unittest.main()
