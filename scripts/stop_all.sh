#!/usr/bin/env bash
# Stops the cluster of this machine: servers finish the turns and sentences that they have, then nginx ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/cluster_common.sh
. scripts/cluster_common.sh

usage() {
    cat <<'USAGE'
usage: scripts/stop_all.sh [options]

  --now         do not wait for running turns and sentences: they are cut
  -h, --help    this text

Nothing that runs is no error. The logs stay in .run/cluster (or in VOICE_RUN).
A server that has not ended after 150 s (VOICE_STOP_TIMEOUT_S) is killed.
USAGE
}

now=0
for argument in "$@"; do
    case "$argument" in
        --now) now=1 ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$argument" >&2 && usage >&2 && exit 2 ;;
    esac
done

[ -d "$cluster" ] || { echo "No cluster runs here." && exit 0; }
take_cluster
names=()
for file in "$cluster"/*.pid; do
    name=$(basename "$file" .pid)
    [ -e "$file" ] && [ "$name" != nginx ] && [ "$name" != watch ] && pid_of "$name" >/dev/null && names+=("$name")
done
# The watcher first: an instance that stops does not hang.
stop_instances watch
status=0
if [ "$now" = 1 ]; then
    # A server that is told a second time ends at once.
    for name in "${names[@]}"; do
        ! pid=$(pid_of "$name") || kill -TERM "$pid" 2>/dev/null || true
    done
    sleep 0.2
fi
stop_instances "${names[@]}" || status=1
n_stopped=${#names[@]}

# Its sessions have ended with their servers, so nginx has nothing left to wait for.
if pid=$(pid_of nginx); then
    kill -QUIT "$pid" 2>/dev/null || true
    if ! wait_for_end nginx 5; then
        ! pid=$(pid_of nginx) || kill -TERM "$pid" 2>/dev/null || true
        wait_for_end nginx 5 || status=1
    fi
    n_stopped=$((n_stopped + 1))
fi
rm -rf "$cluster/temp" "$cluster/nginx.run" "$list" "$cluster/upstreams.conf" "$cluster/instances.json"
if [ "$n_stopped" = 0 ]; then
    echo "No cluster runs here."
else
    echo "Stopped: ${names[*]}${pid:+ nginx}"
fi
exit "$status"
