"""`config/prometheus`: read by promtool, each alert with a case in which it fires and one in which it does not.

That the metrics exist is tested where the servers run: `tests/e2e/monitoring.rs`.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "config" / "prometheus"
ALERTS = (FOLDER / "alerts.yml").read_text()
TESTS = (FOLDER / "alerts_test.yml").read_text()


def promtool(*arguments, cwd=FOLDER):
    """What promtool says, and whether it is content."""
    if shutil.which("promtool") is None:
        if os.environ.get("CI") == "true":
            raise AssertionError("promtool is missing: scripts/setup.sh --tests installs it")
        raise unittest.SkipTest("promtool is not installed (Debian's package `prometheus`)")
    done = subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def cases():
    """The alert of each case, and whether it is to fire."""
    for case in TESTS.split("\n  - name: ")[1:]:
        yield re.search(r"alertname: (\w+)", case)[1], "exp_labels:" in case, case


class Rules(unittest.TestCase):
    def test_promtool_reads_everything(self):
        for check in (["check", "config", "prometheus.yml"], ["check", "rules", "rules.yml", "alerts.yml"]):
            code, said = promtool(*check)
            self.assertEqual((code, "FAILED" in said), (0, False), said)

    def test_alerts_fire_when_they_should_and_only_then(self):
        code, said = promtool("test", "rules", "alerts_test.yml")
        self.assertEqual(code, 0, said)

    def test_a_rule_that_says_something_else_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
            changed = ALERTS.replace("instance:draining == 1", "instance:draining == 2")
            self.assertNotEqual(changed, ALERTS)
            pathlib.Path(folder, "alerts.yml").write_text(changed)
            code, said = promtool("test", "rules", "alerts_test.yml", cwd=folder)
        self.assertNotEqual(code, 0)
        self.assertIn("DrainTakesLong", said)

    def test_every_alert_has_a_case_of_either_kind(self):
        alerts = re.findall(r"- alert: (\w+)", ALERTS)
        self.assertGreater(len(alerts), 15)
        self.assertEqual(len(alerts), len(set(alerts)))
        found = {(alert, fires) for alert, fires, _ in cases()}
        self.assertEqual(found, {(alert, fires) for alert in alerts for fires in (True, False)})

    def test_a_case_is_called_what_it_is(self):
        for alert, fires, case in cases():
            self.assertTrue(case.startswith(f'"{alert}{"" if fires else " does not fire"}: '), case.split("\n")[0])

    def test_every_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do(self):
        for rule in ALERTS.split("- alert: ")[1:]:
            name = rule.split("\n")[0]
            self.assertRegex(rule, r"labels: \{severity: (critical|warning)\}", name)
            for key in ("summary", "action"):
                self.assertRegex(rule, rf"{key}: ['\"].{{20,}}['\"]\n", name)

    def test_every_group_is_evaluated_in_the_tests(self):
        order = re.search(r"group_eval_order: \[(.*)\]", TESTS)[1].split(", ")
        groups = re.findall(r"^  - name: (\w+)", (FOLDER / "rules.yml").read_text() + ALERTS, re.MULTILINE)
        self.assertEqual(order, groups)

    def test_the_documentation_tells_of_every_alert(self):
        told = (ROOT / "docs" / "MONITORING.md").read_text()
        for alert in re.findall(r"- alert: (\w+)", ALERTS):
            self.assertIn(f"`{alert}`", told)


class Targets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def make(self, text):
        listing = self.folder / "instances.tsv"
        listing.write_text(text)
        command = [sys.executable, str(FOLDER / "targets.py"), str(listing), "--out", str(self.folder / "targets")]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def targets(self, service):
        return json.loads((self.folder / "targets" / f"{service}.json").read_text())

    def test_every_instance_is_watched_even_out_of_rotation(self):
        done = self.make("asr\tasr-8001\t127.0.0.1:8001\tup\nasr\tasr-8011\t10.0.0.2:8011\tdown\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "asr: 127.0.0.1:8001 10.0.0.2:8011\ntts: none\n")
        self.assertEqual(self.targets("asr"), [{"targets": ["127.0.0.1:8001", "10.0.0.2:8011"]}])
        self.assertEqual(self.targets("tts"), [{"targets": []}])
        self.assertEqual(sorted(it.name for it in (self.folder / "targets").iterdir()), ["asr.json", "tts.json"])

    def test_prometheus_reads_what_is_written(self):
        self.make("asr\ta\t127.0.0.1:8001\tup\ntts\tb\t127.0.0.1:8002\tup\n")
        for file in FOLDER.glob("*.yml"):
            shutil.copy(file, self.folder)
        code, said = promtool("check", "config", "prometheus.yml", cwd=self.folder)
        self.assertEqual(code, 0, said)

    def test_a_list_that_is_none_changes_nothing(self):
        self.make("asr\ta\t127.0.0.1:8001\tup\n")
        for wrong in ("asr a 127.0.0.1:8011 up\n", "gateway\tg\t127.0.0.1:8004\tup\n"):
            done = self.make("tts\tb\t127.0.0.1:8002\tup\n" + wrong)
            self.assertEqual(done.returncode, 1)
            self.assertIn("line 2", done.stderr)
        self.assertEqual(self.targets("asr"), [{"targets": ["127.0.0.1:8001"]}])

    def test_the_shipped_lists_hold_the_usual_ports(self):
        for service, ports in (("asr", (8001, 8011)), ("tts", (8002, 8012))):
            shipped = json.loads((FOLDER / "targets" / f"{service}.json").read_text())
            self.assertEqual(shipped, [{"targets": [f"127.0.0.1:{port}" for port in ports]}])


if __name__ == "__main__":
    unittest.main()
