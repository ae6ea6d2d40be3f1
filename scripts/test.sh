#!/usr/bin/env bash
# Sets up and runs everything that CI runs, cheapest first. Stops at the first step that fails and says which.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
usage: scripts/test.sh [options]

  --fast          only format, shell checks, lints and unit tests: for every save, not for a merge
  --no-quickstart leave out the release build, the run of scripts/quickstart.sh and the cluster that is made of it
  --long          only what takes long: the faults of the cluster, at full size and with an hour of load
                  (docs/RELIABILITY.md), and small runs of the recipes of the built-in models (scripts/train_demo)
  -h, --help      this text

The whole takes about half an hour on two cores from nothing, a quarter of one when everything is built.
USAGE
}

fast=0
with_quickstart=1
long=0
for argument in "$@"; do
    case "$argument" in
        --fast) fast=1 ;;
        --no-quickstart) with_quickstart=0 ;;
        --long) long=1 ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$argument" >&2 && usage >&2 && exit 2 ;;
    esac
done

python=${PYTHON:-python3}
export CLIPPY_CONF_DIR=$PWD/services
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
export PYTHONDONTWRITEBYTECODE=1
locked=()
if [ "${CI:-}" = true ]; then
    # A machine that builds once gains nothing from incremental compilation, and must build what was committed.
    export CARGO_INCREMENTAL=0
    locked=(--locked)
fi

# --- steps and their times ---

counts=$(mktemp)
output=$(mktemp)
summary=""
current=""
current_began=0

finish() {
    local status=$?
    trap - EXIT
    if [ -n "$current" ]; then
        summary+=$(printf '\n  %-12s %5s s  %s' "$current" $((SECONDS - current_began)) FAILED)
    fi
    printf '\n==> steps%s\n  %-12s %5s s\n' "$summary" "all" "$SECONDS"
    [ "$status" = 0 ] || printf 'FAILED in: %s\n' "${current:-set-up}"
    # One line that counts every test, Rust's and Python's.
    awk '{ passed += $1; failed += $2; skipped += $3 }
         END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$counts"
    rm -f "$counts" "$output"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

step() { # name, command...
    current=$1
    current_began=$SECONDS
    shift
    printf '\n==> %s\n' "$current"
    "$@"
    summary+=$(printf '\n  %-12s %5s s' "$current" $((SECONDS - current_began)))
    current=""
}

# Shows the output of a test runner and adds its closing lines up: cargo's `test result:`, unittest's `Ran` and `OK`, Node's `# pass` and `# fail`.
counting() {
    local status=0
    "$@" 2>&1 | tee "$output" || status=$?
    awk '
        /^test result:/ { print $4, $6, $8 }
        /^# (pass|fail|skipped) [0-9]+$/ { node[$2] = $3; if ($2 == "skipped") print node["pass"], node["fail"], $3 }
        /^Ran [0-9]+ test/ { ran = $2 }
        /^(FAILED|OK)( \(|$)/ {
            failed = skipped = 0
            n = split($0, part, /[(,) ]+/)
            for (i = 1; i <= n; i++) {
                split(part[i], pair, "=")
                if (pair[1] == "failures" || pair[1] == "errors") failed += pair[2]
                if (pair[1] == "skipped") skipped += pair[2]
            }
            print ran - failed - skipped, failed, skipped
        }' "$output" >>"$counts"
    return "$status"
}

# --- what the steps do ---

check_scripts() {
    local shellcheck
    shellcheck=$(command -v shellcheck || echo .native/bin/shellcheck)
    find scripts -name '*.sh' -exec "$shellcheck" {} +
    "$shellcheck" .ci/run
    # Byte-compiling finds syntax errors; the result is thrown away.
    local file files
    mapfile -t files < <(find scripts tests/scripts tests/cluster tests/train_demo config -name '*.py')
    for file in "${files[@]}"; do
        "$python" -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$file"
    done
    echo "$(find scripts -name '*.sh' | wc -l) shell scripts and ${#files[@]} Python files are sound"
}

# Those with real servers are apart from the others, because they need what quickstart builds.
test_python_client() { # pattern of the files
    "$python" -m unittest discover -t services/clients/python -s services/clients/python/tests -p "$1"
}

# Node 20 has a WebSocket only when asked for it.
test_js_client() { # names of the files
    if ! command -v node >/dev/null; then
        echo "node is missing: the JavaScript client is not tested"
        [ "${CI:-}" != true ]
        return
    fi
    local files=("${@/#/services/clients/js/tests/}")
    files=("${files[@]/%/.test.js}")
    node --no-warnings --experimental-websocket --test --test-reporter=tap "${files[@]}"
}

check_dependencies() {
    if cargo deny --version >/dev/null 2>&1; then
        cargo deny check --config scripts/deny.toml bans licenses sources
    else
        cargo metadata "${locked[@]}" --format-version=1 | "$python" scripts/check_licenses.py
    fi
}

check_fuzz_targets() {
    local manifest
    for manifest in services/*/fuzz/Cargo.toml services/libs/*/fuzz/Cargo.toml; do
        [ -f "$manifest" ] || continue
        echo "$manifest"
        CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/fuzz cargo check --quiet --manifest-path "$manifest"
    done
}

# What loads the servers in the soak, and the Rust client with TLS: nobody needs them for trying the servers, so that quickstart does
# not build them.
test_cluster() { # pattern of the files, options
    cargo build --release "${locked[@]}" -p loadgen -p voice-client --features voice-client/tls --bin loadgen --example hear_and_say &&
        "$python" -m unittest discover -s tests/cluster -p "$@"
}

# 80 of 100 of the 60 who speak and 20 who listen for whom two instances of each service are made. What the caller has set stands.
test_faults_at_full_size() {
    export FAULTS_STREAMS=${FAULTS_STREAMS:-40} FAULTS_STOP_S=${FAULTS_STOP_S:-10} FAULTS_STORM=${FAULTS_STORM:-5000}
    export FAULTS_RELOADS=${FAULTS_RELOADS:-12} FAULTS_RELOAD_EVERY_S=${FAULTS_RELOAD_EVERY_S:-5}
    export SOAK_MINUTES=${SOAK_MINUTES:-60} SOAK_STREAMS=${SOAK_STREAMS:-48} SOAK_LISTENERS=${SOAK_LISTENERS:-16}
    cargo build --release "${locked[@]}" -p asr -p tts && test_cluster 'test_faults_*.py' -v
}

# Small runs of the recipes of the built-in models, from texts to a report: so that they work when they are needed.
train_small_models() {
    scripts/train_demo/setup.sh && TRAIN_SMALL_RUNS=1 .native/venv-train/bin/python -m unittest discover -s tests/train_demo -v
}

build_docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc "${locked[@]}" --workspace --no-deps
}

# --- the order ---

step set-up scripts/setup.sh --tests
if [ "$long" = 1 ]; then
    step faults counting test_faults_at_full_size
    step training counting train_small_models
    exit 0
fi
step format cargo fmt --all --check
step scripts check_scripts
step script-tests counting "$python" -m unittest discover -s tests/scripts
step train-tests counting "$python" -m unittest discover -s tests/train_demo
step client-tests counting test_python_client 'test_[cs][ot]*.py'
step js-tests counting test_js_client cores streams
step licences check_dependencies
step clippy cargo clippy "${locked[@]}" --workspace --all-targets -- -D warnings
if [ "$fast" = 1 ]; then
    step unit-tests counting cargo test "${locked[@]}" --workspace --lib --bins
    exit 0
fi
step docs build_docs
step fuzz-check check_fuzz_targets
[ "$with_quickstart" = 0 ] || step quickstart scripts/quickstart.sh
[ "$with_quickstart" = 0 ] || step clients counting test_python_client 'test_servers.py'
[ "$with_quickstart" = 0 ] || step js-clients counting test_js_client servers
[ "$with_quickstart" = 0 ] || step cluster counting test_cluster 'test_*.py'
step tests counting cargo test "${locked[@]}" --workspace --no-fail-fast
