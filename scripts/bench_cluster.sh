#!/usr/bin/env bash
# Measures one and two instances of each server behind nginx on this machine, and writes docs/benchmarks_cluster.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
usage: scripts/bench_cluster.sh [options]

  --quick           about five minutes: short runs and a coarse search
  --only PART,…     only these parts: messages, users, asr, tts, theirs
                    (other results of earlier runs are kept and printed again)
  --threads N       threads of the Python server's Whisper calls; ours shares the cores out by itself [default: all cores]
  --results DIR     where the raw results are kept as JSON [default: .run/bench_cluster]
  --out FILE        what is written [default: docs/benchmarks_cluster.md]
  -h, --help        this text

Without options it takes about forty minutes on two cores. It starts clusters of its own, on ports from 18100 on.
Leave the machine alone meanwhile: everything here is a matter of who gets the processor.
USAGE
}

parts=messages,users,asr,tts,theirs
results=.run/bench_cluster
out=docs/benchmarks_cluster.md
# shellcheck source=scripts/bench_common.sh
. scripts/bench_common.sh

python=.native/venv-baseline/bin/python
# The recordings that the demo model reads word for word, so that a wrong text is the server's fault.
exact=held_espeak_084,held_ked_112,held_ked_136,held_slt_hts_110,seen_flite_014,tel_held_espeak_084
front=18100 asr_port=18101 tts_port=18102
theirs_port=18191

VOICE_RUN=$(realpath -m "$results")/run
export VOICE_RUN

start_cluster() { # instances of each server, services
    scripts/start_all.sh --asr "$1" --tts "$1" --services "$2" --port "$front" --tts-front 18103 --status-port 18180 \
        --asr-port "$asr_port" --tts-port "$tts_port" --asr-set server.max_connections=2000 --tts-set server.max_connections=2000 \
        --tts-set model.queue_places=4000 --tts-set "voices.store=$VOICE_RUN/voices" --no-limits
}

stop_cluster() {
    scripts/stop_all.sh >/dev/null
}
trap 'stop_all; stop_cluster' EXIT

# --- set-up ---

say "set-up"
scripts/setup.sh --tests
mkdir -p "$results" "$VOICE_RUN"
cargo build --release -p asr -p tts -p loadgen
install_python venv-baseline tests/baseline/requirements.txt
ulimit -n 20000 2>/dev/null || ulimit -n "$(ulimit -Hn)"
describe_machine "$python" scripts/bench_cluster.sh

if [ "$quick" = 1 ]; then
    seconds=20 round_trips=2000
    search=(--seconds 8 --warm-up 2)
    asr_search=(--min-utterances 25) tts_search=(--min-requests 10)
else
    seconds=120 round_trips=20000
    search=(--seconds 20 --warm-up 3)
    asr_search=(--min-utterances 100) tts_search=(--min-requests 40)
fi

# --- parts ---

bench_messages() {
    say "one small message there and back, past nginx and through it"
    start_cluster 1 asr,nginx
    "$python" tests/baseline/round_trips.py --times "$round_trips" "direct=ws://127.0.0.1:$asr_port/v1/stream/asr" \
        "nginx=ws://127.0.0.1:$front/v1/stream/asr" | tee "$results/messages.json"
    stop_cluster
}

bench_users() {
    say "80 users at once: 60 who speak and 20 who listen, two instances of each server"
    start_cluster 2 asr,tts,nginx
    "$loadgen" tts --server "127.0.0.1:$front" --label "20 listeners" -n 20 -t "$seconds" --warm-up 3 --json "$results/users-tts.json" \
        >"$results/users-tts.txt" &
    pids+=($!)
    "$loadgen" asr --server "127.0.0.1:$front" --label "60 speakers" -n 60 -t "$seconds" --warm-up 3 --clips "$exact" \
        --json "$results/users-asr.json" || true
    wait "${pids[@]}" || true
    pids=()
    cat "$results/users-tts.txt"
    stop_cluster
}

find_limit() { # asr or tts, instances
    say "$1: the most that $2 instance(s) carry behind nginx"
    start_cluster "$2" "$1,nginx"
    local options=(--clips "$exact" --first 16 "${asr_search[@]}")
    [ "$1" = asr ] || options=(--first 16 "${tts_search[@]}")
    # A cluster that carries nothing ends the search with 1; that is a result too.
    "$loadgen" "$1" --server "127.0.0.1:$front" --label "$2 × $1 behind nginx" --find-limit "${search[@]}" "${options[@]}" \
        --json "$results/$1-$2.json" || [ -s "$results/$1-$2.json" ]
    stop_cluster
}

bench_asr() {
    find_limit asr 1
    find_limit asr 2
}

bench_tts() {
    find_limit tts 1
    find_limit tts 2
}

bench_theirs() {
    say "the seed's design: one Python server"
    "$python" tests/baseline/server.py --model services/asr/models/demo --turn-models .native/models --port "$theirs_port" \
        --threads "$threads" >"$results/baseline.log" 2>&1 &
    pids+=($!)
    wait_until_ready "$theirs_port" "$results/baseline.log"
    "$loadgen" asr --server "127.0.0.1:$theirs_port" --label "FastAPI + faster-whisper" --find-limit "${search[@]}" "${asr_search[@]}" \
        --clips "$exact" --json "$results/theirs.json" || [ -s "$results/theirs.json" ]
    stop_all
}

run_parts

say "report"
mkdir -p "$(dirname "$out")/images"
for kind in asr tts; do
    searches=()
    for found in "$results/$kind-1.json" "$results/$kind-2.json"; do
        [ ! -s "$found" ] || searches+=("$found")
    done
    [ "${#searches[@]}" = 0 ] || "$loadgen" chart "${searches[@]}" --out "$(dirname "$out")/images/cluster_${kind}_load.svg"
done
"$python" tests/baseline/report_cluster.py --results "$results" >"$out"
echo "wrote $out"
