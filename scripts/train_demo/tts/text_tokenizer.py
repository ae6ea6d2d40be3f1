"""`tokenizer.json`: single characters, in small letters and plain marks, between the marks of the contract."""

import json
import pathlib

from tts import language_model as lm

SPECIAL = {
    "[STOP]": lm.STOP_TEXT, "[UNK]": lm.UNKNOWN, "[START]": lm.START_TEXT, "[START_SPEECH]": lm.BEGIN_SPEECH,
    "[STOP_SPEECH]": lm.STOP_SPEECH, "[EXAGGERATION]": lm.EXAGGERATION,
}  # fmt: skip
AROUND = ("[EXAGGERATION]", "[START]"), ("[STOP]", "[START_SPEECH]", "[START_SPEECH]")


def _replace(what: str, by: str) -> dict:
    return {"type": "Replace", "pattern": {"Regex": what}, "content": by}


def written() -> dict:
    vocabulary = {name: SPECIAL[name] for name in ("[STOP]", "[UNK]")} | lm.CHARACTER_ID
    vocabulary |= {f"[r{n}]": n for n in range(lm.FIRST_CHARACTER + len(lm.CHARACTERS), lm.START_TEXT)}
    vocabulary["[START]"] = lm.START_TEXT
    normalizers = [
        {"type": "NFKD"},
        {"type": "StripAccents"},
        {"type": "Lowercase"},
        _replace("[\u2018\u2019\u00b4`]", "'"),
        _replace("[\u2013\u2014]", ", "),
        _replace("\u2026", "."),
        _replace('["\u201c\u201d()\\[\\]{}*_]', " "),
        _replace("\\s+", " "),
        {"type": "Strip", "strip_left": True, "strip_right": True},
        _replace("(?<=[a-z0-9'])$", "."),
    ]
    before, after = ([{"SpecialToken": {"id": it, "type_id": 0}} for it in names] for names in AROUND)
    first, second = ({"Sequence": {"id": name, "type_id": n}} for n, name in enumerate("AB"))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": id, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
            for name, id in sorted(SPECIAL.items(), key=lambda it: it[1])
        ],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [*before, first, *after],
            "pair": [first, second],
            "special_tokens": {it: {"id": it, "ids": [SPECIAL[it]], "tokens": [it]} for it in sorted(set(sum(AROUND, ())))},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }


def write(path: pathlib.Path) -> None:
    path.write_text(json.dumps(written(), ensure_ascii=False, indent=0))
