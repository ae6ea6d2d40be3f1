"""Festival as a program: diphone voices (`kal_diphone`, `ked_diphone`) and a statistical one (`cmu_us_slt_arctic_hts`).

It takes most of a second to start, so one process speaks many texts.
"""

from __future__ import annotations

import pathlib
import subprocess
import tempfile
from collections.abc import Sequence

import soundfile

from shared.speech import SILENCE, Span, Speech, glue

_SPEAK = """
(define (speak text file)
  (let ((utterance (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave utterance file 'riff)
    (mapcar (lambda (item)
        (format t "word %s %f %f\\n" (item.name item)
            (parse-number (item.feat item "R:SylStructure.daughter1.daughter1.R:Segment.p.end"))
            (parse-number (item.feat item "R:SylStructure.daughtern.daughtern.R:Segment.end"))))
      (utt.relation.items utterance 'Word))
    (mapcar (lambda (item) (format t "phone %s %f\\n" (item.name item) (parse-number (item.feat item "end"))))
      (utt.relation.items utterance 'Segment))
    (format t "end\\n")))
"""


def say_all(texts: Sequence[str], voice: str, *, stretch: float = 1.0) -> list[Speech]:
    """Speaks each text. `stretch` above 1 is slower."""
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / f"{n}.wav" for n in range(len(texts))]
        script = pathlib.Path(folder) / "speak.scm"
        lines = [_SPEAK, f"(voice_{voice})", f"(Parameter.set 'Duration_Stretch {stretch:.3f})"]
        lines += [f'(speak "{_escaped(text)}" "{file}")' for text, file in zip(texts, files)]
        script.write_text("\n".join(lines))
        told = subprocess.run(["festival", "--batch", str(script)], capture_output=True, text=True, check=True).stdout
        # The last part is what is behind the last "end".
        parts = told.split("\nend\n")[:-1]
        if len(parts) != len(texts):
            raise RuntimeError(f"festival spoke {len(parts)} of {len(texts)} texts with {voice}")
        return [_speech(text, file, part) for text, file, part in zip(texts, files, parts)]


def _escaped(text: str) -> str:
    return text.replace("\\", "").replace('"', "")


def _speech(text: str, file: pathlib.Path, told: str) -> Speech:
    words, phones, at = [], [], 0.0
    for line in told.splitlines():
        match line.split():
            case ["word", name, start, end]:
                words.append(Span(float(start), float(end), name))
            case ["phone", name, end]:
                phones.append(Span(at, float(end), SILENCE if name in ("pau", "#") else name))
                at = float(end)
    samples, rate = soundfile.read(file, dtype="float32")
    return Speech(samples, rate, glue(text.split(), words), phones)
