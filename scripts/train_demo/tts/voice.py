"""The loop that speaks: text and a reference to tokens and audio, as the server does it, in numpy and ONNX Runtime."""

import pathlib

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from tts.language_model import BEGIN_SPEECH, STOP_SPEECH

RATE = 24_000
GRAPHS = ("speech_encoder", "embed_tokens", "language_model", "conditional_decoder")


class Voice:
    """A model folder, on one core."""

    def __init__(self, folder: pathlib.Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3

        def load(name: str) -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])

        self.encoder, self.embedder, self.language, self.decoder = map(load, GRAPHS)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.cache = {it.name: (it.shape[1], it.shape[3]) for it in self.language.get_inputs() if it.name.startswith("past")}

    def hear(self, samples: np.ndarray) -> list[np.ndarray]:
        """What is kept of a reference at 24 kHz."""
        return self.encoder.run(None, {"audio_values": samples[None].astype(np.float32)})

    def embed(self, ids: np.ndarray, at: np.ndarray, exaggeration: float) -> np.ndarray:
        inputs = {"input_ids": ids, "position_ids": at, "exaggeration": np.array([exaggeration], np.float32)}
        return self.embedder.run(None, inputs)[0]

    def tokens(self, text: str, heard: list[np.ndarray], exaggeration: float = 0.5, most: int = 1000, penalty: float = 1.2):
        """Greedy: the tokens, and whether it stopped by itself."""
        ids = np.array([self.tokenizer.encode(text).ids], np.int64)
        at = np.where(ids >= BEGIN_SPEECH, 0, np.arange(ids.shape[1])[None] - 1)
        x = np.concatenate([heard[0], self.embed(ids, at, exaggeration)], 1)
        past = {name: np.zeros((1, heads, 0, width), np.float32) for name, (heads, width) in self.cache.items()}
        said: list[int] = []
        n = x.shape[1]
        while len(said) < most:
            inputs = {"inputs_embeds": x, "attention_mask": np.ones((1, n), np.int64), **past}
            logits, *present = self.language.run(None, inputs)
            scores = logits[0, -1].copy()
            known = np.unique(said).astype(int)
            scores[known] = np.where(scores[known] < 0, scores[known] * penalty, scores[known] / penalty)
            token = int(scores.argmax())
            if token == STOP_SPEECH:
                return np.array(said, np.int64), True
            said.append(token)
            x = self.embed(np.array([[token]]), np.array([[len(said)]]), exaggeration)
            n += 1
            past = dict(zip(self.cache, present))
        return np.array(said, np.int64), False

    def decode(self, tokens: np.ndarray, heard: list[np.ndarray]) -> np.ndarray:
        if not len(tokens):
            return np.zeros(RATE // 25, np.float32)
        with_prompt = np.concatenate([heard[1], tokens[None]], 1)
        inputs = {"speech_tokens": with_prompt, "speaker_embeddings": heard[2], "speaker_features": heard[3]}
        return self.decoder.run(None, inputs)[0][0]
