"""Files of a public model hub: asked for, fetched, continued, checked. What `download_models.py` is made of.

Invariants:
- Standard library only; Python 3.8 is enough.
- A model's folder appears under its final name only when every file in it has the size and sum the hub states.
- What was fetched stays: the next run goes on at the byte where the last one stopped.
- The access token is sent to the hub and never to the storage host that the hub redirects to.
"""

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


class Problem(Exception):
    """Something the person at the keyboard can act on."""


class NotThere(Problem):
    """The hub knows no such repository, or does not show it to us."""


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

# --- one folder ---


def install(hub, repository, commit, wanted, final):
    """Brings files {path: facts} into a folder that gets its name when all of them are there and right."""
    if final.is_dir() and is_whole(final, wanted):
        say(f"{final}: already there, checked")
        return final
    incoming = final.with_name(f".{final.name}.incoming")
    incoming.mkdir(parents=True, exist_ok=True)
    here = sum(it.stat().st_size for it in incoming.rglob("*") if it.is_file())
    require_space(final.parent, sum(it["bytes"] or 0 for it in wanted.values()) - here)
    say(f"{final.name}: {repository} at {commit[:12]}")
    for name, facts in sorted(wanted.items(), key=lambda it: it[1]["bytes"] or 0):
        target = incoming / pathlib.PurePosixPath(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch(hub, repository, commit, name, facts, target)
    # What an earlier run left that asked for other files, or for the same ones before they changed.
    for leftover in [it for it in incoming.rglob("*") if it.is_file()]:
        if leftover.relative_to(incoming).as_posix() not in wanted:
            leftover.unlink()
    (incoming / "source.json").write_text(json.dumps({"repository": repository, "commit": commit}) + "\n")
    if final.exists():
        shutil.rmtree(final)
    os.replace(incoming, final)
    say(f"{final}: complete and checked")
    return final


def is_whole(folder, wanted):
    return all((folder / it).is_file() and verify(folder / it, facts) is None for it, facts in wanted.items())


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


def say(text):
    print(text, flush=True)
