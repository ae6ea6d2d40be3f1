#!/usr/bin/env bash
# Fetches real speech models by name from their public repositories; `--help` tells more.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "${BASH_SOURCE[0]}")/download_models.py" "$@"
