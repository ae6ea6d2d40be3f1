#!/usr/bin/env bash
# Takes an instance that hangs out of the balancer, and puts it back when it answers again. Started by start_all.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/cluster_common.sh
. scripts/cluster_common.sh

usage() {
    cat <<'USAGE'
usage: scripts/watch_instances.sh [options]

nginx sees by itself that an instance is gone, full or draining. It does not see that one accepts connections and answers nothing.
An instance that leaves /healthz unanswered twice gets no new sessions until it answers; the last one of a service stays in.
Writes a line for each change. Runs until it is told to stop.

  --every SECONDS  between two looks (default: 0.5)
  --systemd        the instances of an installed system, instead of the cluster in .run
  --list FILE      with --systemd, their list (default: /etc/voice/instances.tsv)
  --out FOLDER     with --systemd, nginx's folder (default: /etc/nginx/voice)
  -h, --help       this text
USAGE
}

every=0.5
systemd=0
out=/etc/nginx/voice
system_list=/etc/voice/instances.tsv
while [ $# -gt 0 ]; do
    case "$1" in
        --every) every=${2:?--every wants seconds} && shift ;;
        --systemd) systemd=1 ;;
        --list) system_list=${2:?--list wants a file} && shift ;;
        --out) out=${2:?--out wants a folder} && shift ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
    shift
done
[ "$systemd" = 0 ] || list=$system_list

balance() { # changes...
    if [ "$systemd" = 1 ]; then
        scripts/nginx_upstreams.sh --list "$list" --out "$out" --system --reload "$@"
    else
        refresh_nginx "$@"
    fi
}

# An instance that refuses connections is nginx's business: the next one is asked within milliseconds. A host that is cut off
# refuses nothing, and each new session would wait for it.
hangs() { # host:port
    local status connected=0
    status=$(ask "$1" /healthz) && [ "$status" != 200 ] && return 0
    [ -z "$status" ] || return 1
    # Nothing was read: nobody is there, or somebody is and says nothing, or nothing comes back at all.
    # shellcheck disable=SC2016 # expanded by the other shell
    timeout "$answer_timeout_s" bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$(host_of "$1")" "${1##*:}" 2>/dev/null || connected=$?
    [ "$connected" = 0 ] || [ "$connected" = 124 ]
}

is_last_one() { # name, service
    [ "$(awk -F '\t' -v name="$1" -v service="$2" '$1 == service && $2 != name && $4 == "up"' "$list" | wc -l)" = 0 ]
}

may_try() { [ "$SECONDS" -ge "${not_before[$1]:-0}" ]; }

tell() { printf '{"timestamp":"%s","level":"%s","message":"%s","instance":"%s"}\n' "$(date -u +%FT%T.%6NZ)" "$1" "$2" "$3"; }

# What was taken out is kept beside the list: after a restart of this script or of the machine somebody has to put it back.
remember() { printf '%s\n' "${!taken_out[@]}" >"$list.taken-out.new" && mv -f "$list.taken-out.new" "$list.taken-out"; }

answer_timeout_s=1
# Seconds after which something that failed is tried again.
again_s=10
declare -A silent=() taken_out=() not_before=()
while read -r name; do
    [ -z "$name" ] || taken_out[$name]=1
done < <(cat "$list.taken-out" 2>/dev/null)
trap 'exit 0' INT TERM HUP
while true; do
    while IFS=$'\t' read -r service name address state; do
        if hangs "$address"; then
            silent[$name]=$((${silent[$name]:-0} + 1))
            if [ "${silent[$name]}" -ge 2 ] && [ "$state" = up ] && may_try "$name" && ! is_last_one "$name" "$service"; then
                # First: whatever becomes of the change, and of this script meanwhile, it is this script's to put back.
                taken_out[$name]=1
                remember || true
                if balance --down "$name"; then
                    tell WARN "it hangs and gets no new sessions" "$name"
                else
                    not_before[$name]=$((SECONDS + again_s))
                fi
            fi
        else
            silent[$name]=0
            # What somebody else took out, or a roll has renewed meanwhile, is not for this script to put back.
            if [ -n "${taken_out[$name]:-}" ] && may_try "$name" && is_ready "$address"; then
                if [ "$state" = up ] || balance --up "$name"; then
                    unset "taken_out[$name]"
                    remember || true
                    tell INFO "it answers again and gets new sessions" "$name"
                else
                    not_before[$name]=$((SECONDS + again_s))
                fi
            fi
        fi
    done < <(cat "$list" 2>/dev/null)
    sleep "$every" &
    wait $!
done
