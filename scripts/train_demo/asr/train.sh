#!/usr/bin/env bash
# Trains the built-in recogniser: every stage from texts to a model folder with its report. `--help` tells how.
exec "$(dirname "${BASH_SOURCE[0]}")/../run.sh" asr.train "$@"
