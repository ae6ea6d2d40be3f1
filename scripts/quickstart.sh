#!/usr/bin/env bash
# From a fresh clone to words and a voice: sets up, builds, starts both servers, transcribes, speaks, clones a voice, stops.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
usage: scripts/quickstart.sh [options]

  --keep         leave both servers running at the end
  --port N       the recogniser listens on this port of 127.0.0.1 (default: a free one)
  --tts-port N   the synthesiser on this one (default: a free one)
  --file FILE    transcribe this recording (a WAV file with 16-bit samples) instead of the one that is shipped
  --say TEXT     speak this instead of the sentence that the recogniser knows
  --voice FILE   clone the voice of this recording (3 to 30 s) instead of the one that is shipped
  -h, --help     this text

A first run takes some minutes, most of them compiling; later ones take seconds. Safe to run again and to interrupt.
USAGE
}

keep=0
port=""
recording=tests/fixtures/speech/held_ked_136.wav
expected="I need to change my problem."
tts_port=""
sentence="Turn on the kitchen light."
voice=tests/fixtures/tts-voices/high.wav
while [ $# -gt 0 ]; do
    case "$1" in
        --keep) keep=1 ;;
        --port=*) port=${1#*=} ;;
        --port) port=${2:-none} && shift ;;
        --file=*) recording=${1#*=} expected="" ;;
        --file) recording=${2:-} expected="" && shift ;;
        --tts-port=*) tts_port=${1#*=} ;;
        --tts-port) tts_port=${2:-none} && shift ;;
        --say=*) sentence=${1#*=} ;;
        --say) sentence=${2:-} && shift ;;
        --voice=*) voice=${1#*=} ;;
        --voice) voice=${2:-} && shift ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
    shift || break
done

# ONNX Runtime reports its use to Microsoft unless this is set before it is loaded.
export ORT_DISABLE_TELEMETRY=1
python=${PYTHON:-python3}
run=.run/quickstart
servers=()

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

began=$SECONDS
step() { printf '\n[%s/8] %s\n' "$1" "$2"; }

stop_servers() {
    local status=$? pid running=0
    trap - EXIT INT TERM HUP
    for pid in "${servers[@]}"; do
        kill -TERM "$pid" 2>/dev/null && running=$((running + 1))
    done
    # Give them time to finish what they do; then insist.
    for pid in "${servers[@]}"; do
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    case "$running" in
        0) ;;
        1) echo "The server is stopped." ;;
        *) echo "Both servers are stopped." ;;
    esac
    exit "$status"
}
trap stop_servers EXIT
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
    echo "  Choose another, or leave the option out and a free one is taken." >&2
    exit 1
}

check_port() { # option, port
    case "$2" in
        "") ;;
        *[!0-9]*) fail "$1 wants a number, not \"$2\"" ;;
        *) require_free_port "$2" ;;
    esac
}

# --- the servers ---

start_server() { # name, port, options...
    local name=$1 port=$2 started=$SECONDS since
    shift 2
    log=$run/$name.log
    since=$(date +%s%N)
    # A session of its own, so that Ctrl-C reaches this script, which then stops the server in order.
    setsid "$binaries/$name" --host 127.0.0.1 --port "$port" "$@" >"$log" 2>&1 </dev/null &
    servers+=($!)
    until is_ready "$port"; do
        kill -0 "${servers[-1]}" 2>/dev/null || { unset 'servers[-1]' && show_log && fail "$name ended while it was starting"; }
        [ $((SECONDS - started)) -lt 60 ] || { show_log && fail "$name was not ready after 60 s"; }
        sleep 0.1
    done
    printf '  ready on 127.0.0.1:%s after %s ms; its log is %s\n' "$port" $((($(date +%s%N) - since) / 1000000)) "$log"
}

is_ready() { # port
    "$python" - "http://127.0.0.1:$1/readyz" 2>/dev/null <<'PYTHON'
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

transcribe_over_rest() { # file, what was spoken in it
    "$python" - "http://127.0.0.1:$port/v1/transcribe" "$1" "$2" <<'PYTHON'
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

speak() { # file, options...
    local file=$1
    shift
    "$python" scripts/speak.py "$sentence" --url "ws://127.0.0.1:$tts_port/v1/stream/tts" --out "$file" "$@" ||
        { show_log && fail "the synthesiser did not answer as it should"; }
    echo "  written to $file"
}

# --- the steps ---

check_port --port "$port"
check_port --tts-port "$tts_port"
[ -f "$recording" ] || fail "there is no file $recording"
[ -f "$voice" ] || fail "there is no file $voice"
mkdir -p "$run"

step 1 "Set up: native libraries and models"
scripts/setup.sh

step 2 "Build the servers (release)"
if [ "${CT2_FROM_SOURCE:-0}" = 1 ]; then
    CMAKE=${CMAKE:-$(command -v cmake || echo "$PWD/.native/bin/cmake")} \
        cargo build --release -p asr --no-default-features --features ct2-source
    cargo build --release -p tts
else
    cargo build --release -p asr -p tts
fi
binaries=${CARGO_TARGET_DIR:-target}/release

step 3 "Start the recogniser"
[ -n "$port" ] || port=$(free_port)
start_server asr "$port"

step 4 "Transcribe $recording over REST"
[ -z "$expected" ] || printf '  spoken: %s\n' "$expected"
transcribe_over_rest "$recording" "$expected" || { show_log && fail "REST did not answer as it should"; }

step 5 "Transcribe it over the WebSocket, at the pace of a microphone ([..] may still change)"
"$python" scripts/stream_file.py --tail 0.6 --url "ws://127.0.0.1:$port/v1/stream/asr" "$recording" ||
    { show_log && fail "the WebSocket did not answer as it should"; }

step 6 "Start the synthesiser and let it speak"
[ -n "$tts_port" ] || tts_port=$(free_port)
# The voice that is cloned below is for this demonstration: it goes into a folder of its own.
rm -rf "$run/voices"
start_server tts "$tts_port" --set "voices.store=$PWD/$run/voices"
printf '  text: %s\n' "$sentence"
speak "$run/spoken.wav"

step 7 "Clone the voice of $voice and let that speak"
speak "$run/cloned.wav" --voice quickstart --learn "$voice"

step 8 "Let the recogniser listen to both"
echo "  the built-in voice:"
transcribe_over_rest "$run/spoken.wav" "$sentence" || { show_log && fail "what was spoken could not be transcribed"; }
echo "  the cloned voice (the small demo model is harder to understand in voices other than its own):"
transcribe_over_rest "$run/cloned.wav" "" || { show_log && fail "what was spoken could not be transcribed"; }

printf '\nAll done in %s s.\n' $((SECONDS - began))
if [ "$keep" = 1 ]; then
    printf 'The servers run on; stop them with: kill %s\n' "${servers[*]}"
    servers=()
else
    printf '  run them yourself:     %s --port 8001 and %s --port 8002    (all options: --help)\n' "$binaries/asr" "$binaries/tts"
    port=8001 tts_port=8002
fi
cat <<NEXT
What to try next, with the servers running:
  your own recording:    curl -F file=@FILE http://127.0.0.1:$port/v1/transcribe
  as a live stream:      scripts/stream_file.py --url ws://127.0.0.1:$port/v1/stream/asr FILE.wav
  your own words:        scripts/speak.py --url ws://127.0.0.1:$tts_port/v1/stream/tts -o out.wav "Any English text."
  in your own voice:     the same with --voice me --learn FILE.wav (3 to 30 s of clear speech, with the speaker's consent)
  as MP3, Opus or FLAC:  scripts/speak.py --url http://127.0.0.1:$tts_port/v1/synthesize -o out.mp3 "Any English text."
  with OpenAI's client:  base_url="http://127.0.0.1:$port/v1" for transcriptions, :$tts_port/v1 for speech
  the interfaces:        http://127.0.0.1:$port/docs and http://127.0.0.1:$tts_port/docs
The built-in demo models are small: the one was taught 1,800 words of English, the other is plainly a machine. For real use:
  scripts/download_models.sh large-v3-turbo chatterbox-turbo    (scripts/download_models.sh --list shows all)
NEXT
