#!/usr/bin/env bash
# Measures the recogniser beside what it replaces, both on this machine in one run, and writes docs/benchmarks.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
usage: scripts/bench_asr.sh [options]

  --quick           about five minutes: a short file, one round, a coarse search, a soak of a minute
  --only PART,…     only these parts: files, mel, streams, turns, overhead, vad, idle, start, soak
                    (other results of earlier runs are kept and printed again)
  --threads N       threads of one Whisper call, on both sides [default: all cores]
  --soak-minutes N  length of the mixed soak [default: 30]
  --rounds N        how often each side reads the long file [default: 5]
  --results DIR     where the raw results are kept as JSON [default: .run/bench]
  --out FILE        what is written [default: docs/benchmarks.md]
  -h, --help        this text

Without options it takes about an hour and a half on two cores, half an hour of which is the soak.
Leave the machine alone meanwhile: everything here is a matter of who gets the processor.
USAGE
}

parts=files,mel,streams,turns,overhead,vad,idle,start,soak
results=.run/bench
out=docs/benchmarks.md
# shellcheck source=scripts/bench_common.sh
. scripts/bench_common.sh

asr=$target/release/asr
python=.native/venv-baseline/bin/python
demo=$PWD/services/asr/models/demo
base=$PWD/.native/models/bench-base-shaped
recordings=tests/fixtures/speech
# The recordings that the demo model reads word for word, so that a wrong text is the server's fault.
exact=held_espeak_084,held_ked_112,held_ked_136,held_slt_hts_110,seen_flite_014,tel_held_espeak_084
ours_port=18001
full_port=18011
theirs_port=18091

# --- servers ---

start_ours() { # port, settings...
    local port=$1 setting options=()
    shift
    for setting in "$@"; do
        options+=(--set "$setting")
    done
    # Of its own accord it shares all cores out among as many copies of the model as suit it.
    if [ "$threads" != "$(nproc)" ]; then
        options+=(--set "model.workers=1" --set "model.threads=$threads")
    fi
    "$asr" --host 127.0.0.1 --port "$port" --set server.max_connections=6000 \
        --set server.rate_limit_per_minute=0 "${options[@]}" >"$results/asr-$port.log" 2>&1 &
    pids+=($!)
    wait_until_ready "$port" "$results/asr-$port.log"
}

start_theirs() { # options...
    "$python" tests/baseline/server.py --model "$demo" --turn-models .native/models --port "$theirs_port" \
        --threads "$threads" "$@" >"$results/baseline.log" 2>&1 &
    pids+=($!)
    wait_until_ready "$theirs_port" "$results/baseline.log"
}

# --- set-up ---

say "set-up"
scripts/setup.sh
mkdir -p "$results"
cargo build --release -p asr -p loadgen
install_python venv-baseline tests/baseline/requirements.txt
if [ ! -f "$base/model.bin" ] || [ tests/baseline/make_base_shaped.py -nt "$base/model.bin" ]; then
    echo "making a model with the shape of base and random weights"
    "$python" tests/baseline/make_base_shaped.py "$demo" "$base"
fi
# Thousands of sockets need as many open files.
ulimit -n 20000 2>/dev/null || ulimit -n "$(ulimit -Hn)"
describe_machine "$python" scripts/bench_asr.sh

# --- parts ---

if [ "$quick" = 1 ]; then
    file_s=120 rounds=${rounds:-1}
    search=(--seconds 8 --warm-up 2 --min-utterances 25)
else
    file_s=600 rounds=${rounds:-5}
    search=(--seconds 30 --warm-up 3 --min-utterances 150)
fi

bench_files() {
    "$python" tests/baseline/compose.py "$recordings" "$results/long.wav" "$file_s" "$exact"
    local name model
    for name in demo base; do
        model=$demo
        [ "$name" = demo ] || model=$base
        say "a file of $file_s s on the $name model, in turns"
        local servers=(--server "ours=127.0.0.1:$ours_port")
        if [ "$name" = demo ]; then
            start_ours "$ours_port"
            # What part of the difference comes from encoding only as much as there is.
            start_ours "$full_port" model.window=full
            servers+=(--server "ours, 30 s windows=127.0.0.1:$full_port")
        else
            start_ours "$ours_port" "model.name=$base"
        fi
        "$python" tests/baseline/files.py --model "$model" --audio "$results/long.wav" --threads "$threads" \
            --rounds "$rounds" "${servers[@]}" --json "$results/files-$name.json"
        stop_all
    done
}

bench_mel() {
    say "log-mel features of 30 s"
    cargo bench --quiet -p audio --bench mel -- mel/whisper_80 >/dev/null
    "$python" tests/baseline/report.py mel --criterion "$target/criterion" --theirs "$("$python" tests/baseline/mel.py)" \
        >"$results/mel.json"
}

find_limit() { # name, label, port, options...
    local name=$1 label=$2 port=$3
    shift 3
    say "streams: $label"
    # A server that carries nothing ends the search with 1; that is a result too.
    "$loadgen" asr --server "127.0.0.1:$port" --label "$label" --pid "${pids[-1]}" --find-limit "${search[@]}" \
        --json "$results/$name.json" "$@" || [ -s "$results/$name.json" ]
    stop_all
}

bench_streams() {
    start_theirs
    find_limit streams-theirs "FastAPI + faster-whisper" "$theirs_port" --clips "$exact"
    if [ "$quick" = 0 ]; then
        start_theirs --finals-first
        find_limit streams-theirs-first "the same, finals first" "$theirs_port" --clips "$exact"
        start_ours "$ours_port" model.window=full
        find_limit streams-ours-full "ours, 30 s windows" "$ours_port" --clips "$exact" --first 4
    fi
    start_ours "$ours_port"
    find_limit streams-ours "ours" "$ours_port" --clips "$exact" --first 16
}

bench_turns() {
    local side clips
    for side in ours theirs; do
        say "recordings that $side judge complete at the first look"
        if [ "$side" = ours ]; then
            start_ours "$ours_port"
            "$loadgen" asr --server "127.0.0.1:$ours_port" --final-on turn_end --calibrate --json "$results/calibration-ours.json"
        else
            start_theirs
            "$loadgen" asr --server "127.0.0.1:$theirs_port" --final-on turn_end --calibrate --json "$results/calibration-theirs.json"
        fi
        stop_all
    done
    clips=$("$python" tests/baseline/report.py common "$results/calibration-ours.json" "$results/calibration-theirs.json")
    echo "both: $clips"
    start_theirs
    find_limit turns-theirs "FastAPI + faster-whisper" "$theirs_port" --clips "$clips" --final-on turn_end
    start_ours "$ours_port"
    find_limit turns-ours "ours" "$ours_port" --clips "$clips" --final-on turn_end --first 16
}

bench_overhead() {
    say "time in our code for each final, with models that answer at once"
    cargo build --quiet --release -p e2e --example scripted_asr
    "$target/release/examples/scripted_asr" "$ours_port" >"$results/scripted.log" 2>&1 &
    pids+=($!)
    wait_until_ready "$ours_port" "$results/scripted.log"
    # Frames longer than anything takes here, so that the frame before a final is the one that caused it. The texts
    # are wrong, of course, hence the exit status.
    "$loadgen" asr --server "127.0.0.1:$ours_port" --clips "$exact" -n 20 -t $((quick ? 20 : 120)) --frame-ms 100 \
        --json "$results/overhead.json" || [ -s "$results/overhead.json" ]
    stop_all
}

listen() { # name, port, sessions
    "$loadgen" asr --server "127.0.0.1:$2" --label "$1" --silent -n "$3" -t $((quick ? 10 : 60)) --pid "${pids[-1]}" --json "$results/vad-$1.json"
    curl --silent "http://127.0.0.1:$2/metrics" >"$results/vad-$1.metrics"
    stop_all
}

bench_vad() {
    say "streams in which nobody speaks"
    start_theirs
    listen theirs "$theirs_port" 50
    start_ours "$ours_port"
    listen ours "$ours_port" 200
}

bench_idle() {
    say "5,000 idle sessions"
    start_ours "$ours_port"
    "$loadgen" asr --server "127.0.0.1:$ours_port" --idle 5000 -t $((quick ? 10 : 60)) --pid "${pids[-1]}" --json "$results/idle.json"
    stop_all
}

bench_start() {
    say "from start to ready"
    "$python" tests/baseline/start.py "$ours_port" -- "$asr" --host 127.0.0.1 --port "$ours_port" | tee "$results/start.json"
}

bench_soak() {
    say "$soak_minutes minutes of streams, uploads and broken connections"
    start_ours "$ours_port"
    "$loadgen" asr --server "127.0.0.1:$ours_port" --label soak --soak $((soak_minutes * 60)) -n 20 --mixed --final-on turn_end \
        --pid "${pids[-1]}" --json "$results/soak.json" || echo "the soak found something: see above"
    stop_all
}

run_parts

say "report"
pictures=()
for name in streams-theirs streams-theirs-first streams-ours-full streams-ours; do
    [ ! -f "$results/$name.json" ] || pictures+=("$results/$name.json")
done
mkdir -p "$(dirname "$out")/images"
[ ${#pictures[@]} = 0 ] || "$loadgen" chart "${pictures[@]}" --out "$(dirname "$out")/images/asr_load.svg"
"$python" tests/baseline/report.py document --results "$results" >"$out"
echo "wrote $out"
