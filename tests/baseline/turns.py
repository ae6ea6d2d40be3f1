"""Who is speaking, and whether they have finished: Silero and Smart Turn with per-user state.

The parameters are those of the server it is compared with, so both look at the same moments:
speech begins after three windows at or above `threshold`, goes on while a window reaches
`threshold - 0.15`, and stops after `stop_secs` of windows below that.
"""

from __future__ import annotations

import os

import numpy as np
import onnxruntime
from faster_whisper.feature_extractor import FeatureExtractor

RATE = 16_000
WINDOW = 512
CONTEXT = 64
START_WINDOWS = 3
TURN_SAMPLES = 8 * RATE


def _session(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class TurnModels:
    """The weights, loaded once and shared by all users; both calls release the GIL while they run."""

    def __init__(self, directory: str) -> None:
        self._silero = _session(os.path.join(directory, "silero_vad.onnx"))
        self._smart_turn = _session(os.path.join(directory, "smart-turn-v3.2-cpu.onnx"))
        self._features = FeatureExtractor(chunk_length=8)
        self._rate = np.array(RATE, dtype=np.int64)

    def speech(self, window: np.ndarray, state: np.ndarray) -> tuple[float, np.ndarray]:
        """Probability of speech in one window (with its context in front), and the next state."""
        probability, state = self._silero.run(
            None, {"input": window[None, :], "state": state, "sr": self._rate}
        )
        return float(probability[0, 0]), state

    def complete(self, turn: np.ndarray) -> float:
        """Probability that the speaker has finished, from the last 8 s of the turn."""
        clip = np.zeros(TURN_SAMPLES, dtype=np.float32)
        tail = turn[-TURN_SAMPLES:]
        clip[TURN_SAMPLES - len(tail) :] = tail
        clip = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
        features = self._features(clip, padding=0)[:, :800].astype(np.float32)
        return float(self._smart_turn.run(None, {"input_features": features[None]})[0].reshape(-1)[0])


class SpeechDetector:
    """Voice activity of one user."""

    def __init__(self, models: TurnModels, threshold: float, stop_secs: float) -> None:
        self._models = models
        self._start = threshold
        self._stop = threshold - 0.15
        self._stop_samples = int(stop_secs * RATE)
        self.reset()

    def reset(self) -> None:
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = np.zeros(CONTEXT, dtype=np.float32)
        self._voiced_windows = 0
        self.silence = 0
        self.speaking = False

    def hear(self, windows: np.ndarray) -> list[tuple[str | None, bool, int]]:
        """For each window: `start`, `stop` or nothing; speaking or not; samples of silence so far.

        Runs in a worker thread.
        """
        return [(self._hear_one(window), self.speaking, self.silence) for window in windows]

    def _hear_one(self, window: np.ndarray) -> str | None:
        probability, self._state = self._models.speech(
            np.concatenate((self._context, window)), self._state
        )
        self._context = window[-CONTEXT:]
        if not self.speaking:
            self.silence += WINDOW
            self._voiced_windows = self._voiced_windows + 1 if probability >= self._start else 0
            if self._voiced_windows < START_WINDOWS:
                return None
            self.speaking, self.silence = True, 0
            return "start"
        if probability >= self._stop:
            self.silence = 0
            return None
        self.silence += WINDOW
        if self.silence < self._stop_samples:
            return None
        self.speaking, self._voiced_windows = False, 0
        return "stop"
