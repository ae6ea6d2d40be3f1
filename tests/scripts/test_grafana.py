"""`config/grafana`: the dashboards are what the script makes, and Prometheus can read every query.

That the metrics exist is tested where the servers run: `tests/e2e/monitoring.rs`.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_prometheus import ROOT, promtool  # noqa: E402

FOLDER = ROOT / "config" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))}
# What Grafana puts in the place of its variables.
FILLED = {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*", "$host": ".*", "$gpu": ".*"}


def panels(kinds=None):
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            if panel["type"] != "row" and (kinds is None or panel["type"] in kinds):
                yield f"{name}: {panel['title']}", panel


def queries():
    for name, panel in panels():
        for target in panel["targets"]:
            yield name, target["expr"]
    for name, board in BOARDS.items():
        for annotation in board["annotations"]["list"]:
            yield f"{name}: annotation", annotation["expr"]


class Dashboards(unittest.TestCase):
    def test_they_are_what_the_script_makes(self):
        command = [sys.executable, str(FOLDER / "make_dashboards.py"), "--check"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_there_is_one_for_each_matter_under_a_fixed_address(self):
        uids = {name: board["uid"] for name, board in BOARDS.items()}
        self.assertEqual(uids, {name: f"voice-{name}" for name in ("asr", "gpu", "overview", "tts")})

    def test_prometheus_reads_every_query(self):
        rules = []
        for name, expr in queries():
            for variable, value in FILLED.items():
                expr = expr.replace(variable, value)
            self.assertNotIn("$", expr, name)
            rules.append({"record": f"query:{len(rules)}", "expr": expr, "labels": {"of": name}})
        self.assertGreater(len(rules), 60)
        with tempfile.TemporaryDirectory() as folder:
            # JSON is YAML.
            pathlib.Path(folder, "queries.yml").write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
            code, said = promtool("check", "rules", "queries.yml", cwd=folder)
        self.assertEqual(code, 0, said)
        self.assertIn(f"{len(rules)} rules found", said)

    def test_rules_that_are_named_are_there(self):
        recorded = set(re.findall(r"record: (\S+)", (ROOT / "config/prometheus/rules.yml").read_text()))
        named = set()
        for _, expr in queries():
            named |= set(re.findall(r"\b(?:job|instance|host):\w+(?::\w+)?", expr))
        self.assertTrue(named)
        self.assertLessEqual(named, recorded)

    def test_variables_that_are_used_are_defined_and_the_other_way_round(self):
        for name, board in BOARDS.items():
            defined = {it["name"] for it in board["templating"]["list"]}
            text = json.dumps([board["panels"], [it["definition"] for it in board["templating"]["list"]]])
            used = set(re.findall(r"\$([a-z]+)", text)) - {"__rate_interval"}
            self.assertEqual(used, defined, name)

    def test_every_panel_says_what_it_shows_in_which_unit(self):
        for name, panel in panels():
            self.assertRegex(panel["description"], r"^.{15,}[.:]?$", name)
            unit = panel["fieldConfig"]["defaults"]["unit"]
            self.assertIn(unit, {"s", "none", "bytes", "ops", "reqps", "percentunit", "celsius", "watt", "joule"}, name)
            if re.search(r"_seconds_bucket|latency|_wait_seconds:", panel["targets"][0]["expr"]):
                self.assertEqual(unit, "s", name)
            if "bytes" in panel["targets"][0]["expr"]:
                self.assertEqual(unit, "percentunit" if " / " in panel["targets"][0]["expr"] else "bytes", name)

    def test_panels_lie_side_by_side(self):
        for name, board in BOARDS.items():
            taken, ids = set(), set()
            for panel in board["panels"]:
                at = panel["gridPos"]
                self.assertLessEqual(at["x"] + at["w"], 24, name)
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                self.assertFalse(taken & cells, f"{name}: {panel['title']} lies on another")
                taken |= cells
                ids.add(panel["id"])
            self.assertEqual(len(ids), len(board["panels"]))

    def test_percentiles_are_of_summed_buckets_and_counters_are_rated(self):
        n_percentiles = 0
        for name, expr in queries():
            for quantile in re.finditer(r"histogram_quantile\((.*?)\)\)\)", expr):
                n_percentiles += 1
                self.assertRegex(quantile[1], r"^0\.\d+, sum by \((\w+, )*le\) \(rate\(\w+_bucket\{", name)
            self.assertEqual(expr.count("histogram_quantile"), len(re.findall(r"histogram_quantile\(0", expr)), name)
            for counter in re.finditer(r"(\w*\() *(\w+_(?:total|bucket|sum|count))\b", expr):
                self.assertIn(counter[1], ("rate(", "increase("), f"{name}: {counter[2]}")
        self.assertGreater(n_percentiles, 25)

    def test_latencies_have_a_heat_map(self):
        expressions = " ".join(panel["targets"][0]["expr"] for _, panel in panels({"heatmap"}))
        for metric in ("asr_final_latency_seconds", "tts_first_chunk_seconds", "tts_real_time_factor"):
            self.assertIn(f"sum by (le) (increase({metric}_bucket", expressions)

    def test_what_is_provisioned_is_what_they_ask(self):
        source = (FOLDER / "provisioning/datasources/prometheus.yaml").read_text()
        uid = re.search(r"^ +uid: (\S+)", source, re.MULTILINE)[1]
        for name, panel in panels():
            for it in [panel, *panel["targets"]]:
                self.assertEqual(it["datasource"], {"type": "prometheus", "uid": uid}, name)
        interval = re.search(r"timeInterval: (\S+)", source)[1]
        self.assertIn(f"scrape_interval: {interval}\n", (ROOT / "config/prometheus/prometheus.yml").read_text())


if __name__ == "__main__":
    unittest.main()
