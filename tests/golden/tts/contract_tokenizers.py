"""Tokenizers of the contract models: the ids, templates and rules of the published ones over small vocabularies of our own."""

from __future__ import annotations

import unicodedata

from contract_language import END_OF_TEXT, EXAGGERATION, START, STOP

TEXT_STOP, UNKNOWN, SPACE, TEXT_START = 0, 1, 2, 255
LANGUAGES = "ar da de el en es fi fr he hi it ja ko ms nl no pl pt ru sv sw tr zh".split()
MULTILINGUAL_ROWS = 2352
SOUNDS = "clear throat|sigh|shush|cough|groan|sniff|gasp|chuckle|laugh".split("|")
STYLES = "angry fear surprised happy crying dramatic sarcastic whispering narration advertisement".split()
# Two parts each, and every part is a letter or an earlier pair.
PAIRS = """t h|h e|i n|e r|a n|r e|o n|a t|e n|n d|e s|o r|t i|t e|e d|i s|i t|a l|a r|s t|t o|n t|n g|s e|h a|a s|o u|l e|v e|c o|m e
    d e|r i|r o|i c|n e|e a|c e|l i|c h|l l|b e|m a|s i|o m|u r|o w|a y|w i|s h|th e|an d|in g|w h|y ou|th at|wi th|th is|ha ve|ou r"""
GREEK, CYRILLIC, HEBREW, ARABIC, DEVANAGARI = (0x370, 0x400), (0x400, 0x460), (0x5D0, 0x5EB), (0x60C, 0x65F), (0x900, 0x970)
JAMO, KANA, WIDE, IDEOGRAPHS = (0x1100, 0x11C3), (0x3001, 0x30FF), (0xFF01, 0xFF20), (0x4E00, 0x9FFF)


def _pairs() -> list[list[str]]:
    pairs = [it.split() for line in PAIRS.splitlines() for it in line.strip().split("|")]
    known = {chr(c) for c in range(ord("a"), ord("z") + 1)}
    kept = []
    for a, b in pairs:
        # "y ou" needs "ou": pairs whose parts are not there yet would never be used.
        if a in known and b in known:
            known.add(a + b)
            kept.append([a, b])
    return kept


def _letters(*spans: tuple[int, int]) -> list[str]:
    found = [chr(c) for span in spans for c in range(*span)]
    return [c for c in found if unicodedata.category(c)[0] in "LMNPS"]


def _added(tokens: dict[str, int], normalized: set[str] = frozenset()) -> list[dict]:
    rest = {"single_word": False, "lstrip": False, "rstrip": False}
    return [
        {"id": number, "content": token, **rest, "normalized": token in normalized, "special": token not in normalized}
        for token, number in sorted(tokens.items(), key=lambda it: it[1])
    ]


def _template(before: list[tuple[str, int]], after: list[tuple[str, int]]) -> dict:
    special = lambda it: {"SpecialToken": {"id": it[0], "type_id": 0}}
    text = lambda name, kind: {"Sequence": {"id": name, "type_id": kind}}
    return {
        "type": "TemplateProcessing",
        "single": [*map(special, before), text("A", 0), *map(special, after)],
        "pair": [text("A", 0), text("B", 1)],
        "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in before + after},
    }


def _bpe(vocabulary: dict[str, int], merges: list[list[str]], unknown: str | None) -> dict:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": merges,
    }


def _whole(added: list[dict], normalizer, pre_tokenizer, template: dict, decoder, model: dict) -> dict:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": template,
        "decoder": decoder,
        "model": model,
    }


def english(multilingual: bool) -> dict:
    """Letters and pairs of letters, nothing folded; a space is the token [SPACE]."""
    special = {"[STOP]": TEXT_STOP, "[UNK]": UNKNOWN, "[SPACE]": SPACE, "[START]": TEXT_START}
    letters = [chr(c) for c in range(0x21, 0x7F)]
    if multilingual:
        special |= {f"[{it}]": TEXT_START + 1 + n for n, it in enumerate(LANGUAGES)}
        letters += _letters((0xA1, 0x180), GREEK, CYRILLIC, HEBREW, ARABIC, DEVANAGARI, JAMO, KANA, WIDE, IDEOGRAPHS)
    taken = set(special.values())
    free = (n for n in range(MULTILINGUAL_ROWS if multilingual else 704) if n not in taken)
    merges = _pairs()
    vocabulary = dict(special)
    if not multilingual:
        vocabulary |= {it: next(free) for it in letters}
        # Pairs come after [START], as in the published file.
        vocabulary |= {a + b: TEXT_START + 1 + n for n, (a, b) in enumerate(merges)}
    else:
        pairs = [a + b for a, b in merges]
        vocabulary |= dict(zip([*letters[: 0x7F - 0x21], *pairs, *letters[0x7F - 0x21 :]], free))
    speech = {"[START_SPEECH]": START, "[STOP_SPEECH]": STOP, "[EXAGGERATION]": EXAGGERATION}
    vocabulary |= speech
    replace = lambda pattern, content: {"type": "Replace", "pattern": pattern, "content": content}
    collapse, space = replace({"Regex": "\\s+"}, " "), replace({"String": " "}, "[SPACE]")
    normalizer = {"type": "Sequence", "normalizers": [collapse, space]}
    before = [("[EXAGGERATION]", EXAGGERATION), ("[START]", TEXT_START)]
    after = [("[STOP]", TEXT_STOP), ("[START_SPEECH]", START), ("[START_SPEECH]", START)]
    added = _added(special | speech, {"[SPACE]"})
    return _whole(added, normalizer, None, _template(before, after), None, _bpe(vocabulary, merges, "[UNK]"))


def turbo() -> dict:
    """Bytes and pairs of bytes; twice the end of text behind, and tags for sounds and styles."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in kept]
    spelled = [chr(b) for b in kept] + [chr(256 + n) for n in range(len(others))]
    vocabulary = {it: n for n, it in enumerate(spelled)}
    merges = [["Ġ", letter] for letter in "taosiwcbph"] + _pairs()
    vocabulary |= {a + b: 256 + n for n, (a, b) in enumerate(merges)}
    tags = [f"[{it}]" for it in SOUNDS + STYLES]
    special = {"<|endoftext|>": END_OF_TEXT} | {it: END_OF_TEXT + 1 + n for n, it in enumerate(tags)}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    end = ("<|endoftext|>", END_OF_TEXT)
    model = _bpe(vocabulary | special, merges, None)
    return _whole(_added(special), None, level, _template([], [end, end]), level, model)
