"""Which sentences are for training and which for measuring: decided by the sentence itself, so that no list has to be kept.

Of sentences of four words or more a fixed 5 % are never trained on: 3.5 % are for tests, 1.5 % for the development set, on which
decisions may be made. Shorter ones ("Yes.", "Turn left.") are always for training, because there are too few of them to spare any.
"""

import hashlib
import re

SHORTEST_HELD_OUT = 4


def split_of(written: str) -> str:
    """`train`, `development` or `test`."""
    if len(written.split()) < SHORTEST_HELD_OUT:
        return "train"
    # Whether its times are written 7.30 or 7:30, it is one sentence. (With another mark at its end it is another one.)
    plain = re.sub(r"(\d)\.(\d)", r"\1:\2", written.lower())
    digit = hashlib.md5(plain.encode(), usedforsecurity=False).digest()[0]
    return "test" if digit < 9 else "development" if digit < 13 else "train"
