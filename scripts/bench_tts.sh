#!/usr/bin/env bash
# Measures the synthesiser against its goals on this machine, and writes docs/benchmarks_tts.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
usage: scripts/bench_tts.sh [options]

  --quick           about five minutes: short runs, no search, a soak of a minute
  --only PART,…     only these parts: batch, overhead, streams, first, cancel, words, start, soak
                    (other results of earlier runs are kept and printed again)
  --threads N       threads of the bare loop that is compared with; ours shares the cores out by itself [default: all cores]
  --soak-minutes N  length of the mixed soak [default: 30]
  --results DIR     where the raw results are kept as JSON [default: .run/bench_tts]
  --out FILE        what is written [default: docs/benchmarks_tts.md]
  -h, --help        this text

Without options it takes about an hour on two cores, half of which is the soak.
Leave the machine alone meanwhile: everything here is a matter of who gets the processor.
USAGE
}

parts=batch,overhead,streams,first,cancel,words,start,soak
results=.run/bench_tts
out=docs/benchmarks_tts.md
# shellcheck source=scripts/bench_common.sh
. scripts/bench_common.sh

python=.native/venv-tts/bin/python
demo=services/tts/models/demo
nano=$PWD/.native/models/bench-nano-shaped
learn=tests/fixtures/tts-voices/high.wav,tests/fixtures/tts-voices/higher.wav
texts=tests/baseline/tts_sentences.txt
assistant=tests/baseline/assistant_sentences.txt
port=18002
asr_port=18001
log=$results/tts.log

start_tts() { # settings...
    local setting options=()
    for setting in "$@"; do
        options+=(--set "$setting")
    done
    rm -rf "$results/voices"
    "$target/release/tts" --host 127.0.0.1 --port "$port" --set server.rate_limit_per_minute=0 --set "voices.store=$(realpath -m "$results")/voices" \
        "${options[@]}" >"$log" 2>&1 &
    pids+=($!)
    wait_until_ready "$port" "$log"
}

load() { # name, options...
    local name=$1
    shift
    # What is wrong is in the result, and in the report.
    "$loadgen" tts --server "127.0.0.1:$port" --label "$name" --pid "${pids[-1]}" --json "$results/$name.json" "$@" || [ -s "$results/$name.json" ]
}

# --- set-up ---

say "set-up"
scripts/setup.sh
mkdir -p "$results"
cargo build --release -p tts -p loadgen
if wants words; then
    cargo build --release -p asr
fi
install_python venv-tts tests/baseline/tts_requirements.txt
describe_machine "$python" scripts/bench_tts.sh

# --- parts ---

minute=$((quick ? 15 : 60))
one=$results/one_sentence.txt
echo "The weather tomorrow will be cold and windy, but we should go for a walk anyway." >"$one"

bench_batch() {
    if [ ! -d "$nano" ] || [ tests/baseline/make_nano_shaped.py -nt "$nano" ]; then
        echo "making a model with the shape of Nano and random weights"
        "$python" tests/baseline/make_nano_shaped.py "$nano"
    fi
    say "tokens a second on the Nano-shaped model, for one and for eight at a time"
    start_tts "model.name=$nano" model.max_batch=8
    local n
    for n in 1 8; do
        load "batch-$n" --eager --max-joined 1 --sentences "$one" -n "$n" -t $((quick ? 20 : 60)) --warm-up 2
    done
    stop_all
}

bench_overhead() {
    say "one sentence of the demo model: the bare loop, and our server"
    local n
    # Whichever is better for it: steps of so small a model do not always gain from a second thread.
    for n in 1 "$threads"; do
        "$python" tests/baseline/tts_loop.py "$demo" --text "$(cat "$one")" --threads "$n" --times $((quick ? 10 : 40)) >"$results/loop-$n.json"
        cat "$results/loop-$n.json"
    done
    cp "$results/loop-$threads.json" "$results/loop-all.json"
    start_tts
    load overhead --eager --max-joined 1 --sentences "$one" -n 1 -t $((quick ? 5 : 20)) --warm-up 1
    stop_all
}

bench_streams() {
    say "20 listeners"
    start_tts
    load streams -n 20 -t "$minute"
    if [ "$quick" = 0 ]; then
        say "the most listeners"
        load search --find-limit --first 16 -t 20
    fi
    stop_all
}

bench_first() {
    say "one listener"
    start_tts
    load first -n 1 --max-joined 1 --pause-min-ms 50 --pause-max-ms 200 -t "$minute"
    stop_all
}

bench_cancel() {
    say "from a cancel to the last byte"
    start_tts
    load cancel -n 8 --mixed --cancel 800 --pause-min-ms 50 --pause-max-ms 300 -t "$minute" --learn "$learn"
    stop_all
}

speak_all() { # folder, texts, options...
    local folder=$1 list=$2 number=0 text
    shift 2
    rm -rf "$folder"
    mkdir -p "$folder"
    while read -r text; do
        python3 scripts/speak.py "$text" --url "ws://127.0.0.1:$port/v1/stream/tts" -o "$(printf '%s/%03d.wav' "$folder" "$number")" "$@" >/dev/null
        number=$((number + 1))
    done <"$list"
}

bench_words() {
    say "how much of it is understood"
    start_tts
    speak_all "$results/words" "$texts"
    speak_all "$results/words-cloned" "$texts" --voice cloned --learn "${learn%%,*}"
    speak_all "$results/words-assistant" "$assistant"
    stop_all
    "$target/release/asr" --host 127.0.0.1 --port "$asr_port" --set server.rate_limit_per_minute=0 >"$results/asr.log" 2>&1 &
    pids+=($!)
    wait_until_ready "$asr_port" "$results/asr.log"
    local heard list
    for heard in words words-cloned words-assistant; do
        list=$texts
        [ "$heard" != words-assistant ] || list=$assistant
        "$python" tests/baseline/hear.py "$results/$heard" --texts "$list" >"$results/$heard-sphinx.json"
        "$python" tests/baseline/hear.py "$results/$heard" --texts "$list" --server "127.0.0.1:$asr_port" >"$results/$heard-asr.json"
    done
    stop_all
}

bench_start() {
    say "from start to ready"
    "$python" tests/baseline/start.py "$port" -- "$target/release/tts" --host 127.0.0.1 --port "$port" | tee "$results/start.json"
}

bench_soak() {
    say "$soak_minutes minutes of listeners who cancel, vanish and change voices"
    start_tts
    # More at once than there are places for, so that the largest batch was met: what grows after that is a leak, not the most so far.
    "$loadgen" tts --server "127.0.0.1:$port" --label "the largest batch" --eager -n 64 -t 30 --warm-up 0
    load soak --soak $((soak_minutes * 60)) -n 12 --mixed --learn "$learn"
    stop_all
}

run_parts

say "report"
if [ -f "$results/search.json" ]; then
    mkdir -p "$(dirname "$out")/images"
    "$loadgen" chart "$results/search.json" --out "$(dirname "$out")/images/tts_load.svg"
fi
"$python" tests/baseline/report_tts.py --results "$results" >"$out"
echo "wrote $out"
