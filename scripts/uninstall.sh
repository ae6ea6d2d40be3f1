#!/usr/bin/env bash
# Takes away what scripts/install.sh put in place. Voices and settings stay, unless --purge says otherwise.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/uninstall.sh [options]

Stops the services (running sessions finish their turn first) and removes the units, /opt/voice, /var/cache/voice and the shipped
part of /etc/nginx/voice. Needs root.

  --purge             also remove settings and keys (/etc/voice), nginx's settings (/etc/nginx/voice), all voices
                      (/var/lib/voice), models that were fetched (/opt/voice/models), and the user
  --prefix-root DIR   the folder that was installed into instead of / (needs no root, stops nothing)
  --dry-run           print every action and do none
  -h, --help          this text
USAGE
}

root=""
purge=0
dry_run=0

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case "$1" in
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    esac
    case "$1" in
        --purge) purge=1 ;;
        --prefix-root) root=${2:?--prefix-root wants a folder} && shift ;;
        --dry-run) dry_run=1 ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
    shift
done
case "$root" in
    "" | /) root="" ;;
    *) root=$(realpath -m "$root") ;;
esac
[ -n "$root" ] || [ "$dry_run" = 1 ] || [ "$(id -u)" = 0 ] || fail "this needs root: sudo scripts/uninstall.sh …"

act() { # what, command...
    printf '%s\n' "$1"
    [ "$dry_run" = 1 ] || "${@:2}"
}

remove() { # path
    if [ -e "$root$1" ] || [ -L "$root$1" ]; then
        act "remove    $1" rm -rf "$root$1"
    fi
}

system=/etc/systemd/system
if [ -z "$root" ] && [ -d /run/systemd/system ] && [ -e "$system/voice.target" ]; then
    # Waits until every instance has drained: to stop a target is done when the target is, which its instances are not by then.
    act "stop      voice.target" systemctl stop voice.target 'asr@*.service' 'tts@*.service' 'voice-watch*' 'voice-nginx*'
fi
for unit in "$root$system"/*.wants/{asr@,tts@,voice-agent-,voice-nginx,voice-watch,voice.target}*; do
    [ ! -L "$unit" ] || remove "${unit#"$root"}"
done
for name in asr@.service tts@.service voice-agent-asr.target voice-agent-tts.target voice-nginx.service \
    voice-watch.service voice.target; do
    remove "$system/$name"
done
for service in asr tts; do
    remove "$system/$service@.service.d/cpu-only.conf"
    remove "$system/voice-agent-$service.target.wants"
    [ ! -d "$root$system/$service@.service.d" ] || rmdir --ignore-fail-on-non-empty "$root$system/$service@.service.d"
done
remove "$system/voice.target.wants"
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    act "reload    systemd" systemctl daemon-reload
fi

for part in bin lib licenses cuda-asr cuda-tts scripts; do
    remove "/opt/voice/$part"
done
for part in status upstreams.conf instances.json; do
    remove "/etc/nginx/voice/$part"
done
for file in "$root"/etc/nginx/voice/snippets/*; do
    case "${file##*/}" in
        # Settings, as install.sh has it.
        limits.conf | origins.map) ;;
        *) remove "${file#"$root"}" ;;
    esac
done
remove /etc/logrotate.d/voice-nginx
# Earlier versions made it.
remove /var/cache/voice
if [ "$purge" = 1 ]; then
    remove /opt/voice
    remove /etc/voice
    remove /etc/nginx/voice
    remove /var/lib/voice
    if [ -z "$root" ] && getent passwd voice >/dev/null; then
        gid=$(id -g voice)
        act "user      voice: removed" userdel voice
        # A group that came with the system goes with the user on some systems; it was there before us.
        if [ "$dry_run" = 0 ] && [ "$gid" -lt 100 ] && ! getent group voice >/dev/null; then
            groupadd --system --gid "$gid" voice
        fi
    fi
else
    printf '\nKept: '
    for path in /etc/voice /etc/nginx/voice /var/lib/voice /opt/voice/models; do
        [ ! -e "$root$path" ] || printf '%s ' "$path"
    done
    printf '\n(--purge removes these too)\n'
fi
[ "$dry_run" = 0 ] || printf 'Nothing was done: this was a dry run.\n'
