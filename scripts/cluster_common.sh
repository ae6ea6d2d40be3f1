# shellcheck shell=bash disable=SC2034 # read by those who source it
# What the scripts of the cluster share. Sourced by them, in the root of the checkout.
#
# A running instance is a file `NAME.pid` in the folder of the cluster: its process and the moment that started, so that a number
# that the kernel gave to somebody else since is not mistaken for it.

root=$PWD
cluster=${VOICE_RUN:-$root/.run}/cluster
list=$cluster/instances.tsv
# How long an instance may take to load its models, and to finish its work when told to stop; the latter is longer than the
# servers' own `drain.deadline_ms`.
answer_timeout_s=2
start_timeout_s=${VOICE_START_TIMEOUT_S:-300}
stop_timeout_s=${VOICE_STOP_TIMEOUT_S:-150}
# How far recognisers give way to synthesisers, as in nice(1).
asr_niceness=5
started=()
joining=()
launching=0
interrupted=0
options=()
host=${VOICE_HOST:-127.0.0.1}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

wants_number() { # option, value
    case "$2" in
        "" | *[!0-9]*) printf 'error: %s wants a number, not "%s"\n' "$1" "$2" >&2 && exit 2 ;;
    esac
}

# --- processes ---

# The moment a process started, in ticks since the machine did. Its name, in parentheses, may hold spaces.
birth_of() { # pid
    local stat fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*) }"
    # A zombie has ended: only its parent has not looked yet.
    [ "${fields[0]}" != Z ] && printf '%s' "${fields[19]}"
}

# The process of an instance, if it runs. A file that is left from one that ended is removed.
pid_of() { # name
    local pid="" birth=""
    [ -e "$cluster/$1.pid" ] || return 1
    read -r pid birth <"$cluster/$1.pid" || true
    # Nothing is noted of the birth of what ended before it was noted.
    if [ -n "$birth" ] && [ "$(birth_of "$pid")" = "$birth" ]; then
        printf '%s' "$pid"
    else
        rm -f "$cluster/$1.pid"
        return 1
    fi
}

note_pid() { # name, pid
    printf '%s %s\n' "$2" "$(birth_of "$2")" >"$cluster/$1.pid"
}

wait_for_end() { # name, seconds
    local tries=$(($2 * 10))
    while pid_of "$1" >/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# --- instances ---

address_of() { awk -F '\t' -v name="$1" '$2 == name { print $3 }' "$list"; }

# Without the brackets that an IPv6 address has before a port.
host_of() { # host:port
    local name=${1%:*}
    name=${name#\[}
    printf '%s' "${name%\]}"
}

# What an instance answers, without programs that may not be there. Nothing within `answer_timeout_s` is no answer: a host that
# is cut off refuses nothing, and connecting to it would take minutes to fail.
ask() { # host:port, path: prints the status
    local line
    # shellcheck disable=SC2016 # expanded by the other shell
    line=$(timeout "$answer_timeout_s" bash -c '
        exec 3<>"/dev/tcp/$0/$1" && printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$3" >&3 && IFS= read -r line <&3 && printf %s "$line"
    ' "$(host_of "$1")" "${1##*:}" "$2" "$1" 2>/dev/null) || return 1
    line=${line#* }
    printf '%s' "${line%% *}"
}

is_ready() { [ "$(ask "$1" /readyz)" = 200 ]; }

# Where an instance on this machine is asked: an address that means all of them is none.
reached_at() { # port
    case "$host" in
        0.0.0.0) printf '127.0.0.1:%s' "$1" ;;
        ::) printf '[::1]:%s' "$1" ;;
        *:*) printf '[%s]:%s' "$host" "$1" ;;
        *) printf '%s:%s' "$host" "$1" ;;
    esac
}

is_port_taken() { # port
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

find_binary() { # service
    local folder file
    for folder in ${VOICE_BIN:+"$VOICE_BIN"} "${CARGO_TARGET_DIR:-$root/target}/release" /opt/voice/bin; do
        file=$folder/$1
        if [ -x "$file" ]; then
            (cd "$folder" && printf '%s/%s' "$PWD" "$1")
            return
        fi
        [ -z "${VOICE_BIN:-}" ] || fail "VOICE_BIN says $VOICE_BIN, and there is no program $1"
    done
    fail "there is no $1 in target/release. Build it first: cargo build --release -p asr -p tts (or say where it is: VOICE_BIN=FOLDER)"
}

# Which GPU a service gets: with two or more, hearing and speaking do not share one. What the caller has set stands.
gpu_of() { # service
    local n_gpus
    [ -z "${CUDA_VISIBLE_DEVICES+set}" ] || return 0
    n_gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null | grep -c '^[0-9]') || return 0
    [ "$n_gpus" -lt 2 ] || case "$1" in
        asr) printf 0 ;;
        tts) printf 1 ;;
    esac
}

# Without a GPU the instances of a service share the cores evenly. Hearing and speaking mostly take turns, so both have them all.
# Nothing is said about a setting that is not left to the server (0).
share_of_cores() { # service, how many instances; prints options
    local each=$(($(nproc) / $2)) settings key
    [ "$2" -gt 1 ] || return 0
    ! nvidia-smi -L >/dev/null 2>&1 || return 0
    [ "$each" -gt 0 ] || each=1
    local keys="threads:$each"
    case "$1" in
        asr) keys+=" workers:1" ;;
        tts) keys+=" decoders:$each decoder_threads:1" ;;
    esac
    settings=$("$(find_binary "$1")" --print-config "${options[@]}") || return 0
    settings=$(sed -n '/^model:/,/^[a-z]/p' <<<"$settings")
    for key in $keys; do
        if grep -q "^  ${key%:*}: 0 " <<<"$settings"; then
            printf -- '--set\nmodel.%s=%s\n' "${key%:*}" "${key#*:}"
        fi
    done
}

# Ends the script, but not between the start of a process and the note of it: what is not noted would stay behind.
interrupt() { # status
    interrupted=$1
    [ "$launching" = 1 ] || exit "$1"
}

# Starts a process of its own session, so that Ctrl-C reaches only the script, and notes it.
launch() { # name, log, command...
    local name=$1 log=$2
    shift 2
    launching=1
    if [ "${combined:-0}" = 1 ]; then
        # Each line says whose it is: as a field of what is JSON, in front of what is not.
        setsid "$@" > >(exec setsid sed -u "s/^{/{\"instance\":\"$name\",/; t; s/^/$name /" >>"$log" 2>&1 9>&-) 2>&1 </dev/null 9>&- &
    else
        setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
    fi
    note_pid "$name" $!
    disown $!
    started+=("$name")
    launching=0
    [ "$interrupted" = 0 ] || exit "$interrupted"
}

start_instance() { # service, port, options...
    local service=$1 port=$2 name=$1-$2 binary gpu pid
    shift 2
    binary=$(find_binary "$service")
    if pid=$(pid_of "$name"); then
        fail "$name runs already (process $pid). scripts/stop_all.sh stops the cluster, scripts/roll.sh renews it."
    fi
    ! is_port_taken "$port" || fail "port $port is taken by another program. Choose another with --port."
    gpu=$(gpu_of "$service")
    local environment=(env "ORT_DISABLE_TELEMETRY=1")
    [ -z "$gpu" ] || environment+=("CUDA_VISIBLE_DEVICES=$gpu" "CUDA_DEVICE_ORDER=PCI_BUS_ID")
    # Behind nginx on this machine, whose word on who calls can be trusted.
    [ -n "${VOICE__SERVER__TRUST_FORWARDED:-}" ] || [ "$host" != 127.0.0.1 ] ||
        environment+=("VOICE__SERVER__TRUST_FORWARDED=true")
    launch "$name" "$(log_of "$name")" "${environment[@]}" "$binary" --host "$host" --port "$port" "$@"
    joining+=(--add "$name=$(reached_at "$port")")
}

log_of() { # name
    if [ "${combined:-0}" = 1 ]; then
        printf '%s' "$cluster/cluster.log"
    else
        printf '%s' "$cluster/$1.log"
    fi
}

# --- start and stop, together ---

# Hearing gives way to speaking where both want the same cores: a late draft goes unnoticed, a gap within a word does not.
#
# The kernel weighs sessions against each other, and `nice` counts only inside of one: sched(7), autogroup. From those who are not
# root it takes one change in a tenth of a second. Where it does not weigh sessions, there is nothing to write to.
give_way() { # name
    local pid group attempts=5
    [[ $1 == asr-* ]] && pid=$(pid_of "$1") || return 0
    group=/proc/$pid/autogroup
    [ -e "$group" ] || return 0
    while [ $((attempts--)) -gt 0 ]; do
        { echo "$asr_niceness" >"$group"; } 2>/dev/null && return
        sleep 0.1
    done
    printf '%s does not give way to synthesisers: %s could not be written\n' "$1" "$group" >&2
}

# Waits until everything that was started is ready, in the order of the start, and says how it went.
wait_until_ready() {
    local name address until=$((SECONDS + start_timeout_s)) began
    for name in "${started[@]}"; do
        address=$(reached_at "${name##*-}")
        until is_ready "$address"; do
            pid_of "$name" >/dev/null || { show_log "$name" && fail "$name ended while it was starting"; }
            [ "$SECONDS" -lt "$until" ] || { show_log "$name" && fail "$name was not ready after $start_timeout_s s"; }
            sleep 0.1
        done
        give_way "$name"
        printf '  %-10s ready on %s, process %s, log %s\n' "$name" "$address" "$(pid_of "$name")" "$(log_of "$name")"
    done
}

show_log() { # name
    printf -- '--- the last lines of %s\n' "$(log_of "$1")" >&2
    tail -n 20 "$(log_of "$1")" >&2 || true
    echo "---" >&2
}

# Tells instances to stop, all at once, and waits until the last has finished its work.
stop_instances() { # names...
    local name pid status=0
    for name in "$@"; do
        ! pid=$(pid_of "$name") || kill -TERM "$pid" 2>/dev/null || true
    done
    for name in "$@"; do
        if ! wait_for_end "$name" "$stop_timeout_s"; then
            printf 'error: %s did not end within %s s and is killed\n' "$name" "$stop_timeout_s" >&2
            ! pid=$(pid_of "$name") || kill -KILL "$pid" 2>/dev/null || true
            wait_for_end "$name" 5 || true
            status=1
        fi
    done
    return "$status"
}

# What was started before a failure or Ctrl-C does not stay behind.
undo_start() {
    local status=$? name
    trap - EXIT INT TERM HUP
    if [ "$status" != 0 ] && [ "${#started[@]}" -gt 0 ]; then
        echo "Stopping what was started." >&2
        stop_instances "${started[@]}" || true
        for name in "${started[@]}"; do
            scripts/nginx_upstreams.sh --remove "$name" 2>/dev/null || true
        done
    fi
    exit "$status"
}

# Only one script changes the cluster at a time.
take_cluster() {
    mkdir -p "$cluster"
    exec 9>"$cluster/lock"
    flock -n 9 || fail "another script is changing the cluster in $cluster; wait until it is done"
}

# The whole of start_asr.sh and start_tts.sh, which say `usage` and the first port.
start_service() { # service, first port, arguments...
    local service=$1 port=$2 count=1 idx share
    shift 2
    combined=0
    while [ $# -gt 0 ]; do
        case "$1" in
            --port) port=${2:-} && wants_number "$1" "$port" && shift ;;
            --count) count=${2:-} && wants_number "$1" "$count" && shift ;;
            --host) host=${2:?--host wants an address} && shift ;;
            --combined-logs) combined=1 ;;
            -h | --help) usage && exit 0 ;;
            --) shift && options=("$@") && break ;;
            *) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
        esac
        shift
    done
    take_cluster
    trap undo_start EXIT
    trap 'interrupt 130' INT
    trap 'interrupt 143' TERM HUP
    mapfile -t share < <(share_of_cores "$service" "$count")
    for ((idx = 0; idx < count; idx++)); do
        start_instance "$service" $((port + 10 * idx)) "${options[@]}" "${share[@]}"
    done
    wait_until_ready
    refresh_nginx "${joining[@]}"
    trap - EXIT
}

# --- nginx ---

nginx_command() {
    PATH=$PATH:/usr/sbin command -v nginx ||
        fail "nginx is missing. On Debian and Ubuntu: sudo apt-get install --no-install-recommends nginx"
}

# The pages that may read what nginx itself answers, as the servers have them.
write_origins() { # origins...
    local origin
    for origin in "$@"; do
        # shellcheck disable=SC2016 # a variable of nginx
        if [ "$origin" = "*" ]; then echo '"~." "*";'; else printf '"%s" $http_origin;\n' "$origin"; fi
    done >"$cluster/origins.map"
}

# Whether the kernel can do it; addresses may come later.
has_ipv6() { [ -e /proc/net/if_inet6 ]; }

# The shipped configuration with the folders and ports of this cluster: nothing else differs.
write_nginx_conf() { # all, speech, status port
    local user="" limits=cat addresses=cat
    [ "$(id -u)" != 0 ] || user="user $(id -un) $(id -gn);"
    [ "${VOICE_LIMITS:-on}" != off ] || limits="sed /limits.conf/d"
    has_ipv6 || addresses="sed /\[::\]/d"
    mkdir -p "$cluster/temp"
    $limits nginx/voice.conf | $addresses | sed \
        -e "s#^user .*#$user#" \
        -e "s#/run/nginx-voice.pid#$cluster/nginx.run#" \
        -e "s#/var/log/nginx/voice-errors.txt#$cluster/nginx.log#" \
        -e "s#/var/log/nginx/voice-access.jsonl#$cluster/access.log#" \
        -e "s#/var/lib/nginx/#$cluster/temp/#" \
        -e "s#/etc/nginx/voice/upstreams.conf#$cluster/upstreams.conf#" \
        -e "s#voice_state /etc/nginx/voice;#voice_state $cluster;#" \
        -e "s#/etc/nginx/voice/#$root/nginx/#" \
        -e "s#listen \(\[::\]:\)\?8000 #listen \1$1 #; s#listen \(\[::\]:\)\?8003 #listen \1$2 #; s#listen 127.0.0.1:8080;#listen 127.0.0.1:$3;#" \
        >"$cluster/nginx.conf"
}

start_nginx() { # all, speech, status port
    local nginx pid port
    nginx=$(nginx_command)
    ! pid=$(pid_of nginx) || fail "nginx runs already (process $pid)"
    for port in "$@"; do
        ! is_port_taken "$port" || fail "port $port is taken by another program; see --help for choosing others"
    done
    write_nginx_conf "$@"
    "$nginx" -t -q -c "$cluster/nginx.conf" -p "$cluster" -e "$cluster/nginx.log" || fail "nginx does not accept $cluster/nginx.conf"
    combined=0 launch nginx "$cluster/nginx.log" "$nginx" -c "$cluster/nginx.conf" -p "$cluster" -e "$cluster/nginx.log" -g "daemon off;"
    for _ in $(seq 50); do
        ! is_port_taken "$1" || ! is_port_taken "$3" || return 0
        pid_of nginx >/dev/null || break
        sleep 0.1
    done
    show_log nginx
    fail "nginx did not start"
}

# Lets nginx know of the list as it is now, if it runs.
refresh_nginx() { # changes...
    local reload=()
    ! pid_of nginx >/dev/null || reload=(--reload)
    PATH=$PATH:/usr/sbin scripts/nginx_upstreams.sh "${reload[@]}" "$@"
}
