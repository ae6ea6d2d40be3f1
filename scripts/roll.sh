#!/usr/bin/env bash
# Renews the instances of the cluster one after the other, while the others serve: after an upgrade, or for changed settings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/cluster_common.sh
. scripts/cluster_common.sh

usage() {
    cat <<'USAGE'
usage: scripts/roll.sh [options] [NAME...]

Each instance (or each that is named: asr-8001) gets no new sessions, is told to stop, finishes the turns and sentences it has,
is started again as it was, with the program that is there now, and gets sessions again when it is ready. Then comes the next.
Clients of a session are told `draining` and reconnect when their turn is over. If one does not come back, the roll ends there:
that one stays out, and the others serve. Who was out of the balancer before is renewed and stays out, unless it is named.

  --services LIST   of asr, tts: only these
  --alone           also where an instance is the only one of its service, so that nobody serves meanwhile
  --systemd         the instances of an installed system: asr-8001 is the unit asr@8001
  --list FILE       with --systemd, their list (default: /etc/voice/instances.tsv)
  --out FOLDER      with --systemd, nginx's folder (default: /etc/nginx/voice)
  -h, --help        this text

Environment:
  VOICE_BIN             start the programs of this folder from now on
  VOICE_STOP_TIMEOUT_S  how long an instance may take to finish (default: 150; the servers themselves cut what is left after 120)
  VOICE_START_TIMEOUT_S how long it may take to be ready (default: 300)
USAGE
}

services=asr,tts
alone=0
systemd=0
system_list=/etc/voice/instances.tsv
system_out=/etc/nginx/voice
names=()
while [ $# -gt 0 ]; do
    case "$1" in
        --services) services=${2:?--services wants a list} && shift ;;
        --alone) alone=1 ;;
        --systemd) systemd=1 ;;
        --list) system_list=${2:?--list wants a file} && shift ;;
        --out) system_out=${2:?--out wants a folder} && shift ;;
        -h | --help) usage && exit 0 ;;
        -*) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
        *) names+=("$1") ;;
    esac
    shift
done

# --- what differs between the two kinds of cluster ---

balance() { # changes...
    if [ "$systemd" = 1 ]; then
        scripts/nginx_upstreams.sh --list "$list" --out "$system_out" --system --reload "$@"
    else
        refresh_nginx "$@"
    fi
}

runs() { # name
    if [ "$systemd" = 1 ]; then
        systemctl is-active --quiet "$(unit_of "$1")"
    else
        pid_of "$1" >/dev/null
    fi
}

is_here() { # host
    [[ " 127.0.0.1 localhost ::1 $(hostname -I 2>/dev/null) " == *" $1 "* ]]
}

unit_of() { printf '%s@%s.service' "${1%%-*}" "${1##*-}"; }

renew() { # name: stops and starts it
    local name=$1 pid
    local command environment
    if [ "$systemd" = 1 ]; then
        systemctl stop "$(unit_of "$name")"
        systemctl start "$(unit_of "$name")"
        return
    fi
    pid=$(pid_of "$name")
    # What it was started with is what the kernel knows: nothing about keys is written to a file for this.
    mapfile -d '' -t command <"/proc/$pid/cmdline"
    mapfile -d '' -t environment <"/proc/$pid/environ"
    [ -z "${VOICE_BIN:-}" ] || command[0]=$(find_binary "${name%%-*}")
    # One log for all is written through a pipe.
    combined=0
    [[ $(readlink "/proc/$pid/fd/1") != pipe:* ]] || combined=1
    kill -TERM "$pid"
    wait_for_end "$name" "$stop_timeout_s" || fail "$name has not finished after $stop_timeout_s s; it stays out of the balancer"
    launch "$name" "$(log_of "$name")" env -i "${environment[@]}" "${command[@]}"
}

# --- the roll ---

if [ "$systemd" = 1 ]; then
    list=$system_list
else
    take_cluster
fi
[ -s "$list" ] || fail "no instances are listed in $list"
# Whom somebody has taken out stays out, unless he is named.
stays_down=" "
if [ "${#names[@]}" = 0 ]; then
    mapfile -t names < <(awk -F '\t' -v services=",$services," 'index(services, "," $1 ",") { print $2 }' "$list")
    stays_down=" $(awk -F '\t' -v ORS=' ' '$4 == "down" { print $2 }' "$list")"
fi
# All is looked at before anything is touched.
for name in "${names[@]}"; do
    address=$(address_of "$name")
    [ -n "$address" ] || fail "there is no instance $name in $list"
    if [ "$systemd" = 1 ] && ! is_here "$(host_of "$address")"; then
        fail "$name is not on this machine; renew it there, with systemctl restart $(unit_of "$name"), between --down and --up of scripts/nginx_upstreams.sh here"
    fi
    runs "$name" || fail "$name does not run, so there is nothing to renew; scripts/status.sh shows the cluster"
    others=$(awk -F '\t' -v name="$name" -v service="${name%%-*}" '$1 == service && $2 != name && $4 == "up"' "$list" | wc -l)
    [ "$others" -gt 0 ] || [ "$alone" = 1 ] ||
        fail "$name is the only instance of its service; with --alone it is renewed all the same, and nobody serves meanwhile"
done
trap 'interrupt 130' INT
trap 'interrupt 143' TERM HUP
began=$SECONDS
for name in "${names[@]}"; do
    since=$SECONDS
    printf '  %-10s out of the balancer; finishing what it does\n' "$name"
    balance --down "$name"
    renew "$name"
    until is_ready "$(address_of "$name")"; do
        if ! runs "$name" || [ $((SECONDS - since)) -gt $((stop_timeout_s + start_timeout_s)) ]; then
            [ "$systemd" = 1 ] || show_log "$name"
            fail "$name did not come back; it stays out of the balancer, and the rest is as it was"
        fi
        sleep 0.1
    done
    [ "$systemd" = 1 ] || give_way "$name"
    if [[ $stays_down == *" $name "* ]]; then
        printf '  %-10s renewed after %s s; out of the balancer, as it was\n' "$name" $((SECONDS - since))
        continue
    fi
    balance --up "$name"
    printf '  %-10s renewed after %s s\n' "$name" $((SECONDS - since))
done
printf 'Renewed %s in %s s.\n' "${names[*]}" $((SECONDS - began))
