"""Tests of the client. They take `websockets` from where it is installed, or from what `scripts/setup.sh --tests` installed."""

import importlib.util
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[4]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
if importlib.util.find_spec("websockets") is None:
    sys.path.append(str(ROOT / ".native" / "python"))
