#!/usr/bin/env bash
# Trains the built-in voice: every stage from texts to a model folder with its report. `--help` tells how.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TRAIN_VENV=${TRAIN_VENV:-$here/../../.native/venv-train}
if [ ! -x "$TRAIN_VENV/bin/python" ]; then
    echo "error: first run scripts/train_demo/setup.sh" >&2
    exit 1
fi
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
exec "$TRAIN_VENV/bin/python" -m tts.train "$@"
