"""The page for operators, `nginx/status`: its arithmetic, and what it tells of instances that are well, ill and gone.

Its scripts run in node, the instances are played, and between them is a real nginx.
"""

import contextlib
import html.parser
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from nginx_front import ROOT, Front, free_ports  # noqa: E402

PAGE = ROOT / "nginx" / "status"


@contextlib.contextmanager
def modules(script):
    """A folder with the page's modules and a `main.js` that has them at hand."""
    if shutil.which("node") is None:
        if os.environ.get("CI") == "true":
            raise AssertionError("node is missing")
        raise unittest.SkipTest("node is not installed")
    with tempfile.TemporaryDirectory() as folder:
        for file in PAGE.glob("*.js"):
            shutil.copy(file, folder)
        # A browser is told by the page that these are modules, node by this.
        pathlib.Path(folder, "package.json").write_text('{"type": "module"}')
        pathlib.Path(folder, "main.js").write_text(
            'import { createInterface } from "node:readline";\n'
            'import * as figures from "./figures.js";\nimport { Watch, summary } from "./watch.js";\n'
            "const say = (it) => console.log(JSON.stringify(it));\n" + script)
        yield folder


def node(script, *arguments):
    """What a script prints, as JSON."""
    with modules(script) as folder:
        done = subprocess.run(["node", "main.js", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def buckets(name, counts, labels=""):
    return "".join(f'{name}_bucket{{{labels}{"," if labels else ""}le="{bound}"}} {n}\n' for bound, n in counts)


class Played(http.server.ThreadingHTTPServer):
    """An instance that answers as a test tells it."""

    daemon_threads = True

    def __init__(self, name, port=0):
        self.name, self.service = name, name.partition("-")[0]
        self.health = {"status": "ok", "service": self.service, "version": "1.2.3", "model": "demo", "device": "cpu", "uptime_s": 3700,
                       "connections": 7, "max_connections": 30, "reasons": [], "draining": False}
        self.metrics = ""
        self.delay = 0
        super().__init__(("127.0.0.1", port), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """Somebody who did not wait for the answer is no news."""

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        played = self.server
        time.sleep(played.delay)
        health = played.health
        body = played.metrics if self.path == "/metrics" else health if isinstance(health, str) else json.dumps(health)
        self.send_response(503 if "starting" in body and self.path == "/health" else 200)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Arithmetic(unittest.TestCase):
    def test_text_is_read(self):
        text = ("# HELP a_total x{y=\"z\"} 1\n# TYPE a_total counter\na_total{k=\"v\",other=\"with \\\"quotes\\\", and } brace\"} 3\n"
                "b 1.5e-3\nc_bucket{le=\"+Inf\"} 2\nnonsense\n{} 5\nd NaN\n")
        [series] = node("say(figures.parse(process.argv[2]))", text)
        self.assertEqual([(it["name"], it["value"]) for it in series], [("a_total", 3), ("b", 0.0015), ("c_bucket", 2), ("d", None)])
        self.assertEqual(series[0]["labels"], {"k": "v", "other": 'with \\"quotes\\", and } brace'})

    def test_percentiles_are_those_of_prometheus(self):
        # By hand: rank 50 of 100 lies at the end of the first bucket, 95 lies 45 of 48 into the second.
        counts = [("0.1", 50), ("0.5", 98), ("1", 99), ("+Inf", 100)]
        script = """
            const h = figures.histogram(figures.parse(process.argv[2]), "x_bucket");
            say([0, 0.25, 0.5, 0.95, 0.985, 1].map((q) => figures.quantile(q, h)));
            say([figures.quantile(0.5, null), figures.quantile(0.5, figures.since(h, h)), figures.count(h), figures.count(null)]);
        """
        quantiles, empty = node(script, buckets("x", counts))
        for found, wanted in zip(quantiles[1:], [0.05, 0.1, 0.1 + 0.4 * 45 / 48, 0.75, 1.0]):
            self.assertAlmostEqual(found, wanted)
        self.assertEqual((quantiles[0], empty), (None, [None, None, 100, 0]))

    def test_histograms_of_several_series_are_added_and_subtracted(self):
        first = buckets("x", [("0.1", 1), ("+Inf", 2)], 'lane="a"') + buckets("x", [("0.1", 10), ("+Inf", 20)], 'lane="b"')
        later = buckets("x", [("0.1", 4), ("+Inf", 9)], 'lane="a"') + buckets("x", [("0.1", 10), ("+Inf", 20)], 'lane="b"')
        script = """
            const of = (n, wanted) => figures.histogram(figures.parse(process.argv[n]), "x_bucket", wanted);
            const list = (it) => it && [...it.values()];
            say(list(of(2)));
            say(list(of(2, (it) => it.lane === "b")));
            say(list(figures.since(of(3), of(2))));
            say(list(figures.since(of(2), of(3))));
            say(list(figures.histogram([], "x_bucket")));
        """
        both, one, newly, restarted, none = node(script, first, later)
        self.assertEqual((both, one, newly, none), ([11, 22], [10, 20], [3, 7], None))
        self.assertEqual(restarted, [11, 22], "a count that fell is of a new process")

    def test_values_are_worded_for_people(self):
        words = node("""
            say([null, 0, 0.0004, 0.2154, 0.9996, 1.24, 61].map(figures.time));
            say([undefined, 0.4, 42, 60, 3600, 11220, 183600].map(figures.age));
            say([NaN, 512, 1536, 2147483648, 1.2e11].map(figures.bytes));
            say([NaN, 0.954].map(figures.percent));
        """)
        self.assertEqual(words, [
            ["–", "0 ms", "< 1 ms", "215 ms", "1.0 s", "1.2 s", "61 s"],
            ["–", "0 s", "42 s", "1 min", "1 h", "3 h 7 min", "2 d 3 h"],
            ["–", "512 B", "1.5 KiB", "2.0 GiB", "112 GiB"],
            ["–", "95 %"],
        ])


def asr_metrics(n=0, started=100, lost=0, waiting=3):
    latency = buckets("asr_final_latency_seconds", [("0.1", 0), ("0.2", 10), ("0.4", 20 + n), ("+Inf", 20 + n)])
    urgent = buckets("asr_queue_wait_seconds", [("0.1", 20), ("+Inf", 20)], 'model="whisper",lane="urgent"')
    files = buckets("asr_queue_wait_seconds", [("0.1", 0), ("+Inf", 9000)], 'model="whisper",lane="background"')
    return latency + urgent + files + (
        f'asr_audio_discarded_seconds_total{{reason="failed"}} {lost}\nasr_audio_discarded_seconds_total{{reason="reset"}} 99\n'
        f'asr_rejected_total{{reason="at_capacity"}} 4\nasr_rejected_total{{reason="not_found"}} 50\n'
        f'asr_queue_depth{{model="whisper",lane="urgent"}} {waiting}\nasr_queue_depth{{model="silero",lane="urgent"}} 1\n'
        f"process_start_time_seconds {started}\nprocess_resident_memory_bytes 104857600\n")


LOOK = """
    const [origin, patience] = process.argv.slice(2);
    const watch = new Watch(origin, { patience: Number(patience ?? 3000) });
    const seen = await watch.look();
    say({ ...seen, summary: summary(seen) });
"""


class Watching(unittest.TestCase):
    def start(self, *names):
        played = {name: Played(name) for name in names}
        for it in played.values():
            self.addCleanup(it.stop)
        self.front = Front(list(played.values()))
        self.addCleanup(self.front.stop)
        return played

    def look(self, *arguments):
        [seen] = node(LOOK, f"http://127.0.0.1:{self.front.status}", *arguments)
        return seen, {it["name"]: it for it in seen["instances"]}

    def test_each_state_is_told(self):
        played = self.start("asr-8001", "asr-8011", "asr-8021", "asr-8031", "tts-8002", "tts-8012", "tts-8022")
        played["asr-8001"].metrics = asr_metrics()
        played["asr-8011"].health.update(status="draining", draining=True, reasons=["draining"])
        played["asr-8021"].health.update(status="unready", connections=30, reasons=["all 30 places are taken"])
        played["asr-8031"].health.update(status="starting", reasons=["waiting for the models"])
        played["tts-8002"].health = "<h1>not ours</h1>"
        played["tts-8012"].stop()
        played["tts-8022"].health["service"] = "asr"
        self.front.list("--down", "asr-8011")
        seen, by_name = self.look()
        self.assertIsNone(seen["problem"])
        states = {name: (it["state"], it["inRotation"]) for name, it in by_name.items()}
        self.assertEqual(states, {"asr-8001": ("ready", True), "asr-8011": ("draining", False), "asr-8021": ("full", True),
                                  "asr-8031": ("starting", True), "tts-8002": ("down", True), "tts-8012": ("down", True),
                                  "tts-8022": ("down", True)})
        self.assertEqual(by_name["tts-8002"]["reasons"], ["what answers is not ours"])
        self.assertEqual(by_name["tts-8012"]["reasons"], ["nginx cannot reach it"])
        self.assertEqual(by_name["tts-8022"]["reasons"], ["something else answers there"])
        self.assertEqual(by_name["asr-8021"]["reasons"], ["all 30 places are taken"])
        self.assertEqual(seen["summary"], "asr: 1 of 4 ready. tts: 0 of 3 ready. asr-8011 is draining. asr-8021 is full. "
                                          "asr-8031 is starting. tts-8002 is down. tts-8012 is down. tts-8022 is down.")
        ready = by_name["asr-8001"]
        self.assertEqual((ready["sessions"], ready["places"], ready["uptime"], ready["version"]), (7, 30, 3700, "1.2.3"))
        figures = ready["figures"]
        self.assertEqual((figures["queue"], figures["memory"], figures["gpus"]), (4, 104857600, []))
        self.assertEqual(figures["latency"]["ever"]["n"], 20)
        self.assertAlmostEqual(figures["latency"]["ever"]["p95"], 0.38)
        self.assertAlmostEqual(figures["wait"]["ever"]["p95"], 0.095, msg="files may wait")
        self.assertEqual(figures["lost"]["ever"], 0, "what a client dropped is not lost")
        self.assertEqual(figures["refused"]["ever"], 4)

    def test_an_instance_that_hangs_does_not_stop_the_page(self):
        played = self.start("asr-8001", "tts-8002")
        played["asr-8001"].delay = 25
        began = time.monotonic()
        _, by_name = self.look("1000")
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual((by_name["asr-8001"]["state"], by_name["asr-8001"]["reasons"]), ("down", ["no answer in time"]))
        self.assertEqual(by_name["tts-8002"]["state"], "ready")

    def test_lately_is_since_the_last_minute_and_a_restart_begins_anew(self):
        played = self.start("asr-8001")["asr-8001"]
        # A clock by hand; each line from here asks for the next look, so that the instance can change in between.
        script = """
            let now = 0;
            const watch = new Watch(process.argv[2], { clock: () => now });
            for await (const line of createInterface({ input: process.stdin })) {
                now = Number(line) * 1000;
                const { latency, lost } = (await watch.look()).instances[0].figures;
                say([latency.lately.n, latency.ever.n, lost.lately]);
            }
        """
        with modules(script) as folder:
            command = ["node", "main.js", f"http://127.0.0.1:{self.front.status}"]
            with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
                def at(second, **metrics):
                    played.metrics = asr_metrics(**metrics)
                    child.stdin.write(f"{second}\n")
                    child.stdin.flush()
                    return json.loads(child.stdout.readline())

                self.assertEqual(at(0), [0, 20, None], "what was before the first look is not lately")
                self.assertEqual(at(2, n=5, lost=1.5), [5, 25, 1.5])
                self.assertEqual(at(59, n=8, lost=1.5), [8, 28, 1.5])
                # The first look is more than a minute ago, the second is not.
                self.assertEqual(at(61, n=9, lost=1.5), [4, 29, 0])
                self.assertEqual(at(63, n=2, started=200), [22, 22, 0])
                child.stdin.close()

    def test_it_says_so_when_nothing_can_be_reached(self):
        [port] = free_ports(1)
        [seen] = node(LOOK, f"http://127.0.0.1:{port}")
        self.assertEqual((seen["instances"], seen["problem"]), ([], "The list of instances cannot be read: nginx does not answer."))
        self.assertEqual(seen["summary"], seen["problem"])

    def test_nginx_serves_the_page_with_the_kinds_that_browsers_ask_for(self):
        self.start("asr-8001")
        for path, kind in [("/", "text/html"), ("/status.css", "text/css"), ("/status.js", "text/javascript")]:
            status, headers, body = self.front.ask(path, port=self.front.status)
            self.assertEqual((status, headers["Content-Type"]), (200, kind), path)
            self.assertEqual(body, (PAGE / ("index.html" if path == "/" else path[1:])).read_bytes())

    def test_a_browser_shows_it(self):
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            self.skipTest("no browser is installed")
        played = self.start("asr-8001", "tts-8002")
        played["asr-8001"].metrics = asr_metrics()
        played["tts-8002"].health["model"] = "<b>bold</b>"
        played["tts-8002"].metrics = ('gpu_memory_total_bytes{gpu="0"} 85899345920\ngpu_memory_used_bytes{gpu="0"} 42949672960\n'
                                      'gpu_utilization_ratio{gpu="0"} 0.5\n')
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000", "--dump-dom",
                   f"http://127.0.0.1:{self.front.status}/"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False).stdout
        text = re.sub(r"<[^>]*>|\s+", " ", shown)
        for part in ("asr: 1 of 1 ready. tts: 1 of 1 ready.", "asr-8001", "7 of 30", "p50 200 ms, p95 380 ms", "40 GiB of 80 GiB", "50 %"):
            self.assertIn(part, re.sub(r" +", " ", text))
        self.assertIn("&lt;b&gt;bold", shown, "what comes is text")


class Document(unittest.TestCase):
    def setUp(self):
        self.found = []
        collected = self.found

        class Reader(html.parser.HTMLParser):
            def handle_starttag(self, tag, attrs):
                collected.append((tag, dict(attrs)))

        Reader().feed((PAGE / "index.html").read_text())

    def test_nothing_comes_from_elsewhere(self):
        named = [value for _, attrs in self.found for key, value in attrs.items() if key in ("src", "href")]
        files = [it for it in named if it != "data:,"]
        self.assertEqual(sorted(files), ["status.css", "status.js"])
        for file in PAGE.iterdir():
            text = file.read_text()
            self.assertNotRegex(text, r"https?://|@import|innerHTML|insertAdjacentHTML|document\.write|eval\(", file.name)
            for imported in re.findall(r'from "\./(\S+)"', text):
                self.assertTrue((PAGE / imported).is_file(), imported)
        policy = next(attrs["content"] for tag, attrs in self.found if attrs.get("http-equiv") == "Content-Security-Policy")
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)

    def test_it_can_be_read_aloud(self):
        tags = [tag for tag, _ in self.found]
        self.assertEqual(dict(self.found)["html"]["lang"], "en")
        self.assertEqual((tags.count("h1"), tags.count("main")), (1, 1))
        for tag, attrs in self.found:
            if tag == "th":
                self.assertEqual(attrs.get("scope"), "col")
        status = [attrs["id"] for _, attrs in self.found if attrs.get("role") == "status"]
        self.assertEqual(status, ["summary"], "one place is read aloud, and not every figure")

    def test_every_element_that_the_script_asks_for_is_there(self):
        ids = {attrs["id"] for _, attrs in self.found if "id" in attrs}
        asked = set(re.findall(r'\$\("([a-z-]+)"\)', (PAGE / "status.js").read_text()))
        self.assertTrue(asked)
        self.assertLessEqual(asked, ids)


if __name__ == "__main__":
    unittest.main()
