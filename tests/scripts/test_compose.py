"""The compose files: their parts exist and fit one another. What is not seen here is a container that runs."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).parents[2]
COMPOSE = REPOSITORY / "config/compose"
SERVICES = {"asr": 8001, "tts": 8002}
sys.path.insert(0, str(REPOSITORY / ".native/python"))
try:
    import yaml
except ImportError:
    if os.environ.get("CI") == "true":
        raise
    yaml = None


@unittest.skipUnless(yaml, "PyYAML is missing: scripts/setup.sh --tests installs it")
class Compose(unittest.TestCase):
    def setUp(self):
        self.compose = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
        self.gpu = yaml.safe_load((COMPOSE / "gpu.yaml").read_text())

    def instances(self):
        return [name for name in self.compose["services"] if re.fullmatch(r"(asr|tts)-\d", name)]

    def test_what_is_mounted_and_built_from_exists(self):
        n_seen = 0
        for name, service in self.compose["services"].items():
            for volume in service.get("volumes", ()):
                source = volume.split(":")[0]
                if source.startswith("."):
                    n_seen += 1
                    self.assertTrue((COMPOSE / source).exists(), f"{name}: {source}")
                else:
                    self.assertIn(source, self.compose["volumes"])
            if "build" in service:
                context = (COMPOSE / service["build"]["context"]).resolve()
                self.assertEqual(context, REPOSITORY.resolve())
                self.assertIn(f" AS {service['build']['target']}\n", (context / service["build"]["dockerfile"]).read_text())
        self.assertGreaterEqual(n_seen, 7)

    def test_the_lists_of_instances_agree(self):
        expected = {f"{name}:{SERVICES[name[:3]]}" for name in self.instances()}
        self.assertEqual(len(expected), 4)
        scraped = {it for service in SERVICES for group in json.loads((COMPOSE / f"prometheus-targets/{service}.json").read_text())
                   for it in group["targets"]}
        self.assertEqual(scraped, expected)
        self.assertEqual({it["address"] for it in json.loads((COMPOSE / "instances.json").read_text())}, expected)

    def test_nginx_s_list_is_the_one_that_the_script_makes(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(COMPOSE / "instances.tsv", folder)
            subprocess.run([REPOSITORY / "scripts/nginx_upstreams.sh", "--list", f"{folder}/instances.tsv", "--out", folder], check=True,
                           timeout=30)
            for name in ("upstreams.conf", "instances.json"):
                self.assertEqual((COMPOSE / name).read_text(), pathlib.Path(folder, name).read_text(), name)

    def test_prometheus_reads_its_targets_where_they_are_mounted(self):
        path = REPOSITORY / "config/prometheus/prometheus.yml"
        files = re.findall(r"files: \[(.*?)\]", path.read_text())
        self.assertEqual(files, ["targets/asr.json", "targets/tts.json"])

    def test_grafana_is_told_what_its_provisioning_asks_for(self):
        asked = set()
        for path in (REPOSITORY / "config/grafana/provisioning").rglob("*.yaml"):
            asked |= set(re.findall(r"\$\{(\w+)\}", path.read_text()))
        self.assertTrue(asked)
        grafana = self.compose["services"]["grafana"]
        self.assertLessEqual(asked, set(grafana["environment"]))
        dashboards = grafana["environment"]["VOICE_DASHBOARDS"]
        self.assertIn(f"../grafana/dashboards:{dashboards}:ro", grafana["volumes"])
        self.assertEqual(grafana["environment"]["VOICE_PROMETHEUS_URL"], "http://prometheus:9090")

    def test_a_container_has_time_to_drain(self):
        for name in self.instances():
            text = (REPOSITORY / f"config/{name[:3]}.yaml").read_text()
            drain_s = int(re.search(r"^  deadline_ms: (\d+)$", text, re.M).group(1)) / 1000
            patience = int(self.compose["services"][name]["stop_grace_period"].removesuffix("s"))
            self.assertGreaterEqual(patience, drain_s + 10)
            # What depends on others is stopped before them: nginx would be killed with every session before anybody drains.
            nginx = self.compose["services"]["nginx"]
            self.assertNotIn("depends_on", nginx)
            self.assertGreaterEqual(int(nginx["stop_grace_period"].removesuffix("s")), patience)

    def test_nginx_s_logs_are_the_container_s(self):
        logs = set(re.findall(r"^\s*(?:error|access)_log (/var/log/\S+) ", (REPOSITORY / "nginx/voice.conf").read_text(), re.M))
        self.assertEqual(len(logs), 2)
        (command,) = self.compose["services"]["nginx"]["command"][2:]
        self.assertEqual(set(re.findall(r"/dev/std\w+ (\S+)", command)), logs)

    def test_only_nginx_is_open_to_other_machines(self):
        open_to_all = [(name, port) for name, service in self.compose["services"].items() for port in service.get("ports", ())
                       if not port.startswith("127.0.0.1:")]
        self.assertEqual(open_to_all, [("nginx", "8000:8000"), ("nginx", "8003:8003")])

    def test_the_gpu_file_changes_every_instance(self):
        self.assertEqual(list(self.gpu["services"]), self.instances())
        for name, service in self.gpu["services"].items():
            (device,) = service["deploy"]["resources"]["reservations"]["devices"]
            self.assertEqual(device["device_ids"], ["0" if name.startswith("asr") else "1"])
            self.assertEqual(service["build"]["target"], "cuda")
            self.assertIn(" AS cuda\n", (REPOSITORY / f"services/{name[:3]}/Dockerfile").read_text())


if __name__ == "__main__":
    unittest.main()
