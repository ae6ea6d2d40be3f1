"""The texts and settings of the golden cases."""

from __future__ import annotations

from typing import Iterator

LONG = (
    "The committee met on Thursday to discuss the budget, and after a long debate it agreed that the school would get a new roof, "
    "two extra teachers, and enough money to repair the heating before the winter arrives."
)
TEXTS = [
    "Hi.",
    "No",
    "Hello there, how are you?",
    "please lock the door when you leave",
    "WHY ARE YOU SHOUTING?!",
    "Wait... what: one; two - three — four – five , six",
    "“Don’t!” she said, ‘it’s late’…",
    "  two\n\n lines \t and   spaces  ",
    "It costs 25 dollars, or 30 % more.",
    "A naïve café in Zürich, naturally.",
    "The weather tomorrow will be cold and windy, but we should go for a walk anyway.",
    LONG,
]
SPOKEN = [
    ("de", "Heute ist es kalt, aber schön."),
    ("fr", "Où est la gare, s'il vous plaît ?"),
    ("ru", "Доброе утро, как дела?"),
    ("el", "Καλημέρα σας."),
    ("ar", "صباح الخير."),
    ("hi", "नमस्ते, आप कैसे हैं?"),
    ("ja", "ありがとうございます。"),
    ("ja", "ガラス、ﾊﾟﾝ！"),
    ("ko", "안녕하세요, 잘 지내요?"),
    ("es", "¡Hola! ¿Qué tal?"),
]
TAGGED = ["[laugh] That is funny [sigh] I think.", "[whispering] Come here: now; please.", "Well... [clear throat] yes."]


def cases_of(family: str, has_default: bool) -> Iterator[dict]:
    usual = "default" if has_default else "high"

    def case(text: str, voice: str = usual, language: str = "en", **settings) -> dict:
        limit_at_end = settings.pop("limit_at_end", 0)
        return {"text": text, "language": language, "voice": voice, "settings": settings, "limit_at_end": limit_at_end}

    for text in TEXTS:
        yield case(text)
    hello, walk = TEXTS[2], TEXTS[10]
    for text in (hello, walk):
        yield case(text, "higher")
        yield case(text, "long")
        for penalty in (1.0, 1.5, 2.0):
            yield case(text, repetition_penalty=penalty)
        for limit in (1, 5, 20):
            yield case(text, max_tokens=limit)
        # The limit is what the text needs, then one more.
        for limit_at_end in (1, 2):
            yield case(text, limit_at_end=limit_at_end)
    if family == "turbo":
        for text in TAGGED:
            yield case(text)
        return
    for text in (hello, walk, TEXTS[3]):
        for exaggeration in (0.25, 1.0, 2.0):
            yield case(text, exaggeration=exaggeration)
        for cfg_weight in (0.25, 0.5, 1.0):
            yield case(text, cfg_weight=cfg_weight)
        yield case(text, "higher", cfg_weight=0.5, exaggeration=0.75, repetition_penalty=1.4)
    if family == "multilingual":
        for language, text in SPOKEN:
            yield case(text, language=language)
        yield case(walk, language="nl")
