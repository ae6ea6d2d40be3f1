#!/usr/bin/env bash
# Runs one of the recipes with the Python that setup.sh made. For asr/train.sh and tts/train.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TRAIN_VENV=${TRAIN_VENV:-$here/../../.native/venv-train}
if [ ! -x "$TRAIN_VENV/bin/python" ]; then
    echo "error: first run scripts/train_demo/setup.sh" >&2
    exit 1
fi
export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
exec "$TRAIN_VENV/bin/python" -m "$@"
