#!/usr/bin/env bash
# bootstrap placeholder
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .native/lib .native/models
