"""What every token of text sounds like and how it is spelled, as a row of numbers.

A token's embedding is `row @ weights` and something of its own. What is learned of one token's sounds then serves all that share them, and a token that
was heard a few times only, or that comes new into the vocabulary, is known from the start by what it is made of.
"""

from __future__ import annotations

import string

import numpy as np
from tokenizers import Tokenizer

from asr.clips import Clips
from asr.model import PHONE_SETS

# A token's time in equal parts, and numbers that are kept of each row.
PARTS = 4
KEPT = 256
# Occurrences that are looked at, of each token.
ENOUGH = 200
LETTERS = string.ascii_lowercase + string.digits
# How much spelling counts beside sound.
SPELLING = 0.3
# How far a few tokens that were taught may be followed when others are guessed from them.
CAUTION = 3.0


def rows(clips: Clips, words: Tokenizer, vocabulary: int) -> np.ndarray:
    """(vocabulary, `KEPT`): the principal components of sound and spelling together; rows are about 4 long."""
    both = np.concatenate([_sound(clips, vocabulary), np.stack([_spelling(words.id_to_token(i)) for i in range(vocabulary)])], 1)
    both -= both.mean(0)
    u, s, _ = np.linalg.svd(both, full_matrices=False)
    kept = u[:, :KEPT] * s[:KEPT]
    kept = np.pad(kept, ((0, 0), (0, KEPT - kept.shape[1])))
    return (kept / kept.std() * 4 / np.sqrt(KEPT)).astype(np.float32)


def _sound(clips: Clips, vocabulary: int) -> np.ndarray:
    """How often each phone is in each part of a token's time, by set of phones; 0 where it was never heard."""
    edges = np.cumsum([0, *PHONE_SETS.values()])
    seen = np.zeros((vocabulary, len(PHONE_SETS)))
    shares = np.zeros((vocabulary, PARTS, edges[-1]))
    for clip in clips.all:
        for token, (begin, end) in zip(clip.tokens, clip.spans if clip.spans is not None else ()):
            if seen[token, clip.phone_set] >= ENOUGH:
                continue
            seen[token, clip.phone_set] += 1
            at = np.clip(np.round(np.linspace(begin, end, PARTS + 1)).astype(int), 0, clip.frames - 1)
            for part, (a, b) in enumerate(zip(at, at[1:])):
                labels = clip.phones[a : max(a + 1, b)]
                labels = labels[labels >= 0]
                np.add.at(shares[token, part], labels + edges[clip.phone_set], 1 / max(1, len(labels)))
    # What was heard once or twice counts less.
    parts = [shares[:, :, a:b] / (seen[:, i, None, None] + 2) for i, (a, b) in enumerate(zip(edges, edges[1:]))]
    return np.concatenate([part.reshape(vocabulary, -1) for part in parts], 1)


def _spelling(token: str) -> np.ndarray:
    """The first two letters, the last two, and all of them; and whether a word begins here, with a capital."""
    text = token.lstrip("Ġ")
    low = text.lower()
    places = [low[:1], low[-1:], low[1:2], low[-2:-1], low]
    letters = np.array([[letter in place for letter in LETTERS] for place in places], np.float64)
    shape = np.array([token.startswith("Ġ"), text[:1].isupper(), len(low) / 8, not low.isalnum()], np.float64)
    return np.concatenate([SPELLING * letters.reshape(-1), 2 * SPELLING * shape])


def taken_over(embeddings: np.ndarray, old: Tokenizer, new: Tokenizer, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is each token's own, and the weights of `table`, from the embeddings of another vocabulary: tokens of the same name keep theirs, the others
    get what their sound and spelling let expect."""
    names = [new.id_to_token(i) for i in range(len(table))]
    places = [old.token_to_id(name) for name in names]
    known = np.array([place is not None for place in places])
    theirs = embeddings[[place for place in places if place is not None]]
    mean = theirs.mean(0)
    known_rows = table[known]
    weights = np.linalg.solve(known_rows.T @ known_rows + CAUTION * np.eye(table.shape[1]), known_rows.T @ (theirs - mean))
    own = np.tile(mean, (len(table), 1))
    own[known] = theirs - known_rows @ weights
    return own.astype(np.float32), weights.astype(np.float32)
