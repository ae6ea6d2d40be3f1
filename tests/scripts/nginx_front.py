"""A real nginx with the shipped configuration, in front of instances that do as a test tells them."""

import http.client
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# More than all buffers of sockets on the way.
FLOOD_BYTES = 256 << 20


def need_nginx():
    """The path of nginx. Without one a test is skipped, on a machine of CI it fails."""
    path = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if path is None:
        if os.environ.get("CI") == "true":
            raise AssertionError("nginx is missing; scripts/setup.sh --tests installs it")
        raise unittest.SkipTest("nginx is not installed; scripts/setup.sh --tests tells how")
    return path


def need_ipv6():
    """Skips a test where the kernel has none."""
    if not os.path.exists("/proc/net/if_inet6"):
        raise unittest.SkipTest("the kernel of this machine has no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        raise unittest.SkipTest(f"this machine has no ::1: {error}") from None


def free_ports(count):
    """Ports that were free a moment ago, all different. The kernel gives none of these to a connection meanwhile."""
    sockets = []
    while len(sockets) < count:
        try:
            sockets.append(socket.create_server(("127.0.0.1", random.randrange(12_000, 20_000))))
        except OSError:
            continue
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


class Instance:
    """A server that answers with its name, or refuses, or streams; and remembers what it was asked."""

    def __init__(self, name):
        self.name = name
        self.status = 200
        self.asked = []
        self.flooded = 0
        self.go_on = threading.Event()
        instance = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                instance.answer(self)

            do_POST = do_DELETE = do_HEAD = do_OPTIONS = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64
            daemon_threads = True

            def handle_error(self, *_):
                """A connection that nginx kept and then closed is no news."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.asked.append((request.command, request.path, dict(request.headers), body))
        if request.path.endswith("?slow"):
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            # Alone, so that it is not carried along by what comes with the head.
            for piece in (b"very ", b"first"):
                time.sleep(0.2)
                request.wfile.write(b"5\r\n" + piece + b"\r\n")
            self.go_on.wait(10)
            request.wfile.write(b"4\r\nlast\r\n0\r\n\r\n")
            return
        if request.path.endswith("?flood"):
            request.send_response(200)
            request.send_header("Content-Length", str(FLOOD_BYTES))
            request.end_headers()
            self.flooded = 0
            while self.flooded < FLOOD_BYTES:
                request.wfile.write(bytes(1 << 16))
                self.flooded += 1 << 16
            return
        answer = json.dumps({"instance": self.name, "path": request.path, "status": self.status}).encode()
        request.send_response(self.status)
        request.send_header("Content-Length", str(len(answer)))
        request.send_header("X-Request-ID", request.headers.get("X-Request-ID", "none"))
        if self.status == 503:
            request.send_header("Retry-After", "7")
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(answer)

    def stop(self):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


class Front:
    """nginx, as scripts/start_all.sh configures it, for web pages of some origins. `edit_limits` may change the limits."""

    def __init__(self, instances, edit_limits=None, origins=()):
        nginx = need_nginx()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="front-"))
        # The folder of the checkout may be closed to nginx's user, but the one that runs it can read it.
        cluster = self.folder / "cluster"
        cluster.mkdir()
        self.cluster = cluster
        self.all, self.speech, self.status = free_ports(3)
        changes = [part for it in instances for part in ("--add", f"{it.name}=127.0.0.1:{it.port}")]
        self.environment = {**os.environ, "VOICE_RUN": str(self.folder)}
        self.environment.pop("VOICE_LIMITS", None)
        self.list(*changes)
        ports = f"{self.all} {self.speech} {self.status}"
        subprocess.run(["bash", "-euc", f'. scripts/cluster_common.sh; write_nginx_conf {ports}; write_origins "$@"', "-", *origins],
                       cwd=ROOT, env=self.environment, check=True)
        if edit_limits is not None:
            limits = cluster / "limits.conf"
            limits.write_text(edit_limits((ROOT / "nginx/snippets/limits.conf").read_text()))
            conf = cluster / "nginx.conf"
            conf.write_text(re.sub(r"include \S+/limits.conf", f"include {limits}", conf.read_text()))
        self.command = [nginx, "-c", str(cluster / "nginx.conf"), "-p", str(cluster), "-e", str(cluster / "nginx.log")]
        self.process = subprocess.Popen([*self.command, "-g", "daemon off;"])
        for port in (self.all, self.speech, self.status):
            self._wait_for(port)

    def list(self, *arguments):
        """Changes the list of instances, by the script."""
        subprocess.run([str(ROOT / "scripts/nginx_upstreams.sh"), *arguments], env=self.environment, check=True)

    def _wait_for(self, port):
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise AssertionError(f"nginx does not listen on {port}: {(self.cluster / 'nginx.log').read_text()}")

    def ask(self, path, method="GET", body=None, headers=None, port=None, host="127.0.0.1"):
        """The status, the headers and the body of an answer."""
        connection = http.client.HTTPConnection(host, port or self.all, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def logged(self, path):
        """The access log's last line about a path, which is written a moment after the answer."""
        for _ in range(100):
            lines = (json.loads(line) for line in (self.cluster / "access.log").read_text().splitlines())
            found = [it for it in lines if it["path"] == path]
            if found:
                return found[-1]
            time.sleep(0.1)
        raise AssertionError(f"{path} is not in the access log")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
