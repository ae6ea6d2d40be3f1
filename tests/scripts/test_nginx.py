"""nginx in front of the servers: what is shipped is accepted, every address reaches its service, and refusals are retried."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import unittest
import unittest.mock

from nginx_front import FLOOD_BYTES, ROOT, Front, Instance, free_ports, need_ipv6, need_nginx


def routes(service):
    """Every method and path of a service, from the table that its server is made of."""
    table = (ROOT / f"services/{service}/src/routes.rs").read_text()
    rows = re.findall(r'method: "(\w+)",\s*path: "([^"]+)"', table)
    return [(method.upper(), path.replace("{id:.+}", "an-id")) for method, path in rows]


def setting(service, key):
    """The default of a setting of `server`, from the shipped file."""
    text = (ROOT / f"config/{service}.yaml").read_text().split("\nserver:\n")[1]
    return int(re.search(rf"^  {key}: (\d+)$", text, re.M).group(1))


class Shipped(unittest.TestCase):
    """The files as they are installed."""

    def setUp(self):
        self.nginx = need_nginx()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nginx-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def install(self, with_tls=False):
        """Copies the shipped folder, with the absolute folders moved below a scratch one."""
        installed = self.folder / "voice"
        shutil.copytree(ROOT / "nginx", installed)
        for name in ("body", "tls", "log"):
            (self.folder / name).mkdir()
        for path in installed.rglob("*.conf"):
            text = path.read_text().replace("/etc/nginx/voice", str(installed)).replace("/etc/voice", str(self.folder))
            text = text.replace("/var/log/nginx", str(self.folder / "log")).replace("/var/lib/nginx", str(self.folder))
            text = text.replace("/run/nginx-voice", str(self.folder / "nginx")).replace("user www-data;", "")
            if with_tls:
                text = text.replace(f"# include {installed}/tls.conf", f"include {installed}/tls.conf")
            path.write_text(text)
        return installed / "voice.conf"

    def check(self, conf):
        found = subprocess.run([self.nginx, "-t", "-c", str(conf), "-e", str(self.folder / "log/nginx.log")],
                               capture_output=True, text=True)
        self.assertEqual(found.returncode, 0, found.stderr)
        self.assertNotIn("[warn]", found.stderr)

    def test_the_shipped_configuration_is_accepted(self):
        self.check(self.install())

    def test_the_tls_example_is_accepted_and_serves(self):
        conf = self.install(with_tls=True)
        tls = self.folder / "tls"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", tls / "privkey.pem", "-out", tls / "fullchain.pem"], check=True, capture_output=True)
        self.check(conf)
        ports = dict(zip((443, 80, 8000, 8003, 8080), free_ports(5)))
        for path in (conf, conf.parent / "tls.conf"):
            text = path.read_text()
            for old, new in ports.items():
                text = re.sub(rf"listen ((?:127\.0\.0\.1:|\[::\]:)?){old}\b", rf"listen \g<1>{new}", text)
            path.write_text(text)
        process = subprocess.Popen([self.nginx, "-c", str(conf), "-e", str(self.folder / "log/nginx.log"), "-g", "daemon off;"])
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.terminate)
        context = ssl.create_default_context(cafile=str(tls / "fullchain.pem"))
        for attempt in range(300):
            try:
                connection = http.client.HTTPSConnection("localhost", ports[443], context=context, timeout=5)
                connection.request("GET", "/healthz")
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        answer = connection.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())), (200, {"status": "alive"}))
        self.assertIn("max-age", answer.headers["Strict-Transport-Security"])
        connection.close()
        plain = http.client.HTTPConnection("127.0.0.1", ports[80], timeout=5)
        plain.request("GET", "/v1/voices?x=1", headers={"Host": "voice.example.com"})
        answer = plain.getresponse()
        self.assertEqual((answer.status, answer.headers["Location"]), (308, "https://voice.example.com/v1/voices?x=1"))
        plain.close()

    def test_a_kernel_without_ipv6(self):
        environment = {**os.environ, "VOICE_RUN": str(self.folder)}
        written = {}
        for answer in ("true", "false"):
            (self.folder / "cluster").mkdir(exist_ok=True)
            subprocess.run(["bash", "-euc", f". scripts/cluster_common.sh; has_ipv6() {{ {answer}; }}; write_nginx_conf 7000 7003 7080"],
                           cwd=ROOT, env=environment, check=True)
            text = (self.folder / "cluster/nginx.conf").read_text()
            written[answer] = re.findall(r"^ *listen ([^ ;]+)", text, re.M)
        self.assertEqual(written["true"], ["7000", "[::]:7000", "7003", "[::]:7003", "127.0.0.1:7080"])
        self.assertEqual(written["false"], ["7000", "7003", "127.0.0.1:7080"])

    def test_every_log_is_turned_over_by_us_alone(self):
        conf, rotation = (ROOT / "nginx/voice.conf").read_text(), (ROOT / "nginx/logrotate").read_text()
        logs = set(re.findall(r"_log (/\S+)", conf))
        self.assertEqual(logs, set(re.search(r"^(/.*) \{$", rotation, re.M).group(1).split()))
        self.assertFalse([it for it in logs if it.endswith(".log")], "Debian's own nginx claims these")
        self.assertIn(re.search(r"^pid (\S+);", conf, re.M).group(1), rotation)

    def test_the_shipped_list_is_what_the_script_makes(self):
        for name in ("instances.tsv",):
            shutil.copy(ROOT / "nginx" / name, self.folder / name)
        subprocess.run([ROOT / "scripts/nginx_upstreams.sh", "--list", self.folder / "instances.tsv"], check=True)
        for name in ("upstreams.conf", "instances.json"):
            self.assertEqual((self.folder / name).read_text(), (ROOT / "nginx" / name).read_text(), name)

    def test_sizes_and_times_agree_with_the_servers(self):
        snippets = {it.stem: it.read_text() for it in (ROOT / "nginx/snippets").iterdir()}
        self.assertEqual(int(re.search(r"client_max_body_size (\d+)m", snippets["http"]).group(1)) << 20,
                         setting("tts", "max_json_bytes"))
        header_timeout = re.search(r"client_header_timeout (\d+)s", snippets["http"]).group(1)
        body_timeout = re.search(r"client_body_timeout (\d+)s", snippets["http"]).group(1)
        for service in ("asr", "tts"):
            uploads = re.findall(r"client_max_body_size (\d+)m", snippets[service])
            self.assertEqual([int(it) << 20 for it in uploads], [setting(service, "max_upload_bytes")], service)
            self.assertEqual(int(header_timeout) * 1000, setting(service, "header_timeout_ms"))
            self.assertEqual(int(body_timeout) * 1000, setting(service, "body_timeout_ms"))
            socket_s, *rest_s = (int(it) for it in re.findall(r"proxy_read_timeout (\d+)s", snippets[service]))
            # Two pings may be lost; and whoever is slow hears it from the server, not from nginx.
            self.assertGreater(socket_s * 1000, 2 * setting(service, "ping_interval_ms"), service)
            self.assertTrue(rest_s and all(it * 1000 > setting(service, "request_timeout_ms") for it in rest_s), service)


class Instances(unittest.TestCase):
    """The list of instances and what is made of it."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="list-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.list = self.folder / "instances.tsv"

    def run_script(self, *arguments):
        return subprocess.run([ROOT / "scripts/nginx_upstreams.sh", "--list", self.list, *arguments], capture_output=True, text=True)

    def test_changes_in_order(self):
        done = self.run_script("--add", "asr-8001=127.0.0.1:8001", "--add", "tts-far=10.0.0.5:8002", "--down", "tts-far",
                               "--add", "asr-8011=[::1]:8011", "--remove", "asr-8001")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.list.read_text(), "tts\ttts-far\t10.0.0.5:8002\tdown\nasr\tasr-8011\t[::1]:8011\tup\n")
        upstreams = (self.folder / "upstreams.conf").read_text()
        self.assertIn("server 10.0.0.5:8002 max_fails=0 down;", upstreams)
        self.assertIn("server [::1]:8011 max_fails=0;", upstreams)
        self.assertEqual([it["name"] for it in json.loads((self.folder / "instances.json").read_text())], ["tts-far", "asr-8011"])
        self.assertEqual(self.run_script("--up", "tts-far").returncode, 0)
        self.assertNotIn(" down;", (self.folder / "upstreams.conf").read_text())

    def test_what_is_wrong_changes_nothing(self):
        self.run_script("--add", "asr-8001=127.0.0.1:8001")
        before = self.list.read_text()
        wrong = (["--add", "asr-8001"], ["--down", "asr-9"], ["--remove", "asr-9"], ["--add", "llm-1=127.0.0.1:1"],
                 ["--add", "asr-1; include /etc/passwd=127.0.0.1:1"], ["--add", "asr-1=127.0.0.1:1;}"], ["--add", "asr-1=127.0.0.1"])
        for arguments in wrong:
            with self.subTest(arguments):
                done = self.run_script("--add", "asr-8011=127.0.0.1:8011", *arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("error:", done.stderr)
                self.assertEqual(self.list.read_text(), before)
        self.list.write_text("asr\tasr-8001\t127.0.0.1:8001\tup\nasr asr-8011 x up\n")
        done = self.run_script()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("line 2", done.stderr)

    def test_what_nginx_does_not_accept_changes_nothing(self):
        self.run_script("--add", "asr-8001=127.0.0.1:8001", "--add", "asr-8011=127.0.0.1:8011")
        files = [self.list, self.folder / "upstreams.conf", self.folder / "instances.json"]
        before = [it.read_text() for it in files]
        nginx = self.folder / "nginx"
        nginx.write_text("#!/bin/sh\nexit 1\n")
        nginx.chmod(0o755)
        with unittest.mock.patch.dict("os.environ", PATH=f"{self.folder}:{os.environ['PATH']}"):
            done = self.run_script("--down", "asr-8001", "--reload")
        self.assertEqual(done.returncode, 1)
        self.assertIn("the list is as it was", done.stderr)
        self.assertEqual([it.read_text() for it in files], before)

    def test_several_at_a_time(self):
        names = [f"asr-{8001 + 10 * idx}" for idx in range(12)]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda it: self.run_script("--add", f"{it}=127.0.0.1:{it[4:]}"), names))
        self.assertEqual(sorted(line.split("\t")[1] for line in self.list.read_text().splitlines()), sorted(names))


class Live(unittest.TestCase):
    """A real nginx and two instances of each service that do as they are told."""

    @classmethod
    def setUpClass(cls):
        need_nginx()
        cls.instances = [Instance(name) for name in ("asr-1", "asr-2", "tts-1", "tts-2")]
        cls.front = Front(cls.instances)

    @classmethod
    def tearDownClass(cls):
        cls.front.stop()
        for it in cls.instances:
            it.stop()

    def setUp(self):
        for it in self.instances:
            it.status = 200
            it.asked.clear()
            it.go_on.clear()

    def ask(self, *arguments, **named):
        return self.front.ask(*arguments, **named)

    def test_every_address_reaches_its_service(self):
        only_here = {"/openapi.json", "/docs", "/v1/models", "/v1/models/an-id"}
        for service in ("asr", "tts"):
            for method, path in routes(service):
                with self.subTest(service=service, path=path):
                    if path not in only_here:
                        status, _, body = self.ask(path, method, body=b"{}" if method == "POST" else None)
                        self.assertEqual((status, json.loads(body)["instance"][:3]), (200, service))
                    elif method == "GET":
                        status, _, body = self.ask(f"/{service}{path}?q=1")
                        self.assertEqual((status, json.loads(body)), (200, {
                            "instance": json.loads(body)["instance"], "path": f"{path}?q=1", "status": 200}))
                        self.assertEqual(json.loads(body)["instance"][:3], service)
        for method, path in routes("tts"):
            with self.subTest(front="speech", path=path):
                status, _, body = self.ask(path, method, body=b"{}" if method == "POST" else None, port=self.front.speech)
                self.assertEqual((status, json.loads(body)["instance"][:3]), (200, "tts"))
        for path in ("/v1/transcribe", "/v1/stream/asr", "/v1/nothing", "/"):
            self.assertEqual(self.ask(path, port=self.front.speech)[0], 404, path)

    def test_both_fronts_over_ipv6(self):
        need_ipv6()
        for port in (self.front.all, self.front.speech):
            status, _, body = self.ask("/v1/voices", port=port, host="::1")
            self.assertEqual((status, json.loads(body)["instance"][:3]), (200, "tts"))
        headers = (self.instances[2].asked or self.instances[3].asked)[-1][2]
        self.assertEqual(headers["X-Forwarded-For"], "::1")
        with self.assertRaises(OSError, msg="the operators' port is for this machine, at one address"):
            self.ask("/health", port=self.front.status, host="::1")

    def test_a_model_is_looked_for_in_both(self):
        for it in self.instances[:2]:
            it.status = 404
        status, _, body = self.ask("/v1/models/openai/tts-1")
        self.assertEqual((status, json.loads(body)["path"][-5:], json.loads(body)["instance"][:3]), (200, "tts-1", "tts"))

    def test_operators_pages_stay_inside(self):
        for path in ("/metrics", "/asr/metrics", "/tts/metrics", "//metrics", "/%6detrics", "/asr/../metrics", "/asr/%2e%2e/metrics",
                     "/metrics/", "/nginx_status", "/instances.json", "/instances/asr-1/metrics", "/voice-tts-is-ready"):
            for port in (self.front.all, self.front.speech):
                self.assertIn(self.ask(path, port=port)[0], (403, 404), path)
        self.assertEqual([it.asked for it in self.instances], [[]] * 4)
        status, _, body = self.ask("/metrics")
        self.assertEqual((status, json.loads(body)["error"]["code"]), (403, "FORBIDDEN"))

    def test_no_line_break_gets_into_a_request(self):
        for path in ("/asr/v1/models/a%0d%0aX-Evil:%201", "/asr/docs%0d%0aX-Evil:%201", "/tts/v1/models/a%20b"):
            self.assertEqual(self.ask(path)[0], 404, path)

    def test_health(self):
        self.assertEqual(self.ask("/healthz")[0], 200)
        for path in ("/readyz", "/health"):
            self.assertEqual(self.ask(path)[0], 200)
            self.instances[2].status = 503
            self.assertEqual(self.ask(path)[0], 200, "one of each is enough")
            self.instances[3].status = 503
            status, headers, body = self.ask(path)
            self.assertEqual((status, json.loads(body)["error"]["code"], headers["Retry-After"]), (503, "NOT_READY", "2"))
            self.instances[2].status = self.instances[3].status = 200
            self.instances[0].status = self.instances[1].status = 503
            self.assertEqual(self.ask(path)[0], 503)
            self.assertEqual(self.ask(path, port=self.front.speech)[0], 200)
            self.instances[0].status = self.instances[1].status = 200

    def test_a_refusal_is_retried_with_its_body(self):
        self.instances[0].status = 503
        body = bytes(range(256)) * 8192  # two MiB: more than is kept in memory
        for _ in range(6):
            status, _, answer = self.ask("/v1/transcribe", "POST", body)
            self.assertEqual((status, json.loads(answer)["instance"]), (200, "asr-2"))
        self.assertTrue(self.instances[0].asked, "the full one was never asked, so nothing was shown")
        self.assertEqual({it[3] for it in self.instances[1].asked}, {body})
        self.instances[0].status = 200
        self.assertIn("asr-1", {json.loads(self.ask("/v1/detect", "POST", b"")[2])["instance"] for _ in range(6)}, "not shunned")

    def test_all_full_is_said_in_the_servers_own_words_and_at_once(self):
        for it in self.instances:
            it.status = 503
        for path, method in (("/v1/stream/asr", "GET"), ("/v1/synthesize", "POST")):
            times = []
            for _ in range(10):
                began = time.monotonic()
                status, headers, body = self.ask(path, method, b"{}" if method == "POST" else None)
                times.append(time.monotonic() - began)
                self.assertEqual((status, headers["Retry-After"], json.loads(body)["status"]), (503, "7", 503))
            # The fastest: waiting for somebody would delay each of them, a busy machine delays some.
            self.assertLess(min(times), 0.05)

    def test_nobody_there(self):
        gone = Instance("asr-1")
        gone.stop()
        front = Front([gone])
        self.addCleanup(front.stop)
        for path in ("/v1/stream/asr", "/v1/voices"):
            status, headers, body = front.ask(path)
            error = json.loads(body)["error"]
            self.assertEqual((status, headers["Retry-After"], error["code"], error["recoverable"]), (503, "2", "NOT_READY", True))
            self.assertEqual(set(error), {"code", "message", "type", "param", "recoverable"})
            self.assertRegex(headers["X-Request-ID"], "^[0-9a-f]{32}$")

    def test_no_recogniser_there(self):
        gone = Instance("asr-1")
        gone.stop()
        speaks = Instance("tts-1")
        self.addCleanup(speaks.stop)
        front = Front([gone, speaks])
        self.addCleanup(front.stop)
        for path in ("/readyz", "/health", "/v1/models/demo"):
            status, headers, body = front.ask(path)
            self.assertEqual((status, headers["Retry-After"], json.loads(body)["error"]["code"]), (503, "2", "NOT_READY"), path)

    def test_request_ids(self):
        for given in ("a", "3fa8-1.b_c:d/e+f=@", "x" * 128):
            _, headers, _ = self.ask("/v1/voices", headers={"X-Request-ID": given})
            self.assertEqual(headers["X-Request-ID"], given)
            self.assertEqual(self.ask("/nothing", headers={"X-Request-ID": given})[1]["X-Request-ID"], given)
        for given in ("a b", "<script>", 'a"b', "x" * 129, "a$request_id"):
            _, headers, _ = self.ask("/v1/voices", headers={"X-Request-ID": given})
            self.assertRegex(headers["X-Request-ID"], "^[0-9a-f]{32}$")
        self.ask("/logged", headers={"X-Request-ID": "this-one"})
        line = self.front.logged("/logged")
        self.assertEqual((line["request_id"], line["status"], line["port"]), ("this-one", 404, self.front.all))

    def test_an_instance_is_told_who_calls(self):
        self.ask("/v1/voices", headers={"X-Forwarded-For": "6.6.6.6", "Host": "voice.example.com:8000"})
        headers = (self.instances[2].asked or self.instances[3].asked)[-1][2]
        self.assertEqual(headers["X-Forwarded-For"], "6.6.6.6, 127.0.0.1")
        self.assertEqual((headers["Host"], headers["X-Forwarded-Proto"]), ("voice.example.com:8000", "http"))
        self.assertNotIn("Upgrade", headers)

    def test_what_is_streamed_comes_as_it_is_made(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.front.all, timeout=10)
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/synthesize?slow", b"{}")
        answer = connection.getresponse()
        self.assertEqual(answer.read(10), b"very first")
        for it in self.instances:
            it.go_on.set()
        self.assertEqual(answer.read(), b"last")

    def test_who_does_not_read_is_not_read_for(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.front.all, timeout=10)
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/synthesize?flood", b"{}")
        answer = connection.getresponse()
        sent = 0
        while sent == 0 or sent < sum(it.flooded for it in self.instances):
            sent = sum(it.flooded for it in self.instances)
            time.sleep(1)
        self.assertTrue(0 < sent < FLOOD_BYTES // 2, sent)
        self.assertEqual(len(answer.read()), FLOOD_BYTES)

    def test_too_large_is_refused(self):
        for path, limit in (("/v1/synthesize", 1 << 20), ("/v1/transcribe", 256 << 20), ("/v1/voices", 256 << 20)):
            connection = http.client.HTTPConnection("127.0.0.1", self.front.all, timeout=10)
            connection.putrequest("POST", path)
            connection.putheader("Content-Length", str(limit + 1))
            connection.endheaders()
            answer = connection.getresponse()
            self.assertEqual((answer.status, json.loads(answer.read())["error"]["code"]), (413, "PAYLOAD_TOO_LARGE"), path)
            connection.close()
        self.assertEqual(self.ask("/v1/synthesize", "POST", b"x" * (1 << 20))[0], 200)

    def test_what_is_too_long_to_be_read_is_refused_in_the_same_words(self):
        for path, headers, status in (("/" + "x" * (33 << 10), {}, 414), ("/v1/voices", {"Cookie": "x" * (33 << 10)}, 400)):
            found, _, body = self.ask(path, headers=headers)
            self.assertEqual((found, json.loads(body)["error"]["code"]), (status, "INVALID_REQUEST"))
        self.assertEqual([it.asked for it in self.instances], [[]] * 4)

    def test_no_query_is_written_down(self):
        for it in self.instances:
            it.status = 503
        self.ask("/v1/stream/asr?api_key=hush-hush&prompt=secret")
        self.ask("/nowhere?api_key=hush-hush")
        self.ask("/v1/audio/speech?api_key=hush-hush", "POST", b"x" * ((1 << 20) + 1))
        for path in ("/v1/stream/asr", "/nowhere", "/v1/audio/speech"):
            self.front.logged(path)
        for name in ("access.log", "nginx.log"):
            self.assertNotIn("hush-hush", (self.front.cluster / name).read_text(), name)

    def test_one_that_is_down_gets_nothing_new(self):
        self.front.list("--down", "asr-1", "--reload")
        self.addCleanup(self.front.list, "--up", "asr-1", "--reload")
        for _ in range(100):
            # nginx reads the list anew a moment after it is told to.
            answered = {json.loads(self.ask("/v1/detect", "POST", b"")[2])["instance"] for _ in range(6)}
            if "asr-1" not in answered:
                break
            time.sleep(0.1)
        self.assertEqual(answered, {"asr-2"})

    def test_the_operators_port(self):
        port = self.front.status
        self.assertEqual(json.loads(self.ask("/health", port=port)[2]), {"status": "ok"})
        status, headers, _ = self.ask("/status", port=port)
        self.assertEqual((status, headers["Location"]), (302, "/"))
        self.assertIn(b"Active connections", self.ask("/nginx_status", port=port)[2])
        listed = json.loads(self.ask("/instances.json", port=port)[2])
        self.assertEqual([it["name"] for it in listed], ["asr-1", "asr-2", "tts-1", "tts-2"])
        self.instances[1].status = 503
        for page in ("health", "readyz", "metrics"):
            status, _, body = self.ask(f"/instances/asr-2/{page}", port=port)
            self.assertEqual((status, json.loads(body)["instance"], json.loads(body)["path"]), (503, "asr-2", f"/{page}"))
        for path in ("/instances/asr-9/health", "/instances/asr-1/v1/models", "/instances/asr/health"):
            self.assertEqual(self.ask(path, port=port)[0], 404, path)


class Limits(unittest.TestCase):
    """The limits for callers, made small, and holding for this machine too."""

    def start(self, edit):
        def limits(text):
            for old, new in {"127.0.0.0/8 0": "127.0.0.0/8 1", **edit}.items():
                self.assertIn(old, text)
                text = text.replace(old, new)
            return text

        instance = Instance("asr-1")
        self.addCleanup(instance.stop)
        front = Front([instance], limits)
        self.addCleanup(front.stop)
        return front, instance

    def test_this_machine_is_not_limited(self):
        front, _ = self.start({"127.0.0.0/8 1": "127.0.0.0/8 0", "burst=200": "burst=2", "rate=50r/s": "rate=1r/m"})
        self.assertEqual({front.ask("/v1/detect", "POST", b"")[0] for _ in range(10)}, {200})

    def test_an_address(self):
        front, instance = self.start({"rate=50r/s": "rate=1r/m", "burst=200": "burst=2"})
        answers = [front.ask("/v1/detect", "POST", b"", {"Authorization": f"Bearer {idx}"}) for idx in range(5)]
        self.assertEqual([it[0] for it in answers], [200, 200, 200, 429, 429])
        error = json.loads(answers[-1][2])["error"]
        self.assertEqual((error["code"], error["type"], answers[-1][1]["Retry-After"]), ("RATE_LIMITED", "rate_limit_error", "1"))
        self.assertEqual(len(instance.asked), 3)
        self.assertEqual(front.ask("/healthz")[0], 200)

    def test_an_address_of_ipv6(self):
        need_ipv6()
        front, instance = self.start({"::1/128     0": "::1/128 1", "rate=50r/s": "rate=1r/m", "burst=200": "burst=2"})
        self.assertEqual([front.ask("/v1/detect", "POST", b"", host="::1")[0] for _ in range(5)], [200, 200, 200, 429, 429])
        self.assertEqual(front.ask("/v1/detect", "POST", b"")[0], 200, "another address")

    def test_a_key_however_it_is_shown(self):
        front, _ = self.start({"rate=200r/s": "rate=1r/m", "burst=1000": "burst=1"})
        for headers, query in (({"Authorization": "Bearer one"}, ""), ({"xi-api-key": "two"}, ""), ({}, "?api_key=three")):
            got = [front.ask("/v1/detect" + query, "POST", b"", headers)[0] for _ in range(4)]
            self.assertEqual(got, [200, 200, 429, 429], (headers, query))
        self.assertEqual(front.ask("/v1/detect", "POST", b"")[0], 200, "without a key only the address counts")

    def test_connections(self):
        front, instance = self.start({"voice_connections 200": "voice_connections 2"})
        held = []
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", front.all, timeout=10)
            self.addCleanup(connection.close)
            connection.request("POST", "/v1/transcribe?slow", b"{}")
            held.append(connection.getresponse())
            self.assertEqual(held[-1].read(10), b"very first")
        self.assertEqual(front.ask("/v1/detect", "POST", b"")[0], 429)
        instance.go_on.set()
        for it in held:
            it.read()
        self.assertEqual(front.ask("/v1/detect", "POST", b"")[0], 200)


if __name__ == "__main__":
    unittest.main()
