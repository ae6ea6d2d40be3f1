#!/usr/bin/env bash
# Starts a cluster on this machine: recognisers, synthesisers, and nginx in front of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/cluster_common.sh
. scripts/cluster_common.sh

usage() {
    cat <<'USAGE'
usage: scripts/start_all.sh [options]

  --asr N              recognisers (default: 2), on ports 8001, 8011 and so on
  --tts N              synthesisers (default: 2), on ports 8002, 8012 and so on
  --services LIST      of asr, tts, nginx, which to start (default: asr,tts,nginx)
  --asr-config FILE    the settings of the recognisers; --asr-set KEY=VALUE for a single one
  --tts-config FILE    the settings of the synthesisers; --tts-set KEY=VALUE for a single one
  --combined-logs      one log, cluster.log, each line with its instance, instead of a file for each
  --origin ORIGIN      a web page that may call, as https://example.com; \* is every page. May be given several times
  --no-limits          nginx does not limit callers (addresses of this machine it never does)
  -h, --help           this text

Ports, also by the environment:
  --port N             everything by path (8000, VOICE_PORT)
  --tts-front N        the synthesisers alone (8003, VOICE_TTS_FRONT)
  --status-port N      for operators, on 127.0.0.1 (8080, VOICE_STATUS_PORT)
  --asr-port N         the first recogniser (8001, VOICE_ASR_PORT)
  --tts-port N         the first synthesiser (8002, VOICE_TTS_PORT)

No root rights are needed. Logs and process numbers are in .run/cluster (VOICE_RUN says where else). If something does not start,
what did is stopped again. With two GPUs the recognisers get the first and the synthesisers the second.
scripts/status.sh shows the cluster, scripts/roll.sh renews it, scripts/stop_all.sh stops it.
USAGE
}

n_asr=2
n_tts=2
services=asr,tts,nginx
asr_options=()
tts_options=()
combined=0
origins=()
port=${VOICE_PORT:-8000}
tts_front=${VOICE_TTS_FRONT:-8003}
status_port=${VOICE_STATUS_PORT:-8080}
asr_port=${VOICE_ASR_PORT:-8001}
tts_port=${VOICE_TTS_PORT:-8002}
while [ $# -gt 0 ]; do
    case "$1" in
        --asr) n_asr=${2:-} && wants_number "$1" "$n_asr" && shift ;;
        --tts) n_tts=${2:-} && wants_number "$1" "$n_tts" && shift ;;
        --services) services=${2:?--services wants a list} && shift ;;
        --asr-config) asr_options+=(--config "${2:?--asr-config wants a file}") && shift ;;
        --tts-config) tts_options+=(--config "${2:?--tts-config wants a file}") && shift ;;
        --asr-set) asr_options+=(--set "${2:?--asr-set wants KEY=VALUE}") && shift ;;
        --tts-set) tts_options+=(--set "${2:?--tts-set wants KEY=VALUE}") && shift ;;
        --combined-logs) combined=1 ;;
        --origin) origins+=("${2:?--origin wants a page}") && shift ;;
        --no-limits) VOICE_LIMITS=off ;;
        --port) port=${2:-} && wants_number "$1" "$port" && shift ;;
        --tts-front) tts_front=${2:-} && wants_number "$1" "$tts_front" && shift ;;
        --status-port) status_port=${2:-} && wants_number "$1" "$status_port" && shift ;;
        --asr-port) asr_port=${2:-} && wants_number "$1" "$asr_port" && shift ;;
        --tts-port) tts_port=${2:-} && wants_number "$1" "$tts_port" && shift ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
    shift
done
for service in ${services//,/ }; do
    case "$service" in
        asr | tts | nginx) ;;
        *) printf 'error: there is no service %s; they are asr, tts and nginx\n' "$service" >&2 && exit 2 ;;
    esac
done
for origin in "${origins[@]}"; do
    [[ $origin =~ ^(\*|https?://[][A-Za-z0-9.:-]+)$ ]] ||
        { printf 'error: an origin is like https://example.com, without a path, not %s\n' "$origin" >&2 && exit 2; }
done
if [ "${#origins[@]}" -gt 0 ]; then
    allowed=$(printf '"%s",' "${origins[@]}")
    asr_options+=(--set "server.cors_origins=[${allowed%,}]")
    tts_options+=(--set "server.cors_origins=[${allowed%,}]")
fi
wants_service() { [[ ",$services," == *",$1,"* ]]; }
wants_service asr || n_asr=0
wants_service tts || n_tts=0

take_cluster
for file in "$cluster"/*.pid; do
    name=$(basename "$file" .pid)
    if [ -e "$file" ] && pid=$(pid_of "$name"); then
        fail "the cluster runs already: $name is process $pid. scripts/status.sh shows it, scripts/stop_all.sh stops it."
    fi
done
! wants_service nginx || nginx_command >/dev/null
trap undo_start EXIT
trap 'interrupt 130' INT
trap 'interrupt 143' TERM HUP
rm -f "$list"

start_several() { # service, count, first port
    local idx share
    [ "$2" -gt 0 ] || return 0
    mapfile -t share < <(share_of_cores "$1" "$2")
    for ((idx = 0; idx < $2; idx++)); do
        start_instance "$1" $(($3 + 10 * idx)) "${options[@]}" "${share[@]}"
    done
}

echo "Starting $n_asr recognisers and $n_tts synthesisers; models are being loaded."
options=("${asr_options[@]}")
start_several asr "$n_asr" "$asr_port"
options=("${tts_options[@]}")
start_several tts "$n_tts" "$tts_port"
wait_until_ready
refresh_nginx "${joining[@]}"
if wants_service nginx; then
    write_origins "${origins[@]}"
    start_nginx "$port" "$tts_front" "$status_port"
    # It runs in a session of its own and finds the cluster by the environment.
    VOICE_RUN=$(dirname "$cluster") combined=0 launch watch "$cluster/watch.log" scripts/watch_instances.sh
    printf '  %-10s ready, process %s, log %s\n' nginx "$(pid_of nginx)" "$cluster/nginx.log"
    cat <<NEXT
Serving:
  everything         http://127.0.0.1:$port (WebSockets: ws://127.0.0.1:$port/v1/stream/asr and /v1/stream/tts)
  synthesis alone    http://127.0.0.1:$tts_front
  for operators      http://127.0.0.1:$status_port
NEXT
fi
trap - EXIT
