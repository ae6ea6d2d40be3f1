"""The documents for operators: their commands run, and what those name that cannot run here exists."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import servers

ROOT = servers.REPOSITORY
DOCUMENTS = ("PRODUCTION.md", "HARDWARE_OPTIMIZATION.md", "SCALING.md")
UNIT = re.compile(r"^(asr@|tts@|voice)")


def text(name):
    return (ROOT / "docs" / name).read_text()


def blocks(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), re.S | re.M)


def lines(language):
    return [(name, line.removeprefix("$ ")) for name in DOCUMENTS for block in blocks(name, language) for line in block.splitlines()]


class Run(unittest.TestCase):
    """Each document in a folder that looks like the checkout, so that nothing is left behind in it."""

    def check(self, name, at_least):
        binaries = servers.binary("asr").parent
        if not (binaries / "tts").is_file():
            self.skipTest("tts is not built")
        with tempfile.TemporaryDirectory() as folder:
            for it in ROOT.iterdir():
                if it.name not in ("target", ".git"):
                    (pathlib.Path(folder) / it.name).symlink_to(it)
            (pathlib.Path(folder) / "target").mkdir()
            (pathlib.Path(folder) / "target/release").symlink_to(binaries)
            environment = {**os.environ, "CARGO_TARGET_DIR": "target", "ORT_DISABLE_TELEMETRY": "1"}
            commands = blocks(name, "sh")
            self.assertGreaterEqual(len(commands), at_least)
            for block in commands:
                with self.subTest(block=block):
                    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=folder, env=environment, capture_output=True,
                                         text=True, timeout=300)
                    self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            return [it.name for it in pathlib.Path(folder).iterdir()]

    def test_production(self):
        left = self.check("PRODUCTION.md", 3)
        self.assertIn("keys.txt", left)
        self.assertNotIn("look", left, "a dry run did something")

    def test_hardware(self):
        self.check("HARDWARE_OPTIMIZATION.md", 2)

    def test_scaling(self):
        self.check("SCALING.md", 1)


class Named(unittest.TestCase):
    def test_every_command_begins_with_a_prompt(self):
        for name in DOCUMENTS:
            for block in blocks(name, "console"):
                for line in block.splitlines():
                    self.assertTrue(line.startswith("$ "), f"{name}: {line}")

    def test_scripts_and_their_options_exist(self):
        n_seen = 0
        for name, line in lines("console") + lines("sh"):
            for script, arguments in re.findall(r"(?:/opt/voice/)?(scripts/\w+\.sh)([^|;&#]*)", line):
                n_seen += 1
                source = (ROOT / script).read_text()
                if script == "scripts/download_models.sh":
                    source += (ROOT / "scripts/download_models.py").read_text()
                if "/opt/voice/scripts" in line:
                    self.assertIn(pathlib.Path(script).stem, (ROOT / "scripts/install.sh").read_text(), f"{name}: {line}")
                for option in re.findall(r"(?<= )--[a-z-]+", arguments):
                    self.assertIn(option, source, f"{name}: {line}")
        self.assertGreater(n_seen, 15)

    def test_units_exist(self):
        units = {path.name for path in (ROOT / "systemd").iterdir()}
        n_seen = 0
        for name, line in lines("console"):
            for command in re.findall(r"systemctl ([^;&|#]*)", line):
                for word in command.replace("'", "").split():
                    if UNIT.match(word):
                        n_seen += 1
                        template = re.sub(r"@.*", "@", word)
                        self.assertTrue({template, f"{template}.service", f"{word}.service"} & units, f"{name}: {line}")
        self.assertGreater(n_seen, 5)

    def test_files_of_the_checkout_exist(self):
        for name in DOCUMENTS:
            for path in re.findall(r"\b(?:config|services|systemd|nginx|docs)/[\w./-]+\w", text(name)):
                if not path.startswith("nginx/voice"):
                    self.assertTrue((ROOT / path).exists(), f"{name}: {path}")
            for path in re.findall(r"\]\(([A-Z_]+\.md)\)", text(name)):
                self.assertTrue((ROOT / "docs" / path).exists(), f"{name}: {path}")

    def test_settings_exist(self):
        known = set()
        for service in ("asr", "tts"):
            section = None
            for line in (ROOT / f"config/{service}.yaml").read_text().splitlines():
                if found := re.match(r"^(\w+):", line):
                    section = found[1]
                elif found := re.match(r"^  (\w+):", line):
                    known.add(f"{section}.{found[1]}")
        sections = {it.split(".")[0] for it in known}
        n_seen = 0
        for name in DOCUMENTS:
            for key in re.findall(r"`([a-z]+\.[a-z_]+)(?:[:`]| =)", text(name)):
                if key.split(".")[0] in sections and not key.endswith((".sh", ".yaml", ".conf", ".rs", ".md")):
                    n_seen += 1
                    self.assertIn(key, known, name)
        self.assertGreater(n_seen, 25)

    def test_alerts_and_metrics_exist(self):
        alerts = set(re.findall(r"alert: (\w+)", (ROOT / "config/prometheus/alerts.yml").read_text()))
        playbook = text("PRODUCTION.md").split("## When something is wrong")[1]
        named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", playbook))
        self.assertGreater(len(named), 5)
        self.assertLessEqual(named, alerts)
        metrics = "".join(path.read_text() for path in (ROOT / "services").rglob("metrics*.rs"))
        for name in DOCUMENTS:
            for metric in re.findall(r"`(?:asr|tts)_([a-z_]+)`", text(name)):
                self.assertIn(metric, metrics, name)

    def test_figures_are_those_of_the_files(self):
        production = text("PRODUCTION.md")
        for service, stop in (("asr", "150"), ("tts", "150")):
            self.assertIn(f"TimeoutStopSec={stop}s", (ROOT / f"systemd/{service}@.service").read_text())
        self.assertIn("`TimeoutStopSec` (150 s)", production)
        defaults = {key: json.loads(value) for key, value in
                    re.findall(r"^  (max_connections|max_upload_bytes|slow_reader_ms|deadline_ms): (\d+)$",
                               (ROOT / "config/asr.yaml").read_text(), re.M)}
        self.assertIn(f"| `server.max_connections` | {defaults['max_connections']} |", production)
        self.assertIn(f"| {defaults['max_upload_bytes'] >> 20} MiB | 413 |", production)
        self.assertIn(f"`drain.deadline_ms` ({defaults['deadline_ms'] // 1000} s)", production)
        self.assertIn(f"| {defaults['slow_reader_ms'] // 1000} s | close 1013 |", production)


if __name__ == "__main__":
    unittest.main()
