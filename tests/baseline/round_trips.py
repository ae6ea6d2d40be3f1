#!/usr/bin/env python3
"""Times a small WebSocket message there and back, over several ways to one server in turns.

    round_trips.py [--times N] NAME=URL NAME=URL …

Pings are used: the server answers them at once, so what differs between two ways is what lies on them. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from plain_websocket import PING, PONG, WebSocket  # noqa: E402


def round_trip_ms(peer: WebSocket) -> float:
    begun = time.perf_counter()
    peer.send(b"0123456789abcdef", PING)
    while True:
        first, second = peer.reader.read(2)
        n_bytes = second & 0x7F
        if n_bytes == 126:
            n_bytes = int.from_bytes(peer.reader.read(2), "big")
        payload = peer.reader.read(n_bytes)
        if first & 0x0F == PONG:
            return 1e3 * (time.perf_counter() - begun)
        if first & 0x0F == PING:
            peer.send(payload, PONG)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000)
    parser.add_argument("ways", nargs="+", metavar="NAME=URL")
    args = parser.parse_args()
    ways = dict(it.split("=", 1) for it in args.ways)
    peers = {name: WebSocket(url, {}, 10) for name, url in ways.items()}
    took: dict[str, list[float]] = {name: [] for name in ways}
    # In turns, so that whatever else the machine does meets all of them alike.
    for number in range(args.times + 50):
        for name, peer in peers.items():
            time_ms = round_trip_ms(peer)
            if number >= 50:
                took[name].append(time_ms)
    answer = {}
    for name, times in took.items():
        times.sort()
        answer[name] = {"n": len(times)} | {f"p{it}_ms": round(times[min(len(times) - 1, len(times) * it // 100)], 4) for it in (50, 95, 99)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
