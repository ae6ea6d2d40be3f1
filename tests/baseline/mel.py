#!/usr/bin/env python3
"""Times faster-whisper's log-mel features of 30 s, and prints the median in milliseconds."""

import statistics
import sys
import time

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor


def main() -> None:
    n_mels = int(sys.argv[1]) if len(sys.argv) > 1 else 80
    extractor = FeatureExtractor(feature_size=n_mels)
    audio = np.random.default_rng(1).standard_normal(30 * 16_000).astype(np.float32) * 0.1
    times = []
    for _ in range(60):
        begun = time.perf_counter()
        features = extractor(audio)
        times.append(time.perf_counter() - begun)
    assert features.shape[0] == n_mels
    # The first ten warm numpy's FFT and the caches.
    print(f"{statistics.median(times[10:]) * 1e3:.3f}")


if __name__ == "__main__":
    main()
