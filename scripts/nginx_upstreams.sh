#!/usr/bin/env bash
# Writes nginx's list of instances, upstreams.conf and instances.json, from the one list, instances.tsv; and changes that list.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: scripts/nginx_upstreams.sh [options] [changes]

Changes, made in order before the files are written:
  --add NAME=HOST:PORT  an instance, up; NAME is its service and more: asr-8001, tts-10.0.0.5-8002
  --remove NAME         forget an instance
  --down NAME           give it no new sessions; those that it has go on
  --up NAME             give it new sessions again

Options:
  --list FILE           the list: lines of service, name, address and state (up or down), between tabs
                        (default: .run/cluster/instances.tsv)
  --out FOLDER          where upstreams.conf and instances.json are written (default: the folder of the list)
  --system              the list and the folder of an installed system: /etc/voice/instances.tsv, /etc/nginx/voice
  --reload              check nginx's configuration and let it take the new one: of the system with --system, else of the
                        cluster that runs beside the list
  -h, --help            this text

Several may run at a time. Nothing is changed if the list or a change is wrong, or, with --reload, nginx does not accept its configuration.
USAGE
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
list=""
out=""
system=0
reload=0
changes=()

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case "$1" in
        --add | --remove | --up | --down) changes+=("${1#--} ${2:?$1 wants a name}") && shift ;;
        --list) list=${2:?--list wants a file} && shift ;;
        --out) out=${2:?--out wants a folder} && shift ;;
        --system) system=1 ;;
        --reload) reload=1 ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
    shift
done
if [ "$system" = 1 ]; then
    list=${list:-/etc/voice/instances.tsv} out=${out:-/etc/nginx/voice}
fi
list=${list:-${VOICE_RUN:-$root/.run}/cluster/instances.tsv}
out=${out:-$(dirname "$list")}
[ -d "$(dirname "$list")" ] || fail "there is no folder $(dirname "$list")"
[ -d "$out" ] || fail "there is no folder $out"

# --- the list, changed ---

# Prints the list with one change made. What is wrong goes to standard error.
changed() { # change
    local what=${1%% *} name=${1#* } address=""
    if [ "$what" = add ]; then
        [[ $name == *=* ]] || fail "--add wants NAME=HOST:PORT, not $name"
        address=${name#*=} name=${name%%=*}
    fi
    awk -F '\t' -v OFS='\t' -v what="$what" -v name="$name" -v address="$address" '
        $2 == name && what == "remove" { found = 1; next }
        $2 == name && what == "add" { $3 = address; $4 = "up"; found = 1 }
        $2 == name { $4 = what == "down" ? "down" : "up"; found = 1 }
        NF { print }
        END {
            if (!found && what == "add") { service = name; sub(/-.*/, "", service); print service, name, address, "up" }
            else if (!found) { print "error: no instance is called " name > "/dev/stderr"; exit 1 }
        }'
}

# Every line has its four fields, and no name is there twice: what is written here nginx will read.
check() {
    awk -F '\t' -v list="$list" '
        function wrong(why) { print "error: " list ", line " NR ": " why > "/dev/stderr"; bad = 1 }
        NF != 4 { wrong("four fields between tabs are wanted: service, name, address, state"); next }
        $1 != "asr" && $1 != "tts" { wrong("the service is asr or tts, not " $1) }
        $2 !~ "^" $1 "-[A-Za-z0-9.-]+$" { wrong("the name is " $1 "- and letters, digits, dots or dashes, not " $2) }
        $3 !~ /^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]+$/ { wrong("the address is HOST:PORT, not " $3) }
        $4 != "up" && $4 != "down" { wrong("the state is up or down, not " $4) }
        seen[$2]++ { wrong("a second " $2) }
        END { exit bad }'
}

# --- what nginx reads ---

upstreams() {
    cat <<'HEAD'
# Made by scripts/nginx_upstreams.sh from instances.tsv. Change that, not this.
#
# New sessions go to the instance with the fewest; the count is shared by nginx's workers. An instance that is full says so itself,
# and the next is asked; that must not count against it (`max_fails=0`). One that is down gets nothing new, and keeps what it has.
HEAD
    awk -F '\t' '
        { n[$1]++; line[$1, n[$1]] = "    server " $3 " max_fails=0" ($4 == "down" ? " down" : "") ";" }
        function group(service,  idx) {
            print "\nupstream " service " {\n    zone " service " 256k;\n    least_conn;"
            for (idx = 1; idx <= n[service]; idx++) print line[service, idx]
            # A group may not be empty, and one that is all down is answered as it should be.
            if (!n[service]) print "    server 127.0.0.1:9 down;"
            print "    keepalive 32;\n}"
        }
        END { group("asr"); group("tts") }' "$1"
    printf '\n# Each instance alone, for the status page.\n'
    # shellcheck disable=SC2016 # variables of nginx
    awk -F '\t' '
        { print "upstream instance-" $2 " { server " $3 " max_fails=0; }"; names = names "    " $2 " instance-" $2 ";\n" }
        END { print "map $voice_instance $voice_instance_group {\n    default \"\";\n" names "}" }' "$1"
}

instances() {
    awk -F '\t' '
        BEGIN { print "[" }
        { printf "%s  {\"service\":\"%s\",\"name\":\"%s\",\"address\":\"%s\",\"state\":\"%s\"}", (NR > 1 ? ",\n" : ""), $1, $2, $3, $4 }
        END { print (NR ? "\n" : "") "]" }' "$1"
}

write() { # file, from standard input; whoever reads it sees the old or the new one
    cat >"$1.new"
    chmod 644 "$1.new"
    mv -f "$1.new" "$1"
}

exec 9>"$list.lock"
flock 9
[ -e "$list" ] || : >"$list"
work=$(mktemp)
kept=$(mktemp -d)
trap 'rm -rf "$work" "$work.next" "$kept"' EXIT
written=("$list" "$out/upstreams.conf" "$out/instances.json")
for idx in "${!written[@]}"; do
    [ ! -e "${written[$idx]}" ] || cp "${written[$idx]}" "$kept/$idx"
done

# As it was: a list that nginx has not taken would be taken at the next reload, by whoever asks for one, for whatever reason.
put_back() {
    for idx in "${!written[@]}"; do
        [ ! -e "$kept/$idx" ] || write "${written[$idx]}" <"$kept/$idx"
    done
}

cp "$list" "$work"
for change in "${changes[@]}"; do
    changed "$change" <"$work" >"$work.next"
    mv -f "$work.next" "$work"
done
check <"$work"
[ "${#changes[@]}" = 0 ] || write "$list" <"$work"
upstreams "$work" | write "$out/upstreams.conf"
instances "$work" | write "$out/instances.json"

# --- and takes ---

[ "$reload" = 1 ] || exit 0
if [ "$system" = 1 ]; then
    conf=${VOICE_NGINX_CONF:-/etc/nginx/voice/voice.conf}
    nginx=(nginx -c "$conf")
else
    conf=$out/nginx.conf
    nginx=(nginx -c "$conf" -p "$out" -e "$out/nginx.log")
fi
PATH=$PATH:/usr/sbin

# The workers that take new connections. One that has the old list says in its title that it is shutting down.
accepting() {
    local file master child children=()
    file=$(sed -nE 's/^[[:space:]]*pid[[:space:]]+([^;]+);.*/\1/p' "$conf")
    [[ $file == /* ]] || file=$out/$file
    master=$(cat "$file" 2>/dev/null) || return 0
    # The list of them does not end its line, which `read` takes for a failure.
    read -ra children <"/proc/$master/task/$master/children" 2>/dev/null || true
    for child in "${children[@]}"; do
        # A title may have zeros behind it.
        [[ $(tr '\0' ' ' 2>/dev/null <"/proc/$child/cmdline") =~ ^"nginx: worker process"\ *$ ]] && echo "$child"
    done
    return 0
}

"${nginx[@]}" -t -q || {
    put_back
    fail "nginx does not accept its configuration and goes on with the old one; the list is as it was"
}
before=$(accepting)
"${nginx[@]}" -s reload
# nginx takes it in its own time, on a busy machine in seconds. Who goes on before that, and stops an instance, stops one that
# the old workers still count on.
for _ in {1..200}; do
    now=$(accepting)
    if [ -z "$before" ] || { [ -n "$now" ] && [ -z "$(comm -12 <(sort <<<"$before") <(sort <<<"$now"))" ]; }; then
        exit 0
    fi
    sleep 0.05
done
printf 'warning: nginx has not taken the new list after 10 s; until it does, new sessions go by the old one\n' >&2
