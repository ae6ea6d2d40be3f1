#!/usr/bin/env bash
# Starts one or more instances of the synthesiser in the background, and waits until they are ready.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/cluster_common.sh
. scripts/cluster_common.sh

usage() {
    cat <<'USAGE'
usage: scripts/start_tts.sh [options] [-- options of tts]

  --count N          how many (default: 1), on ports 8002, 8012, 8022 and so on
  --port N           the port of the first (default: 8002)
  --host ADDRESS     where they listen (default: 127.0.0.1; 0.0.0.0 for every address of this machine)
  --combined-logs    write to cluster.log, each line with its instance, and not to a file for each
  -h, --help         this text

Logs and process numbers are in .run/cluster. If the cluster's nginx runs, it serves the new instances too.
scripts/status.sh shows them, scripts/stop_all.sh stops them. After -- come the server's own options:
  scripts/start_tts.sh -- --config config/tts.yaml --set speech.speed=1.1

Environment:
  VOICE_BIN          the folder of the programs (default: target/release)
  VOICE_RUN          the folder for what runs (default: .run)
USAGE
}

start_service tts 8002 "$@"
