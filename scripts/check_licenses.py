#!/usr/bin/env python3
"""Checks that every crate we build on may be used: its licence is on the list of deny.toml, its source is the registry.

Reads `cargo metadata --format-version=1` from standard input. Standard library only.
"""

import json
import pathlib
import re
import sys

DENY = pathlib.Path(__file__).with_name("deny.toml")


def allowed_licences():
    block = re.search(r"^allow = \[(.*?)^\]", DENY.read_text(), re.MULTILINE | re.DOTALL)
    return set(re.findall(r'"([^"]+)"', block[1]))


def is_allowed(expression, allowed):
    """Evaluates an SPDX expression. `A/B` is how older manifests write `A OR B`."""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        value = all_of()
        while words and words[0] == "OR":
            words.pop(0)
            value = all_of() or value
        return value

    def all_of():
        value = one()
        while words and words[0] == "AND":
            words.pop(0)
            value = one() and value
        return value

    def one():
        word = words.pop(0)
        if word == "(":
            value = alternatives()
            words.pop(0)
            return value
        if words and words[0] == "WITH":
            words.pop(0)
            word = f"{word} WITH {words.pop(0)}"
        return word in allowed

    value = alternatives()
    return value and not words


def main():
    allowed = allowed_licences()
    packages = [it for it in json.load(sys.stdin)["packages"] if it["source"]]
    problems = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if not package["source"].startswith("registry+"):
            problems.append(f"{name} comes from {package['source']}, not from the registry")
        if not is_allowed(package["license"] or "none", allowed):
            problems.append(f"{name} has the licence {package['license']!r}, which scripts/deny.toml does not allow")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"{len(packages)} crates, {len(problems)} with a problem")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
