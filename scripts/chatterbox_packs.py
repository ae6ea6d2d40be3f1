"""Which speaking models are published, and which of their files make a pack that the synthesiser can load.

Invariants:
- A pack is the four graphs, each in one precision, with every file that holds weights of it, in one folder and under their own
  names: the names are written inside the graphs.
- Where a graph is not published in the precision that was asked for, another one is taken and said.
"""

import re

from model_hub import Problem, first_that_exists, install, say

GRAPHS = ("speech_encoder", "embed_tokens", "language_model", "conditional_decoder")
# The end of a graph's file name.
SUFFIXES = {"fp32": "", "fp16": "_fp16", "quantized": "_quantized", "q4": "_q4", "q4f16": "_q4f16"}
# The nearest to each in size and in where it runs well, for graphs that it is not published for.
INSTEAD = {
    "fp32": ("fp16", "q4", "q4f16", "quantized"),
    "fp16": ("fp32", "q4f16", "q4", "quantized"),
    "quantized": ("q4", "fp32", "fp16", "q4f16"),
    "q4": ("q4f16", "fp32", "fp16", "quantized"),
    "q4f16": ("q4", "fp16", "fp32", "quantized"),
}
DEFAULT_PRECISION = "q4"
ROOT_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json", "generation_config.json",
    "preprocessor_config.json", "default_voice.wav", "Cangjie5_TC.json", "LICENSE",
)

# Name: repositories, the first that exists wins; about how much is downloaded in each precision; what it is.
CHATTERBOX = {
    "chatterbox": (
        ["onnx-community/chatterbox-ONNX"],
        {"q4": "1.6 GB", "q4f16": "1.5 GB", "fp16": "2.3 GB", "fp32": "3.3 GB"},
        "English, 0.5 B",
    ),
    "chatterbox-multilingual": (
        ["onnx-community/chatterbox-multilingual-ONNX"],
        {"q4": "1.6 GB", "q4f16": "1.5 GB", "fp16": "2.3 GB", "fp32": "3.3 GB"},
        "23 languages",
    ),
    "chatterbox-multilingual-v3": (
        ["Masterx/chatterbox-multilingual-v3-ONNX"],
        {"q4": "1.6 GB", "q4f16": "1.5 GB", "fp16": "2.3 GB", "fp32": "3.3 GB"},
        "23 languages, third edition",
    ),
    "chatterbox-turbo": (
        ["ResembleAI/chatterbox-turbo-ONNX"],
        {"q4": "730 MB", "q4f16": "570 MB", "quantized": "1 to 2 GB", "fp16": "1.7 GB", "fp32": "3.3 GB"},
        "English, 350 M, fewer decoder steps",
    ),
    "chatterbox-nano": (
        ["owensong/chatterbox-nano-ONNX", "Masterx/chatterbox-nano-ONNX"],
        {"q4": "570 MB, graphs of mixed precision"},
        "English, the smallest",
    ),
}

# For a hub that states neither sum nor size (a plain mirror): the sizes that users of the published files have pinned.
# The decoder of Nano is that of Turbo, byte for byte.
_TURBO_DECODER_Q4 = {"conditional_decoder_q4.onnx": 2_179_022, "conditional_decoder_q4.onnx_data": 246_397_384}
_MULTILINGUAL = {
    "speech_encoder.onnx": 1_184_608,
    "speech_encoder.onnx_data": 591_274_880,
    "embed_tokens.onnx": 13_286,
    "embed_tokens.onnx_data": 68_390_912,
    "conditional_decoder.onnx": 6_350_448,
    "conditional_decoder.onnx_data": 533_970_816,
    "language_model_q4.onnx": 227_911,
    "language_model_q4.onnx_data": 353_621_248,
    "default_voice.wav": 714_320,
}
KNOWN_BYTES = {
    "onnx-community/chatterbox-multilingual-ONNX": _MULTILINGUAL,
    "ResembleAI/chatterbox-turbo-ONNX": {
        **_TURBO_DECODER_Q4,
        "language_model_q4.onnx": 274_572,
        "language_model_q4.onnx_data": 204_456_572,
        "language_model_q4f16.onnx": 276_803,
        "language_model_q4f16.onnx_data": 183_981_430,
        "embed_tokens_q4.onnx": 2_844,
        "embed_tokens_q4.onnx_data": 37_286_384,
        "embed_tokens_q4f16.onnx": 2_548,
        "embed_tokens_q4f16.onnx_data": 33_648_688,
        "speech_encoder_q4.onnx": 1_200_346,
        "speech_encoder_q4.onnx_data": 229_560_112,
        "speech_encoder_q4f16.onnx": 1_217_655,
        "speech_encoder_q4f16.onnx_data": 177_289_008,
        "conditional_decoder_q4f16.onnx": 2_394_210,
        "conditional_decoder_q4f16.onnx_data": 162_996_136,
    },
    "owensong/chatterbox-nano-ONNX": {
        **_TURBO_DECODER_Q4,
        "embed_tokens_fp16.onnx": 1_520,
        "embed_tokens_fp16.onnx_data": 87_304_704,
        "language_model_q4f16.onnx": 522_078,
        "language_model_q4f16.onnx_data": 55_911_658,
        "speech_encoder_q4f16.onnx": 1_219_352,
        "speech_encoder_q4f16.onnx_data": 176_273_652,
    },
}


def known_name(given):
    """(name, precision or None) of `chatterbox-turbo`, `chatterbox-turbo-fp16` or `ResembleAI/chatterbox-turbo-ONNX`, else None."""
    for name, (repositories, _abouts, _what) in CHATTERBOX.items():
        if given == name or given in repositories:
            return name, None
        for precision in SUFFIXES:
            if given == f"{name}-{precision}":
                return name, precision
    return None


def names():
    return [*CHATTERBOX, *(f"{name}-{it}" for name, (_repos, abouts, _what) in CHATTERBOX.items() for it in abouts)]


def is_pack(files):
    """Whether a repository holds models of this kind."""
    return all(published(files, graph) for graph in GRAPHS)


class Wish:
    """Precisions as they were asked for: one for all graphs, and others for single ones."""

    def __init__(self, given):
        self.overall, self.of = None, {}
        for it in given:
            graph, equals, precision = it.rpartition("=")
            if precision not in SUFFIXES or (equals and graph not in GRAPHS):
                raise Problem(
                    f"`--precision {it}` is not understood: give one of {', '.join(SUFFIXES)}, "
                    f"or GRAPH=PRECISION with a graph of {', '.join(GRAPHS)}"
                )
            if equals:
                self.of[graph] = precision
            elif self.overall not in (None, precision):
                raise Problem(f"`--precision` asks for all graphs in {self.overall} and in {precision}; name the graph of one of them")
            else:
                self.overall = precision

    def folder_name(self, name, named):
        """Different choices of files are different folders."""
        overall = named or self.overall
        return "-".join([name, *([overall] if overall else []), *(f"{graph}-{it}" for graph, it in sorted(self.of.items()))])


def published(files, graph):
    """{precision: path} of a graph, in `onnx/` or beside the rest."""
    found = {}
    for precision, suffix in SUFFIXES.items():
        for folder in ("onnx/", ""):
            path = f"{folder}{graph}{suffix}.onnx"
            if path in files:
                found.setdefault(precision, path)
    return found


def choose(files, wish, overall, repository):
    """The paths of a whole pack."""
    wanted = [it for it in ROOT_FILES if it in files]
    taken = {}
    for graph in GRAPHS:
        there = published(files, graph)
        if not there:
            raise Problem(f"{repository} has no {graph}.onnx in any precision; it is no Chatterbox pack in ONNX")
        exactly = wish.of.get(graph)
        if exactly and exactly not in there:
            raise Problem(f"{repository} has no {graph} in {exactly}. Published: {', '.join(there)}")
        taken[graph] = exactly or next(it for it in (overall, *INSTEAD[overall]) if it in there)
        path = there[taken[graph]]
        # Weights of more than 2 GB may lie in several files: `…_data`, `…_data_1`.
        wanted += [it for it in files if it == path or re.fullmatch(re.escape(path) + r"_data(_\d+)?", it)]
    if "tokenizer.json" not in wanted:
        raise Problem(f"{repository} has no tokenizer.json; it is no Chatterbox pack in ONNX")
    if overall not in taken.values() and set(wish.of) != set(GRAPHS):
        there = sorted({it for graph in GRAPHS for it in published(files, graph)})
        raise Problem(f"{repository} has no graph in {overall}. Published: {', '.join(there)}")
    return wanted, taken


def with_known_size(repository, path, facts):
    if facts["bytes"] is None and not facts["sha256"]:
        return {**facts, "bytes": KNOWN_BYTES.get(repository, {}).get(path.rsplit("/", 1)[-1])}
    return facts


def download(hub, name, named, repositories, folder, revision, wish):
    """Fetches one pack. `named` is the precision that is part of the name it was asked for by, if any."""
    if named and wish.overall not in (None, named):
        raise Problem(f"{name}-{named} with `--precision {wish.overall}`: which of the two?")
    repository, commit, files = first_that_exists(hub, repositories, revision)
    wanted, taken = choose(files, wish, named or wish.overall or DEFAULT_PRECISION, repository)
    final = install(
        hub, repository, commit,
        {it: with_known_size(repository, it, files[it]) for it in wanted},
        folder / wish.folder_name(name, named),
    )
    say("  " + ", ".join(f"{graph} {precision}" for graph, precision in taken.items()))
    if "default_voice.wav" not in wanted:
        say("  it comes without a voice: register one before speaking (docs/VOICES.md)")
    return final


def list_packs():
    print("Chatterbox (name, about how much to download; without a precision it is " + DEFAULT_PRECISION + "):")
    for name, (repositories, abouts, what) in CHATTERBOX.items():
        print(f"  {name}: {what}; {repositories[0]}")
        for precision, about in abouts.items():
            print(f"    {name + '-' + precision:34} {about}")
    print("  --precision GRAPH=PRECISION takes another precision for one graph; graphs that are not published in the one")
    print("  that is asked for are taken in another. On a GPU take fp16 or q4f16 (fast attention there has no other), on a CPU q4 or fp32.")
