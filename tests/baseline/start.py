#!/usr/bin/env python3
"""Starts a server several times and prints how long it took to be ready, as JSON.

    start.py READY_URL_PORT -- COMMAND…
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time

TIMES = 7
PATIENCE_S = 60.0


def once(port: int, command: list[str]) -> float:
    begun = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - begun < PATIENCE_S:
            if server.poll() is not None:
                raise SystemExit(f"{command[0]} ended with {server.returncode} before it was ready")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return time.perf_counter() - begun
            except OSError:
                pass
            time.sleep(0.002)
        raise SystemExit(f"{command[0]} was not ready after {PATIENCE_S} s")
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    port, command = int(sys.argv[1]), sys.argv[3:]
    seconds = [once(port, command) for _ in range(TIMES)]
    # The first start may read the binary and the model from the disk.
    print(json.dumps({"first_s": seconds[0], "median_s": statistics.median(seconds), "seconds": seconds}))


if __name__ == "__main__":
    main()
