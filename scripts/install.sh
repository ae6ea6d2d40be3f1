#!/usr/bin/env bash
# Installs the built servers as systemd services, or upgrades them. Safe to run again; docs/PRODUCTION.md tells what comes after.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
usage: scripts/install.sh [options]

Puts the servers into /opt/voice, their settings into /etc/voice, units for systemd into /etc/systemd/system, and, if nginx is
installed, its configuration into /etc/nginx/voice. Needs root. Starts and restarts nothing, and says how to.

  --asr N             instances of the recogniser, on ports 8001, 8011, 8021, … (default: as installed, else 1)
  --tts N             instances of the synthesiser, on ports 8002, 8012, 8022, … (default: as installed, else 1)
  --listen ADDRESS    where the servers listen (default: as installed, else 127.0.0.1, which is for nginx on this machine;
                      0.0.0.0 for other machines)
  --cpu-only          take away from the services what only a GPU needs (a drop-in of systemd)
  --no-nginx          install nothing of nginx, even if it is there
  --from FOLDER       the folder with the built binaries (default: target/release)
  --native FOLDER     the folder with native libraries and models (default: .native)
  --prefix-root DIR   install into this folder as if it were / (for packages and tests; needs no root, makes no user)
  --dry-run           print every action and do none
  -h, --help          this text

On an upgrade settings in /etc/voice that were changed are kept, and the new default lies beside them as NAME.new.
USAGE
}

n_asr=""
n_tts=""
listen=""
cpu_only=0
with_nginx=auto
from=${CARGO_TARGET_DIR:-target}/release
native=.native
root=""
dry_run=0

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

count() { # option, value
    [[ $2 =~ ^[0-9]+$ ]] && [ "$2" -le 99 ] || fail "$1 wants a number from 0 to 99, not \"$2\""
    printf '%s' "$((10#$2))"
}

while [ $# -gt 0 ]; do
    case "$1" in
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    esac
    case "$1" in
        --asr) n_asr=$(count "$1" "${2:-}") || exit 1; shift ;;
        --tts) n_tts=$(count "$1" "${2:-}") || exit 1; shift ;;
        --listen) listen=${2:?--listen wants an address} && shift ;;
        --cpu-only) cpu_only=1 ;;
        --no-nginx) with_nginx=no ;;
        --from) from=${2:?--from wants a folder} && shift ;;
        --native) native=${2:?--native wants a folder} && shift ;;
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
defaults=$root/opt/voice/share/defaults
if [ -z "$listen" ] && [ -f "$defaults/asr.yaml" ]; then
    listen=$(sed -n 's/^  host: //p' "$defaults/asr.yaml")
fi
listen=${listen:-127.0.0.1}
[[ $listen =~ ^[0-9a-fA-F.:]+$ ]] || fail "--listen wants an IP address, not \"$listen\""

# --- what is needed ---

missing=()
for program in asr tts; do
    [ -x "$from/$program" ] || missing+=("$from/$program is not built: cargo build --release -p asr -p tts")
done
[ -e "$native/lib/libonnxruntime.so" ] || missing+=("$native/lib has no native libraries: scripts/setup.sh")
for model in silero_vad.onnx silero_vad_file.onnx; do
    [ -e "$native/models/$model" ] || missing+=("$native/models/$model is missing: scripts/setup.sh")
done
for problem in "${missing[@]}"; do
    printf 'error: %s\n' "$problem" >&2
done
[ "${#missing[@]}" = 0 ] || exit 1
if [ -z "$root" ] && [ "$dry_run" = 0 ]; then
    [ "$(id -u)" = 0 ] || fail "this needs root: sudo scripts/install.sh …, or --dry-run to see what it would do"
    command -v systemctl >/dev/null || fail "systemd is missing here; docs/PRODUCTION.md tells about containers"
fi

# --- actions: each is printed, and done unless this is a dry run ---

act() { # what, command...
    printf '%s\n' "$1"
    [ "$dry_run" = 1 ] || "${@:2}"
}

# A changed file becomes the new one in one step: a server that runs keeps the old one open.
replace() { # mode, source, target
    mkdir -p "$(dirname "$3")"
    install -m "$1" "$2" "$3.partial"
    mv -f "$3.partial" "$3"
}

put() { # mode, source, path
    local target=$root$3
    if [ -f "$target" ] && cmp -s "$2" "$target" && [ "$(stat -c %a "$target")" = "$1" ]; then
        printf 'same      %s\n' "$3"
    elif [ -e "$target" ]; then
        act "replace   $3" replace "$1" "$2" "$target"
    else
        act "install   $3" replace "$1" "$2" "$target"
    fi
}

# Settings belong to the operator. `defaults` holds what was installed last: whoever has that unchanged gets the new one.
put_settings() { # mode, source, path
    local target=$root$3 last=$defaults/${3##*/}
    if [ ! -e "$target" ]; then
        put "$1" "$2" "$3"
    elif cmp -s "$2" "$target"; then
        printf 'same      %s\n' "$3"
        [ ! -e "$target.new" ] || act "remove    $3.new" rm -f "$target.new"
    elif cmp -s "$target" "$last"; then
        act "upgrade   $3" replace "$1" "$2" "$target"
    elif cmp -s "$2" "$last"; then
        printf 'keep      %s\n' "$3"
    else
        put "$1" "$2" "$3.new"
        printf 'keep      %s (yours; what is new is in %s.new)\n' "$3" "$3"
    fi
    put 644 "$2" "/opt/voice/share/defaults/${3##*/}" >/dev/null
}

folder() { # mode, path, owner
    [ -d "$root$2" ] || act "folder    $2" install -d -m "$1" "$root$2"
    [ -z "${3:-}" ] || [ -n "$root" ] || act "owner     $2: $3" chown "$3" "$2"
}

# A whole folder, made anew beside the old one and put in its place.
put_folder() { # source, path
    local target=$root$2
    if [ -d "$target" ] && diff -rq "$1" "$target" >/dev/null 2>&1; then
        printf 'same      %s/\n' "$2"
        return 0
    fi
    act "install   $2/" replace_folder "$1" "$target"
}

replace_folder() { # source, target
    rm -rf "$2.partial"
    mkdir -p "$(dirname "$2")"
    cp -a "$1" "$2.partial"
    chmod -R u=rwX,go=rX "$2.partial"
    rm -rf "$2.old"
    [ ! -e "$2" ] || mv "$2" "$2.old"
    mv "$2.partial" "$2"
    rm -rf "$2.old"
}

# Models are never taken away: the ones that were fetched since are the operator's.
put_models() {
    local file path
    folder 755 /opt/voice/models
    while IFS= read -r file; do
        path=/opt/voice/models/${file#"$native/models/"}
        put 644 "$file" "$path"
    done < <(find -L "$native/models" -maxdepth 1 -type f | sort)
}

systemctl_enable() { # enable or disable, units...
    if [ -n "$root" ]; then
        systemctl --quiet --root="$root" "$@"
    else
        systemctl --quiet "$@"
    fi
}

# --- the user ---

if [ -z "$root" ]; then
    # Debian has a group `voice` from of old. The units name the other two, and systemd starts nothing whose groups are missing.
    for group in voice video render; do
        getent group "$group" >/dev/null || act "group     $group" groupadd --system "$group"
    done
    getent passwd voice >/dev/null ||
        act "user      voice" useradd --system --gid voice --home-dir /var/lib/voice --no-create-home --shell /usr/sbin/nologin voice
fi

# --- programs, libraries, models ---

folder 755 /opt/voice
for program in asr tts loadgen; do
    [ ! -x "$from/$program" ] || put 755 "$from/$program" "/opt/voice/bin/$program"
done
for part in lib licenses cuda-asr cuda-tts; do
    [ ! -d "$native/$part" ] || put_folder "$native/$part" "/opt/voice/$part"
done
put_models
for script in nginx_upstreams roll watch_instances; do
    put 755 "scripts/$script.sh" "/opt/voice/scripts/$script.sh"
done
put 644 scripts/cluster_common.sh /opt/voice/scripts/cluster_common.sh

# --- settings ---

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder 750 /etc/voice root:voice
folder 750 /var/lib/voice voice:voice
# With two GPUs each service has one of its own.
n_gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU ') || true
for service in asr tts; do
    # What the installation decides. A setting that is not found would be a server that does not find its files.
    sed -e 's|^home: null$|home: /opt/voice|' -e "s|^  host: 0\.0\.0\.0\$|  host: $listen|" \
        -e 's|^  store: null$|  store: /var/lib/voice/voices|' "config/$service.yaml" >"$work/$service.yaml"
    for line in "home: /opt/voice" "  host: $listen"; do
        grep -qxF "$line" "$work/$service.yaml" || fail "config/$service.yaml has changed its form: no line \"$line\""
    done
    put_settings 640 "$work/$service.yaml" "/etc/voice/$service.yaml"
    printf '%s\n' "# Variables for every instance of $service; $service-PORT.env beside this one is for one of them." \
        "#VOICE__MODEL__NAME=demo" "# GPUs are counted as nvidia-smi counts them." CUDA_DEVICE_ORDER=PCI_BUS_ID \
        "# Which GPU: a number or, stable when cards are changed, an id of \`nvidia-smi -L\`." \
        "$([ "${n_gpus:-0}" -ge 2 ] || printf '#')CUDA_VISIBLE_DEVICES=$([ "$service" = asr ] && echo 0 || echo "$((n_gpus >= 2))")" \
        >"$work/$service.env"
    put_settings 640 "$work/$service.env" "/etc/voice/$service.env"
done
grep -qxF "  store: /var/lib/voice/voices" "$work/tts.yaml" || fail "config/tts.yaml has changed its form: no line for voices.store"
if [ -z "$root" ]; then
    act "owner     /etc/voice/*: root:voice" chown -R root:voice /etc/voice
fi

# --- units ---

for unit in systemd/*.service systemd/*.target; do
    case "${unit##*/}" in voice-nginx.service | voice-watch.service) continue ;; esac
    put 644 "$unit" "/etc/systemd/system/${unit##*/}"
done
for service in asr tts; do
    drop_in=/etc/systemd/system/$service@.service.d/cpu-only.conf
    if [ "$cpu_only" = 1 ]; then
        put 644 systemd/drop-ins/cpu-only.conf "$drop_in"
    fi
done
put 644 systemd/drop-ins/gpu-devices.conf /opt/voice/share/gpu-devices.conf

wants=$root/etc/systemd/system
ports() { # service, base, count: the ports to have; with no count those that are installed
    local idx unit
    if [ -n "$3" ]; then
        for ((idx = 0; idx < $3; idx++)); do printf '%s\n' "$(($2 + 10 * idx))"; done
        return 0
    fi
    # Enabled together with the first instances.
    if [ ! -L "$wants/voice.target.wants/voice-agent-$1.target" ]; then
        printf '%s\n' "$2"
        return 0
    fi
    for unit in "$wants/voice-agent-$1.target.wants/$1"@*.service; do
        unit=${unit##*@}
        [ "$unit" = "*.service" ] || printf '%s\n' "${unit%.service}"
    done | sort -n
}

# Where nginx finds the instances of this machine.
case "$listen" in
    0.0.0.0 | ::) near=127.0.0.1 ;;
    *:*) near="[$listen]" ;;
    *) near=$listen ;;
esac
list=()
for service in asr tts; do
    if [ "$service" = asr ]; then base=8001 n=$n_asr; else base=8002 n=$n_tts; fi
    mapfile -t chosen < <(ports "$service" "$base" "$n")
    for unit in "$wants/voice-agent-$service.target.wants/$service"@*.service; do
        [ -L "$unit" ] || continue
        port=${unit##*@} port=${port%.service}
        [[ " ${chosen[*]} " == *" $port "* ]] ||
            act "disable   $service@$port (stop it with: systemctl stop $service@$port)" systemctl_enable disable "$service@$port"
    done
    for port in "${chosen[@]}"; do
        list+=("$service"$'\t'"$service-$port"$'\t'"$near:$port"$'\t'up)
        [ -L "$wants/voice-agent-$service.target.wants/$service@$port.service" ] ||
            act "enable    $service@$port" systemctl_enable enable "$service@$port"
    done
    [ -L "$wants/voice.target.wants/voice-agent-$service.target" ] ||
        act "enable    voice-agent-$service.target" systemctl_enable enable "voice-agent-$service.target"
done
[ -L "$wants/multi-user.target.wants/voice.target" ] || act "enable    voice.target" systemctl_enable enable voice.target

# --- nginx ---

if [ "$with_nginx" = auto ]; then
    if [ -n "$root" ]; then
        [ -d "$root/etc/nginx" ] && with_nginx=yes
    elif [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null; then
        with_nginx=yes
    fi
fi
if [ "$with_nginx" = yes ]; then
    # The list belongs to the operator too: instances of other machines stay in it, and what is marked down stays down.
    tsv=$root/etc/voice/instances.tsv
    [ ! -f "$tsv" ] || cp "$tsv" "$work/listed.tsv"
    printf '%s\n' "${list[@]}" | awk -F '\t' -v OFS='\t' -v near="$near" '
        NR == FNR { if (NF) chosen[$2] = $0; order[++n] = $2; next }
        { address = $3; sub(/:[0-9]+$/, "", address) }
        $2 in chosen { split(chosen[$2], it); print it[1], it[2], it[3], $4; delete chosen[$2]; next }
        address != near || $2 !~ /^(asr|tts)-[0-9]+$/ { print }
        END { for (idx = 1; idx <= n; idx++) if (order[idx] in chosen) print chosen[order[idx]] }
    ' - "$(if [ -f "$work/listed.tsv" ]; then echo "$work/listed.tsv"; else echo /dev/null; fi)" >"$work/instances.tsv"
    while IFS= read -r file; do
        source=$file
        # Where the kernel has no IPv6 nginx would not start. Another machine, for which this is packed, has it.
        if [ -z "$root" ] && [ ! -e /proc/net/if_inet6 ] && grep -q 'listen \[::\]' "$file"; then
            source=$work/${file##*/}
            sed '/listen \[::\]/d' "$file" >"$source"
        fi
        case "${file##*/}" in
            upstreams.conf | instances.json | instances.tsv | logrotate) ;;
            # What is for the operator to change.
            voice.conf | tls.conf | limits.conf | origins.map) put_settings 644 "$source" "/etc/nginx/voice/${file#nginx/}" ;;
            *) put 644 "$source" "/etc/nginx/voice/${file#nginx/}" ;;
        esac
    done < <(find nginx -type f | sort)
    put 644 "$work/instances.tsv" /etc/voice/instances.tsv
    act "write     /etc/nginx/voice/upstreams.conf, instances.json" \
        scripts/nginx_upstreams.sh --list "$root/etc/voice/instances.tsv" --out "$root/etc/nginx/voice"
    put 644 nginx/logrotate /etc/logrotate.d/voice-nginx
    for unit in voice-nginx voice-watch; do
        put 644 "systemd/$unit.service" "/etc/systemd/system/$unit.service"
        [ -L "$wants/voice.target.wants/$unit.service" ] || act "enable    $unit" systemctl_enable enable "$unit"
    done
fi
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    act "reload    systemd" systemctl daemon-reload
fi

# --- what comes next ---

printf '\n'
[ "$dry_run" = 0 ] || printf 'Nothing was done: this was a dry run.\n'
cat <<NEXT
Next:
  /opt/voice/bin/asr --config /etc/voice/asr.yaml --check-config     look whether the settings are in order
  systemctl start voice.target                                       start everything; it starts with the machine from now on
NEXT
if [ "$with_nginx" = yes ]; then
    printf '  %-66s %s\n' "/opt/voice/scripts/roll.sh --systemd" "after an upgrade: renew them one by one, no session is cut"
    printf '  %-66s %s\n' "nginx -t -c /etc/nginx/voice/voice.conf" "look at nginx's configuration, which is in /etc/nginx/voice"
else
    printf '  %-66s %s\n' "systemctl restart asr@8001" "after an upgrade, one by one; before that, --down on the balancer's machine, then --up"
    printf 'nginx is not installed here; install it and run this again to have it in front of the instances.\n'
fi
