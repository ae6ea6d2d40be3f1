#!/usr/bin/env python3
"""Tells Prometheus which instances there are, from the list of a running cluster.

    config/prometheus/targets.py [.run/cluster/instances.tsv] [--out config/prometheus/targets]

Writes asr.json and tts.json, which Prometheus reads again by itself when they change. An instance that is out of rotation is
watched all the same: that is when one wants to see it.
"""

import argparse
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SERVICES = ("asr", "tts")


def read(text):
    """The addresses of each service in lines of `service<TAB>name<TAB>host:port<TAB>state`."""
    addresses = {service: [] for service in SERVICES}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 4 or fields[0] not in addresses:
            raise ValueError(f"line {number} is not `asr|tts<TAB>name<TAB>host:port<TAB>state`: {line!r}")
        addresses[fields[0]].append(fields[2])
    return addresses


def write(path, addresses):
    """All at once, so that Prometheus never reads half of it."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps([{"targets": addresses}], indent=2) + "\n")
    os.replace(beside, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    run = pathlib.Path(os.environ.get("VOICE_RUN") or HERE.parent.parent / ".run")
    parser.add_argument("list", nargs="?", type=pathlib.Path, default=run / "cluster/instances.tsv")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "targets", metavar="FOLDER")
    args = parser.parse_args()
    try:
        found = read(args.list.read_text())
        args.out.mkdir(parents=True, exist_ok=True)
        for service, addresses in found.items():
            write(args.out / f"{service}.json", addresses)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    for service, addresses in found.items():
        print(f"{service}: {' '.join(addresses) or 'none'}")


if __name__ == "__main__":
    main()
