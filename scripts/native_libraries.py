#!/usr/bin/env python3
"""Installs the native libraries and model files that `native.json` lists. Called by `setup.sh`.

Invariants:
- Standard library and pip only; Python 3.8 is enough.
- Nothing is written outside the prefix (`.native` in a checkout).
- A file appears under its final name only when its sha256 is right, so an interrupted run leaves nothing broken behind.
- A run that finds everything in place opens no network connection and reads no file but the stamp.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

LOCK_FILE = pathlib.Path(__file__).with_name("native.json")
# The wheels are read as archives and never imported, so their Python version need not be the one that runs this.
WHEEL_FOR = [
    "--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=none",
    *(f"--platform={it}" for it in (
        "manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64",
        "manylinux2010_x86_64", "manylinux1_x86_64", "any",
    )),
]
CHUNK_BYTES = 1 << 20


class Problem(Exception):
    """Something the person at the keyboard can act on."""


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()


def mebibytes(count):
    return f"{count / (1 << 20):,.1f} MiB"


class Installer:
    def __init__(self, prefix, python):
        self.prefix = prefix
        self.python = python
        self.stamp_path = prefix / "installed.json"
        self.stamp = self._read_stamp()

    def _read_stamp(self):
        try:
            return json.loads(self.stamp_path.read_text())
        except (OSError, ValueError):
            return {}

    # --- what is there already ---

    def _is_in_place(self, wheel):
        """True if every file of the wheel is as the stamp says. Reads sizes and times only."""
        stamped = self.stamp.get(wheel["name"], {})
        if stamped.get("sha256") != wheel["sha256"] or set(stamped.get("files", {})) != targets(wheel):
            return False
        return all(self._looks_like(target, seen) for target, seen in stamped["files"].items())

    def _looks_like(self, target, seen):
        path = self.prefix / target
        try:
            stat = path.stat()
        except OSError:
            return False
        return [stat.st_size, stat.st_mtime_ns] == seen

    def _adopt(self, wheel):
        """Stamps files that are right but unknown, for example after a copy that changed their times."""
        if not self._notices(wheel).is_dir():
            return False
        for file in wheel.get("files", []):
            path = self.prefix / file["to"]
            if not path.is_file() or path.stat().st_size != file["bytes"] or sha256_of(path) != file["sha256"]:
                return False
        if "tree" in wheel:
            return False
        self._link(wheel)
        self._write_stamp(wheel)
        return True

    def _notices(self, wheel):
        return self.prefix / "licenses" / f"{wheel['name']}-{wheel['version']}"

    # --- the steps of one wheel ---

    def install(self, wheel):
        label = f"{wheel['name']} {wheel['version']}"
        if self._is_in_place(wheel):
            return False
        if self._adopt(wheel):
            say(f"{label}: already there, checked")
            return False
        started = time.monotonic()
        archive = self._download(wheel, label)
        self._unpack(wheel, archive)
        self._link(wheel)
        self._write_stamp(wheel)
        archive.unlink()
        say(f"{label}: installed and checked in {time.monotonic() - started:.1f} s")
        return True

    def _download(self, wheel, label):
        downloads = self.prefix / "downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        archive = downloads / f"{wheel['name']}-{wheel['version']}.whl"
        if archive.is_file() and sha256_of(archive) == wheel["sha256"]:
            return archive
        self._require_space(wheel, label)
        say(f"{label}: downloading {mebibytes(wheel['bytes'])} ({wheel['why']})")
        with tempfile.TemporaryDirectory(prefix="incoming-", dir=downloads) as incoming:
            pinned = pathlib.Path(incoming, "requirements.txt")
            pinned.write_text(f"{wheel['name']}=={wheel['version']} --hash=sha256:{wheel['sha256']}\n")
            command = [
                self.python, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--no-input",
                "--disable-pip-version-check", *WHEEL_FOR, "--dest", incoming, "--requirement", str(pinned),
            ]
            if sys.stdout.isatty():
                command.remove("--quiet")
            if subprocess.run(command, check=False).returncode != 0:
                raise Problem(
                    f"pip could not download {label}. Its message is above.\n"
                    "  No network? Run this where the package index can be reached, or point pip at a mirror\n"
                    "  (PIP_INDEX_URL) or at a folder of wheels (PIP_FIND_LINKS). Running it again continues where it stopped."
                )
            (wheel_file,) = pathlib.Path(incoming).glob("*.whl")
            os.replace(wheel_file, archive)
        return archive

    def _require_space(self, wheel, label):
        unpacked = sum(file["bytes"] for file in wheel.get("files", []))
        needed = wheel["bytes"] * 2 + unpacked
        free = shutil.disk_usage(self.prefix).free
        if free < needed:
            raise Problem(
                f"{label} needs about {mebibytes(needed)} while it is installed; "
                f"{self.prefix} has {mebibytes(free)} free."
            )

    def _unpack(self, wheel, archive):
        with zipfile.ZipFile(archive) as members:
            for file in wheel.get("files", []):
                self._unpack_file(members, wheel, file)
            if "tree" in wheel:
                self._unpack_tree(members, wheel["tree"])
            notices = self._notices(wheel)
            notices.mkdir(parents=True, exist_ok=True)
            for name in members.namelist():
                if is_notice(name):
                    (notices / name.replace("/", "_")).write_bytes(members.read(name))

    def _unpack_file(self, members, wheel, file):
        target = self.prefix / file["to"]
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        handle, temporary = tempfile.mkstemp(prefix=".incoming-", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as output, members.open(file["from"]) as source:
                for chunk in iter(lambda: source.read(CHUNK_BYTES), b""):
                    digest.update(chunk)
                    output.write(chunk)
            if digest.hexdigest() != file["sha256"]:
                raise Problem(f"{file['from']} of {wheel['name']} has sha256 {digest.hexdigest()}, not {file['sha256']}")
            os.chmod(temporary, 0o755 if file.get("executable") else 0o644)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def _unpack_tree(self, members, tree):
        """Unpacks a folder of the wheel. Its files are covered by the sha256 of the wheel."""
        target = self.prefix / tree["to"]
        incoming = pathlib.Path(tempfile.mkdtemp(prefix=".incoming-", dir=self.prefix))
        prefix = tree["from"] + "/"
        for info in members.infolist():
            if info.is_dir() or not info.filename.startswith(prefix):
                continue
            path = incoming / info.filename[len(prefix):]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(members.read(info))
            if path.parent.name == "bin":
                path.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(incoming, target)

    def _link(self, wheel):
        for link, target in wheel.get("links", {}).items():
            path = self.prefix / link
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".incoming-{path.name}")
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            temporary.symlink_to(target)
            os.replace(temporary, path)
        for empty in wheel.get("empty_archives", []):
            # An archive without members: the linker is told to find the library but needs nothing of it.
            path = self.prefix / empty
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"!<arch>\n")

    def _write_stamp(self, wheel):
        seen = {}
        for target in targets(wheel):
            stat = (self.prefix / target).stat()
            seen[target] = [stat.st_size, stat.st_mtime_ns]
        self.stamp[wheel["name"]] = {"version": wheel["version"], "sha256": wheel["sha256"], "files": seen}
        temporary = self.stamp_path.with_suffix(".incoming")
        temporary.write_text(json.dumps(self.stamp, indent=1, sort_keys=True) + "\n")
        os.replace(temporary, self.stamp_path)


def targets(wheel):
    """Every path, relative to the prefix, that the wheel is to provide."""
    names = {file["to"] for file in wheel.get("files", [])}
    names.update(wheel.get("links", {}))
    names.update(wheel.get("empty_archives", []))
    if "tree" in wheel:
        names.add(wheel["tree"]["sign"])
    return names


def is_notice(name):
    base = name.rsplit("/", 1)[-1].lower()
    if not base:
        return False
    in_metadata = ".dist-info/" in name
    return (in_metadata and (base == "metadata" or "/sboms/" in name or "/licenses/" in name)) or (
        name.count("/") <= 1 and base.startswith(("license", "thirdpartynotices", "notice"))
    )


def say(text):
    print(f"  {text}", flush=True)


def chosen(manifest, groups):
    unknown = set(groups) - {wheel["group"] for wheel in manifest["wheels"]}
    if unknown:
        raise Problem(f"unknown group: {', '.join(sorted(unknown))}")
    return [wheel for wheel in manifest["wheels"] if wheel["group"] in groups]


def install(arguments):
    prefix = pathlib.Path(arguments.prefix).resolve()
    prefix.mkdir(parents=True, exist_ok=True)
    with open(prefix / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work in this folder; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in [*prefix.glob(".incoming-*"), *prefix.glob("downloads/incoming-*")]:
            shutil.rmtree(leftover, ignore_errors=True)
        for leftover in [*prefix.glob("*/.incoming-*"), *prefix.glob("*/lib/.incoming-*")]:
            leftover.unlink()
        installer = Installer(prefix, arguments.python)
        wheels = chosen(json.loads(LOCK_FILE.read_text()), arguments.groups)
        n_installed = sum([installer.install(wheel) for wheel in wheels])
        if n_installed == 0:
            say(f"{', '.join(arguments.groups)}: everything is in place")
        with contextlib.suppress(OSError):
            (prefix / "downloads").rmdir()


def repin(arguments):
    """For maintainers: after a version was changed in native.json, fetches that wheel and writes sizes and sums."""
    manifest = json.loads(LOCK_FILE.read_text())
    for wheel in manifest["wheels"]:
        if wheel["name"] not in arguments.names:
            continue
        with tempfile.TemporaryDirectory() as incoming:
            subprocess.run(
                [arguments.python, "-m", "pip", "download", "--no-deps", *WHEEL_FOR, "--dest", incoming,
                 f"{wheel['name']}=={wheel['version']}"],
                check=True,
            )
            (archive,) = pathlib.Path(incoming).glob("*.whl")
            wheel["sha256"] = sha256_of(archive)
            wheel["bytes"] = archive.stat().st_size
            with zipfile.ZipFile(archive) as members:
                for file in wheel.get("files", []):
                    content = members.read(file["from"])
                    file["sha256"] = hashlib.sha256(content).hexdigest()
                    file["bytes"] = len(content)
    LOCK_FILE.write_text(json.dumps(manifest, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="the Python whose pip downloads")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("install")
    command.add_argument("--prefix", required=True)
    command.add_argument("groups", nargs="+")
    command.set_defaults(run=install)
    command = commands.add_parser("repin")
    command.add_argument("names", nargs="+")
    command.set_defaults(run=repin)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; run it again to continue", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
