#!/usr/bin/env python3
"""Fetches real speech models by name from their public repositories. Called by `download_models.sh`.

Invariants:
- Standard library only; Python 3.8 is enough.
- How files arrive, whole or not at all, is `model_hub`'s matter; which files make a speaking model is `chatterbox_packs`'.
"""

import argparse
import difflib
import os
import pathlib
import sys

import chatterbox_packs
from model_hub import Hub, Problem, fetch, first_that_exists, install, require_space, say

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
# OpenAI's repository `whisper-large` holds its first large model; without an owner, `large` is the latest. The server reads names so too.
ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo", "openai/whisper-large": "large-v1"}
SMART_TURN_REPOSITORY = "pipecat-ai/smart-turn-v3"
SMART_TURN = {
    "smart-turn": ("smart-turn-v3.2-cpu.onnx", "9 MB"),
    "smart-turn-gpu": ("smart-turn-v3.2-gpu.onnx", "32 MB"),
}
WHISPER_FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json")
WHISPER_REQUIRED = ("config.json", "model.bin", "tokenizer.json")


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


def download(hub, given, folder, revision, wish):
    if pack := chatterbox_packs.known_name(given):
        name, precision = pack
        repositories = chatterbox_packs.CHATTERBOX[name][0]
        return "tts", chatterbox_packs.download(hub, name, precision, repositories, folder, revision, wish)
    name = short_name(given)
    if name in SMART_TURN:
        return None, download_smart_turn(hub, SMART_TURN[name][0], folder, revision)
    if name is not None:
        return "asr", download_whisper(hub, name, first_that_exists(hub, WHISPER[name][0], revision), folder)
    if given.count("/") == 1:
        repository, commit, files = hub_answer = first_that_exists(hub, [given], revision)
        name = given.rsplit("/", 1)[1]
        if chatterbox_packs.is_pack(files):
            return "tts", chatterbox_packs.download(hub, name, None, [repository], folder, commit, wish)
        return "asr", download_whisper(hub, name, hub_answer, folder)
    known = [*WHISPER, *SMART_TURN, *ALIASES, *chatterbox_packs.names()]
    close = difflib.get_close_matches(given, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise Problem(
        f"unknown model `{given}`.{hint} --list shows all names; OWNER/NAME takes any repository with a Whisper model in "
        "CTranslate2's format or a Chatterbox pack in ONNX."
    )


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


def download_whisper(hub, name, hub_answer, folder):
    repository, commit, files = hub_answer
    wanted = {it: files[it] for it in files if it in WHISPER_FILES or it.startswith("vocabulary.")}
    missing = [it for it in WHISPER_REQUIRED if it not in wanted]
    if missing or not any(it.startswith("vocabulary.") for it in wanted):
        lacks = ", ".join(missing or ["vocabulary.*"])
        raise Problem(
            f"{repository} is neither a Chatterbox pack in ONNX nor a Whisper model in CTranslate2's format: it lacks {lacks}.\n"
            "  Convert a Whisper model first with ctranslate2's ct2-transformers-converter (docs/INSTALL.md, \"Your own model\")."
        )
    return install(hub, repository, commit, wanted, folder / name)


def list_models():
    print("Whisper (name, about how much to download, where from):")
    for name, (repositories, about) in WHISPER.items():
        print(f"  {name:18} {about:>7}  {repositories[0]}")
    print("Smart Turn:")
    for name, (file_name, about) in SMART_TURN.items():
        print(f"  {name:18} {about:>7}  {SMART_TURN_REPOSITORY}, {file_name}")
    chatterbox_packs.list_packs()
    print("Also understood: large, turbo, whisper-NAME, openai/whisper-NAME, distil-whisper/NAME, and OWNER/NAME of any")
    print("repository with a Whisper model in CTranslate2's format or a Chatterbox pack in ONNX.")


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/download_models.sh",
        description="Fetches real speech models by name, with resume and checked sums.",
        epilog="Environment: HF_TOKEN for private or gated models, HF_ENDPOINT for a mirror of the hub, HTTPS_PROXY.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="for example: large-v3-turbo, chatterbox-turbo-q4f16, smart-turn-gpu")
    parser.add_argument("--list", action="store_true", help="show the names and their sizes")
    checkout = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--dir", type=pathlib.Path, default=checkout / ".native" / "models",
                        help="where to put them (default: .native/models of this checkout)")
    parser.add_argument("--revision", default="main", help="branch, tag or commit (default: main)")
    parser.add_argument("--precision", action="append", default=[], metavar="[GRAPH=]PRECISION",
                        help="of Chatterbox packs: " + ", ".join(chatterbox_packs.SUFFIXES) + "; for one graph: language_model=q4f16")
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
        wish = chatterbox_packs.Wish(arguments.precision)
        arguments.dir.mkdir(parents=True, exist_ok=True)
        fetched = [download(hub, it, arguments.dir, arguments.revision, wish) for it in arguments.names]
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    in_home = arguments.dir.resolve() == (checkout / ".native" / "models").resolve()
    for service, path in {service: path for service, path in fetched if service}.items():
        print(f"Use it: {service} --set model.name={path.name if in_home else path.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
