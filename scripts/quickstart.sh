#!/usr/bin/env bash
# From a fresh clone to words on the screen: sets up, builds, starts the server, transcribes a recording, stops.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
usage: scripts/quickstart.sh [options]

  --keep         leave the server running at the end
  --port N       listen on this port of 127.0.0.1 (default: a free one)
  --file FILE    transcribe this recording (a WAV file with 16-bit samples) instead of the one that is shipped
  -h, --help     this text

A first run takes some minutes, most of them compiling; later ones take seconds. Safe to run again and to interrupt.
USAGE
}

keep=0
port=""
recording=tests/fixtures/speech/held_ked_136.wav
expected="I need to change my problem."
while [ $# -gt 0 ]; do
    case "$1" in
        --keep) keep=1 ;;
        --port=*) port=${1#*=} ;;
        --port) port=${2:-none} && shift ;;
        --file=*) recording=${1#*=} expected="" ;;
        --file) recording=${2:-} expected="" && shift ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
    shift || break
done

# ONNX Runtime reports its use to Microsoft unless this is set before it is loaded.
export ORT_DISABLE_TELEMETRY=1
python=${PYTHON:-python3}
log=.run/quickstart.log
server=""

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

began=$SECONDS
step() { printf '\n[%s/5] %s\n' "$1" "$2"; }

stop_server() {
    local status=$?
    trap - EXIT INT TERM HUP
    if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
        kill -TERM "$server" 2>/dev/null || true
        # Give it time to finish what it does; then insist.
        for _ in $(seq 100); do
            kill -0 "$server" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        echo "The server is stopped."
    fi
    exit "$status"
}
trap stop_server EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- ports ---

free_port() {
    "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

require_free_port() {
    local reason
    reason=$("$python" - "$1" 2>&1 <<'PYTHON'
import socket, sys

try:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
except (OSError, OverflowError, ValueError) as error:
    sys.exit(str(error))
PYTHON
    ) && return 0
    printf 'error: cannot listen on port %s: %s\n' "$1" "$reason" >&2
    if command -v ss >/dev/null 2>&1; then
        ss -Hltnp "sport = :$1" 2>/dev/null | sed 's/^/  /' >&2
    fi
    echo "  Choose another with --port N, or leave --port out and a free one is taken." >&2
    exit 1
}

# --- the server ---

start_server() {
    local binary=$1
    mkdir -p .run
    # A session of its own, so that Ctrl-C reaches this script, which then stops the server in order.
    setsid "$binary" --host 127.0.0.1 --port "$port" >"$log" 2>&1 </dev/null &
    server=$!
    local started=$SECONDS
    until is_ready; do
        kill -0 "$server" 2>/dev/null || { server="" && show_log && fail "the server ended while it was starting"; }
        [ $((SECONDS - started)) -lt 60 ] || { show_log && fail "the server was not ready after 60 s"; }
        sleep 0.1
    done
}

is_ready() {
    "$python" - "http://127.0.0.1:$port/readyz" 2>/dev/null <<'PYTHON'
import sys, urllib.request

no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
no_proxy.open(sys.argv[1], timeout=2).close()
PYTHON
}

show_log() {
    echo "--- the last lines of $log" >&2
    tail -n 20 "$log" >&2
    echo "---" >&2
}

transcribe_over_rest() {
    "$python" - "http://127.0.0.1:$port/v1/transcribe" "$recording" "$expected" <<'PYTHON'
import json, os, signal, sys, time, urllib.error, urllib.request, uuid

signal.signal(signal.SIGINT, signal.SIG_DFL)
url, path, expected = sys.argv[1:]
with open(path, "rb") as file:
    audio = file.read()
name = os.path.basename(path).replace('"', "")
cut = uuid.uuid4().hex
head = f'--{cut}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
request = urllib.request.Request(
    url, head + audio + f"\r\n--{cut}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={cut}"})
no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
began = time.monotonic()
try:
    answer = json.load(no_proxy.open(request, timeout=300))
except urllib.error.HTTPError as error:
    sys.exit(f"error: {error.code} {error.read().decode('utf-8', 'replace')}")
except OSError as error:
    sys.exit(f"error: {error}")
took = time.monotonic() - began
for segment in answer["segments"]:
    print(f"  {segment['start']:6.2f} to {segment['end']:.2f} s  {segment['text'].strip()}")
print(f"  {answer['duration']:.2f} s of audio in {took:.2f} s ({answer['duration'] / max(took, 1e-3):.0f} times real time)")
if expected and not answer["text"].strip():
    sys.exit("error: no text came back")
PYTHON
}

# --- the five steps ---

case "$port" in
    "") ;;
    *[!0-9]*) fail "--port wants a number, not \"$port\"" ;;
    *) require_free_port "$port" ;;
esac
[ -f "$recording" ] || fail "there is no file $recording"

step 1 "Set up: native libraries and models"
scripts/setup.sh

step 2 "Build the server (release)"
if [ "${CT2_FROM_SOURCE:-0}" = 1 ]; then
    CMAKE=${CMAKE:-$(command -v cmake || echo "$PWD/.native/bin/cmake")} \
        cargo build --release -p asr --no-default-features --features ct2-source
else
    cargo build --release -p asr
fi
binary=${CARGO_TARGET_DIR:-target}/release/asr

step 3 "Start it"
[ -n "$port" ] || port=$(free_port)
starting=$(date +%s%N)
start_server "$binary"
printf '  ready on 127.0.0.1:%s after %s ms; its log is %s\n' "$port" $((($(date +%s%N) - starting) / 1000000)) "$log"

step 4 "Transcribe $recording over REST"
[ -z "$expected" ] || printf '  spoken: %s\n' "$expected"
transcribe_over_rest || { show_log && fail "REST did not answer as it should"; }

step 5 "Transcribe it over the WebSocket, at the pace of a microphone ([..] may still change)"
"$python" scripts/stream_file.py --tail 0.6 --url "ws://127.0.0.1:$port/v1/stream/asr" "$recording" ||
    { show_log && fail "the WebSocket did not answer as it should"; }

printf '\nAll done in %s s.\n' $((SECONDS - began))
if [ "$keep" = 1 ]; then
    printf 'The server runs on as process %s; stop it with: kill %s\n' "$server" "$server"
    server=""
else
    echo "  run it yourself:       $binary --port 8001        (all options: --help)"
    port=8001
fi
cat <<NEXT
What to try next, with the server running:
  your own recording:    curl -F file=@FILE http://127.0.0.1:$port/v1/transcribe
  as a live stream:      scripts/stream_file.py --url ws://127.0.0.1:$port/v1/stream/asr FILE.wav
  with OpenAI's client:  base_url="http://127.0.0.1:$port/v1", client.audio.transcriptions.create(...)
  the interface:         http://127.0.0.1:$port/docs
The built-in demo model knows about 600 words of English and was trained on synthetic speech. For real use:
  scripts/download_models.sh large-v3-turbo          (scripts/download_models.sh --list shows all)
NEXT
