#!/usr/bin/env python3
"""Fetches real speech models by name from their public repositories. Called by `download_models.sh`.

Invariants:
- Standard library only; Python 3.8 is enough.
- A model's folder appears under its final name only when every file in it has the size and sum the hub states.
- What was fetched stays: the next run goes on at the byte where the last one stopped.
- The access token is sent to the hub and never to the storage host that the hub redirects to.
"""

import argparse
import difflib
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

CHUNK_BYTES = 1 << 20
ATTEMPTS = 6
TIMEOUT_S = 30
# Kept free on the disk beyond the model itself.
SPARE_BYTES = 64 << 20

# Name: repositories, the first that exists wins; then about how much is downloaded.
WHISPER = {
    "tiny": (["Systran/faster-whisper-tiny"], "78 MB"),
    "tiny.en": (["Systran/faster-whisper-tiny.en"], "78 MB"),
    "base": (["Systran/faster-whisper-base"], "148 MB"),
    "base.en": (["Systran/faster-whisper-base.en"], "148 MB"),
    "small": (["Systran/faster-whisper-small"], "486 MB"),
    "small.en": (["Systran/faster-whisper-small.en"], "486 MB"),
    "medium": (["Systran/faster-whisper-medium"], "1.5 GB"),
    "medium.en": (["Systran/faster-whisper-medium.en"], "1.5 GB"),
    "large-v1": (["Systran/faster-whisper-large-v1"], "3.1 GB"),
    "large-v2": (["Systran/faster-whisper-large-v2"], "3.1 GB"),
    "large-v3": (["Systran/faster-whisper-large-v3"], "3.1 GB"),
    "large-v3-turbo": (
        ["mobiuslabsgmbh/faster-whisper-large-v3-turbo", "deepdml/faster-whisper-large-v3-turbo-ct2"],
        "1.6 GB",
    ),
    "distil-small.en": (["Systran/faster-distil-whisper-small.en"], "336 MB"),
    "distil-medium.en": (["Systran/faster-distil-whisper-medium.en"], "794 MB"),
    "distil-large-v2": (["Systran/faster-distil-whisper-large-v2"], "1.5 GB"),
    "distil-large-v3": (["Systran/faster-distil-whisper-large-v3"], "1.5 GB"),
    "distil-large-v3.5": (["distil-whisper/distil-large-v3.5-ct2"], "1.5 GB"),
}
ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo", "openai/whisper-large": "large-v1"}
SMART_TURN_REPOSITORY = "pipecat-ai/smart-turn-v3"
SMART_TURN = {
    "smart-turn": ("smart-turn-v3.2-cpu.onnx", "9 MB"),
    "smart-turn-gpu": ("smart-turn-v3.2-gpu.onnx", "32 MB"),
}
WHISPER_FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json")
WHISPER_REQUIRED = ("config.json", "model.bin", "tokenizer.json")


class Problem(Exception):
    """Something the person at the keyboard can act on."""


class NotThere(Problem):
    """The hub knows no such repository, or does not show it to us."""


def short_name(given):
    """`openai/whisper-base`, `whisper-base` and `base` are the same model. None if it is no known name."""
    if given in ALIASES:
        return ALIASES[given]
    for name, (repositories, _about) in WHISPER.items():
        if given in repositories:
            return name
    name = given
    for prefix in ("openai/whisper-", "whisper-", "distil-whisper/"):
        if name.startswith(prefix):
            name = name[len(prefix):]
            break
    name = ALIASES.get(name, name)
    return name if name in WHISPER or name in SMART_TURN else None


class Hub:
    def __init__(self, endpoint, token):
        self.endpoint = endpoint.rstrip("/")
        self.token = token

    def open(self, path, headers=None):
        request = urllib.request.Request(self.endpoint + path, headers=headers or {})
        request.add_header("User-Agent", "voice-agent-download/1")
        if self.token:
            # "Unredirected": the storage host behind a redirect must not see it.
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)

    def repository(self, name, revision):
        """The commit and the files of a repository: {path: {"bytes", "sha256" or "git_sha1"}}."""
        path = f"/api/models/{name}/revision/{urllib.parse.quote(revision, safe='')}?blobs=true"
        answer = retrying(lambda: self._read_json(path), f"asking {self.endpoint} for {name}", self, name)
        if not {"sha", "siblings"} <= set(answer):
            raise Problem(f"{self.endpoint} does not answer as a model hub does; check HF_ENDPOINT")
        files = {}
        for it in answer["siblings"]:
            large = it.get("lfs") or {}
            files[it["rfilename"]] = {
                "bytes": large.get("size", it.get("size")),
                "sha256": large.get("sha256") or large.get("oid"),
                "git_sha1": it.get("blobId"),
            }
        return answer["sha"], files

    def _read_json(self, path):
        with self.open(path) as response:
            return dict(json.loads(response.read()))


def retrying(step, what, hub, repository):
    """Runs `step`, again after failures that may pass by themselves, and turns the last one into advice."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return step()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403, 404):
                raise NotThere(refused(error.code, hub, repository)) from None
            if error.code not in (408, 416, 429) and error.code < 500:
                raise Problem(f"{what}: the hub answered {error.code} {error.reason}") from None
            failure = f"the hub answered {error.code} {error.reason}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            if is_final(error):
                raise Problem(offline(what, error, hub)) from None
            failure = str(getattr(error, "reason", error)) or type(error).__name__
        if attempt < ATTEMPTS:
            pause_s = min(2 ** (attempt - 1), 20) * float(os.environ.get("DOWNLOAD_PAUSE_FACTOR", "1"))
            say(f"{what}: {failure}; trying again in {pause_s:g} s ({attempt} of {ATTEMPTS - 1})")
            time.sleep(pause_s)
    raise Problem(offline(what, failure, hub))


def is_final(error):
    """No network at all: waiting a few seconds would not help, and the person should hear it now."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, (socket.gaierror, ConnectionRefusedError))


def offline(what, error, hub):
    return (
        f"{what}: {getattr(error, 'reason', error)}\n"
        f"  {hub.endpoint} cannot be reached from this machine. What you can do:\n"
        "  - use the built-in demo model, Silero and Smart Turn: they need no download;\n"
        "  - run this script where there is a network, with --dir FOLDER, and copy the folder to .native/models/ here;\n"
        "  - set HF_ENDPOINT to a mirror of the hub, or HTTPS_PROXY to your proxy.\n"
        "  What was fetched so far is kept; running this again goes on from there."
    )


def refused(status, hub, repository):
    if status == 404:
        return f"{repository}: {hub.endpoint} has no such model or file (404)"
    hint = "the token in HF_TOKEN may not read it" if hub.token else "set HF_TOKEN if it is private or gated"
    return f"{repository}: {hub.endpoint} refuses it ({status}): {hint}, and check the spelling"


# --- one file ---


def verify(path, facts):
    """None if the file is what the hub states, else what is wrong."""
    size = path.stat().st_size
    if facts["bytes"] is not None and size != facts["bytes"]:
        return f"it has {size} bytes, the hub states {facts['bytes']}"
    name, digest = ("sha256", hashlib.sha256()) if facts["sha256"] else ("git_sha1", hashlib.sha1())
    if not facts[name]:
        return None
    if name == "git_sha1":
        # Small files are kept in git itself, whose sum covers a header and the content.
        digest.update(b"blob %d\0" % size)
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            digest.update(chunk)
    if digest.hexdigest() != facts[name]:
        return f"its sum is {digest.hexdigest()}, the hub states {facts[name]}"
    return None


def fetch(hub, repository, commit, name, facts, target):
    """Brings one file to `target`, going on where an earlier run stopped."""
    if target.exists() and verify(target, facts) is None:
        return
    mark = (facts["sha256"] or facts["git_sha1"] or commit)[:12]
    partial = target.with_name(f"{target.name}.{mark}.part")
    path = f"/{repository}/resolve/{commit}/{urllib.parse.quote(name)}"
    for again in (True, False):
        retrying(lambda: fetch_rest(hub, path, facts, partial, name), f"downloading {name}", hub, repository)
        wrong = verify(partial, facts)
        if wrong is None:
            os.replace(partial, target)
            return
        partial.unlink()
        if again:
            say(f"{name} arrived damaged ({wrong}); fetching it again from the start")
    raise Problem(f"{name} of {repository} is not what the hub states, twice: {wrong}. Nothing was installed.")


def fetch_rest(hub, path, facts, partial, label):
    have = partial.stat().st_size if partial.exists() else 0
    if facts["bytes"] is not None and have >= facts["bytes"]:
        if have == facts["bytes"]:
            return
        partial.unlink()
        have = 0
    try:
        response = hub.open(path, {"Range": f"bytes={have}-"} if have else {})
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # Nothing is left to send, so what we hold is not a beginning of this file.
            partial.unlink()
        raise
    with response:
        if have and response.status != 206:
            # This server does not continue files: take it from the start.
            have = 0
        with open(partial, "ab" if have else "wb") as file, Progress(label, facts["bytes"], have) as progress:
            while True:
                chunk = response.read(CHUNK_BYTES)
                if not chunk:
                    break
                file.write(chunk)
                progress.add(len(chunk))
    size = partial.stat().st_size
    if facts["bytes"] is not None and size < facts["bytes"]:
        raise ConnectionError(f"the connection ended after {size} of {facts['bytes']} bytes")


class Progress:
    """A line that moves on a terminal, a line now and then in a log."""

    def __init__(self, label, total, start):
        self.label, self.total, self.done, self.start = label, total, start, start
        self.began = self.shown = time.monotonic()
        self.moving = sys.stdout.isatty()

    def add(self, n_bytes):
        self.done += n_bytes
        now = time.monotonic()
        if now - self.shown >= (0.2 if self.moving else 10):
            self.shown = now
            self.show()

    def show(self, end=""):
        elapsed = max(time.monotonic() - self.began, 1e-3)
        speed = (self.done - self.start) / elapsed
        text = f"  {self.label}: {size(self.done)}"
        if self.total:
            text += f" of {size(self.total)}, {100 * self.done // self.total} %"
            if speed > 0 and self.done < self.total:
                text += f", {(self.total - self.done) / speed:.0f} s left"
        text += f", {size(speed)}/s"
        print(f"\r{text}\033[K{end}" if self.moving else text, end="" if self.moving else "\n", flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *_failure):
        self.show("\n" if self.moving else "")


def size(n_bytes):
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes:.0f} B"


# --- one model ---


def download(hub, given, folder, revision):
    name = short_name(given)
    if name is None and given.count("/") == 1:
        repositories, name = [given], given.rsplit("/", 1)[1]
        return download_whisper(hub, name, repositories, folder, revision)
    if name is None:
        known = [*WHISPER, *SMART_TURN, *ALIASES]
        close = difflib.get_close_matches(given, known, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise Problem(f"unknown model `{given}`.{hint} --list shows all names; OWNER/NAME takes any CTranslate2 repository.")
    if name in SMART_TURN:
        return download_smart_turn(hub, SMART_TURN[name][0], folder, revision)
    return download_whisper(hub, name, WHISPER[name][0], folder, revision)


def download_smart_turn(hub, file_name, folder, revision):
    commit, files = hub.repository(SMART_TURN_REPOSITORY, revision)
    if file_name not in files:
        raise Problem(f"{SMART_TURN_REPOSITORY} has no {file_name} at {revision}")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file_name
    require_space(folder, files[file_name]["bytes"] or 0)
    fetch(hub, SMART_TURN_REPOSITORY, commit, file_name, files[file_name], target)
    say(f"{target}: complete and checked")
    return target


def download_whisper(hub, name, repositories, folder, revision):
    final = folder / name
    repository, commit, files = first_that_exists(hub, repositories, revision)
    wanted = {it: files[it] for it in files if it in WHISPER_FILES or it.startswith("vocabulary.")}
    missing = [it for it in WHISPER_REQUIRED if it not in wanted]
    if missing or not any(it.startswith("vocabulary.") for it in wanted):
        lacks = ", ".join(missing or ["vocabulary.*"])
        raise Problem(
            f"{repository} is not a Whisper model in CTranslate2's format: it lacks {lacks}.\n"
            "  Convert it first with ctranslate2's ct2-transformers-converter (docs/INSTALL.md, \"Your own model\")."
        )
    if final.is_dir() and all((final / it).is_file() and verify(final / it, wanted[it]) is None for it in wanted):
        say(f"{final}: already there, checked")
        return final
    incoming = folder / f".{name}.incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    here = sum(it.stat().st_size for it in incoming.iterdir())
    require_space(folder, sum(it["bytes"] or 0 for it in wanted.values()) - here)
    say(f"{name}: {repository} at {commit[:12]}")
    for file_name, facts in sorted(wanted.items(), key=lambda it: it[1]["bytes"] or 0):
        fetch(hub, repository, commit, file_name, facts, incoming / file_name)
    for leftover in incoming.glob("*.part"):
        leftover.unlink()
    (incoming / "source.json").write_text(json.dumps({"repository": repository, "commit": commit}) + "\n")
    if final.exists():
        shutil.rmtree(final)
    os.replace(incoming, final)
    say(f"{final}: complete and checked")
    return final


def first_that_exists(hub, repositories, revision):
    refusals = []
    for repository in repositories:
        try:
            return (repository, *hub.repository(repository, revision))
        except NotThere as refusal:
            refusals.append(str(refusal))
    raise Problem("; ".join(refusals))


def require_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise Problem(f"{folder} has {size(free)} free; {size(needed + SPARE_BYTES)} are needed. Use --dir for another disk.")


def list_models():
    print("Whisper (name, about how much to download, where from):")
    for name, (repositories, about) in WHISPER.items():
        print(f"  {name:18} {about:>7}  {repositories[0]}")
    print("Smart Turn:")
    for name, (file_name, about) in SMART_TURN.items():
        print(f"  {name:18} {about:>7}  {SMART_TURN_REPOSITORY}, {file_name}")
    print("Also understood: large, turbo, whisper-NAME, openai/whisper-NAME, distil-whisper/NAME, and OWNER/NAME of any")
    print("repository with a Whisper model in CTranslate2's format.")


def say(text):
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/download_models.sh",
        description="Fetches real speech models by name, with resume and checked sums.",
        epilog="Environment: HF_TOKEN for private or gated models, HF_ENDPOINT for a mirror of the hub, HTTPS_PROXY.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="for example: base, large-v3-turbo, smart-turn-gpu")
    parser.add_argument("--list", action="store_true", help="show the names and their sizes")
    checkout = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--dir", type=pathlib.Path, default=checkout / ".native" / "models",
                        help="where to put them (default: .native/models of this checkout)")
    parser.add_argument("--revision", default="main", help="branch, tag or commit (default: main)")
    arguments = parser.parse_args()
    if arguments.list:
        list_models()
        return 0
    if not arguments.names:
        parser.print_usage(sys.stderr)
        print("error: name at least one model, or use --list", file=sys.stderr)
        return 2
    hub = Hub(os.environ.get("HF_ENDPOINT") or "https://huggingface.co", os.environ.get("HF_TOKEN"))
    try:
        arguments.dir.mkdir(parents=True, exist_ok=True)
        fetched = [download(hub, it, arguments.dir, arguments.revision) for it in arguments.names]
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    whisper = [it for it in fetched if it.is_dir()]
    if whisper:
        in_home = arguments.dir.resolve() == (checkout / ".native" / "models").resolve()
        model = whisper[-1].name if in_home else whisper[-1].resolve()
        print(f"Use it: asr --set model.name={model}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
