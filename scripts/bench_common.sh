# shellcheck shell=bash disable=SC2034,SC2154 # read and set by those who source it
# What the benchmarks of both servers share. Sourced by them, after they said `usage`, `parts`, `results` and `out`.

quick=0
only=$parts
threads=$(nproc)
soak_minutes=30
rounds=
arguments="$*"
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) quick=1 && soak_minutes=1 ;;
        --only) only=${2:?--only needs names} && shift ;;
        --threads) threads=${2:?--threads needs a number} && shift ;;
        --soak-minutes) soak_minutes=${2:?--soak-minutes needs a number} && shift ;;
        --rounds) rounds=${2:?--rounds needs a number} && shift ;;
        --results) results=${2:?--results needs a folder} && shift ;;
        --out) out=${2:?--out needs a file} && shift ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
    shift
done
for part in ${only//,/ }; do
    [[ ",$parts," == *",$part,"* ]] || { printf 'error: unknown part %s\n\n' "$part" >&2 && usage >&2 && exit 2; }
done

export PYTHONDONTWRITEBYTECODE=1
target=${CARGO_TARGET_DIR:-$PWD/target}
loadgen=$target/release/loadgen

say() { printf '\n==> %s\n' "$*"; }
wants() { [[ ",$only," == *",$1,"* ]]; }

# --- servers ---

pids=()
stop_all() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}
trap stop_all EXIT
trap 'exit 130' INT TERM

wait_until_ready() { # port, log
    local tries=0
    until curl --silent --fail --output /dev/null "http://127.0.0.1:$1/readyz"; do
        tries=$((tries + 1))
        if ! kill -0 "${pids[-1]}" 2>/dev/null || [ "$tries" -gt 600 ]; then
            printf 'error: the server on port %s did not start:\n' "$1" >&2
            tail -20 "$2" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# --- set-up ---

install_python() { # environment, requirements
    cmp -s "$2" ".native/$1/installed.txt" && return 0
    echo "installing what $2 says into .native/$1"
    rm -rf ".native/$1"
    "${PYTHON:-python3}" -m venv ".native/$1"
    ".native/$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
    cp "$2" ".native/$1/installed.txt"
}

describe_machine() { # python, command
    "$1" tests/baseline/report.py machine --command "$2 $arguments" --threads "$threads" >"$results/machine.json"
}

run_parts() {
    local part
    for part in ${parts//,/ }; do
        if wants "$part"; then
            "bench_$part"
        fi
    done
}
