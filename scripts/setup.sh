#!/usr/bin/env bash
# Installs what the servers need and cargo does not bring: native libraries and the small models, into `.native/`.
# Safe to run again at any time; when everything is in place it takes a moment and needs no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
usage: scripts/setup.sh [options]

Installs pinned native libraries and models into the git-ignored folder .native/ of this checkout, each checked by
its sha256. Needs no root rights; names what is missing from the system.

  --cuda[=asr|tts|all]    also install NVIDIA's libraries: CUDA 12 for the speech recogniser (about 0.7 GB to
                          download), CUDA 13 and cuDNN 9 for the synthesiser (about 1.6 GB). `--cuda` is `--cuda=all`.
  --tests                 also install what scripts/test.sh uses (shellcheck, hadolint, schemas, an S3 server for the
                          tests of voices: about 65 MB to download; as root or with sudo also Debian's nginx and
                          promtool, not started)
  --no-system-packages    as root, name missing system packages instead of installing them with apt-get
  --quiet                 print only what is missing or changed
  -h, --help              this text

Environment:
  CT2_FROM_SOURCE=1       do not install the ready-made CTranslate2; build it from source with the server
                          (see docs/INSTALL.md). Needs a C++ compiler; cmake is installed into .native/ if missing.
  PYTHON=python3.11       the Python whose pip downloads
  NATIVE_DIR=DIR          install there instead of .native (for packaging; cargo looks in .native)
USAGE
}

cuda=""
tests=0
system_packages=1
quiet=0
for argument in "$@"; do
    case "$argument" in
        --cuda | --cuda=all) cuda="asr tts" ;;
        --cuda=asr) cuda="asr" ;;
        --cuda=tts) cuda="tts" ;;
        --tests) tests=1 ;;
        --no-system-packages) system_packages=0 ;;
        --quiet) quiet=1 ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$argument" >&2 && usage >&2 && exit 2 ;;
    esac
done

native=${NATIVE_DIR:-.native}
python=${PYTHON:-python3}
from_source=${CT2_FROM_SOURCE:-0}

say() { [ "$quiet" = 1 ] || printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
indent() { printf '  %s\n' "${1//$'\n'/$'\n'  }"; }
has() { command -v "$1" >/dev/null 2>&1; }
has_pip() { "$python" -m pip --version >/dev/null 2>&1; }

# --- the system: compilers, Python, pip ---

# One line for each missing thing: Debian's package, then what it is for.
missing_packages() {
    has cc || has gcc || echo "gcc: the C compiler, which links the server"
    has c++ || has g++ || echo "g++: the C++ compiler, for the bridge to CTranslate2"
    has ar || echo "binutils: the archiver that cargo's C dependencies use"
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ "$(uname -s)" != Linux ] || [ -d /etc/pki/tls ] ||
        [ -e /etc/ssl/cert.pem ] || echo "ca-certificates: to check who is downloaded from"
    if ! has "$python"; then
        echo "python3: reads the downloaded archives"
        echo "python3-pip: downloads the pinned archives"
    elif ! has_pip; then
        echo "python3-pip: downloads the pinned archives"
    fi
}

check_rust() {
    if ! has cargo; then
        warn "error: cargo is missing. Install Rust 1.92 or newer from https://rustup.rs, then run this again."
        return 1
    fi
    local needed found
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(rustc --version | cut -d' ' -f2)
    if [ "$(printf '%s\n%s\n' "$needed" "$found" | sort -V | head -n 1)" != "$needed" ]; then
        warn "error: Rust $needed or newer is needed, and this is Rust $found. With rustup: rustup update stable"
        return 1
    fi
}

provide_system_packages() {
    local missing names
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    names=$(cut -d: -f1 <<<"$missing" | tr '\n' ' ')
    warn "Missing from this system:"
    indent "$missing" >&2
    if [ "$system_packages" = 1 ] && [ "$(id -u)" = 0 ] && has apt-get; then
        warn "Installing them: apt-get install --no-install-recommends $names"
        # shellcheck disable=SC2086 # a list of package names
        if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $names; then
            apt-get update -q
            # shellcheck disable=SC2086
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $names
        fi
        return 0
    fi
    warn "Install them and run this again. On Debian and Ubuntu:"
    warn "  sudo apt-get update && sudo apt-get install --no-install-recommends $names"
    warn "On Fedora: gcc gcc-c++ binutils python3-pip. On Arch: base-devel python-pip."
    return 1
}

# --- the platform ---

# The pinned libraries are for 64-bit x86 Linux with glibc 2.28 or newer (Debian 10, Ubuntu 20.04, RHEL 8 and later).
is_pinned_platform() {
    [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || return 1
    local glibc
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2) || return 1
    [ -n "$glibc" ] && [ "$(printf '2.28\n%s\n' "$glibc" | sort -V | head -n 1)" = 2.28 ]
}

explain_other_platform() {
    warn "error: there are no ready-made libraries here for $(uname -s) $(uname -m) (they need x86-64 Linux, glibc 2.28+)."
    warn "  docs/INSTALL.md, \"Other platforms\", tells how to build CTranslate2 from source and bring ONNX Runtime."
}

# --- the GPU ---

report_gpu() {
    if ! has nvidia-smi; then
        warn "No NVIDIA driver was found (nvidia-smi is missing). The libraries are installed, but the servers will run on"
        warn "the CPU until the driver is there. In a container, start it with the NVIDIA container toolkit (--gpus all)."
        return 0
    fi
    local gpus driver
    if ! gpus=$(nvidia-smi --query-gpu=index,name,memory.total,driver_version,compute_cap --format=csv,noheader 2>&1); then
        warn "nvidia-smi is there but fails; the servers will run on the CPU until this is solved. It says:"
        indent "$(head -n 3 <<<"$gpus")" >&2
        return 0
    fi
    say "GPUs (index, name, memory, driver, compute capability):"
    [ "$quiet" = 1 ] || indent "$gpus"
    driver=$(head -n 1 <<<"$gpus" | awk -F', ' '{print $4}')
    check_driver asr "CUDA 12" 525.60.13 "$driver"
    check_driver tts "CUDA 13" 580.65.06 "$driver"
}

check_driver() { # server, CUDA, oldest driver, driver found
    [[ " $cuda " == *" $1 "* ]] || return 0
    if [ "$(printf '%s\n%s\n' "$3" "$4" | sort -V | head -n 1)" = "$3" ]; then
        say "  driver $4 serves $2, which $1 needs ($3 or newer)"
    else
        warn "  driver $4 is too old for $2: $1 needs $3 or newer and will run on the CPU until the driver is updated"
    fi
}

# Loads each library the way the server will. What only the driver brings (libcuda.so.1) may be missing.
check_cuda_libraries() { # server, libraries in the order in which they need one another
    local server=$1
    shift
    "$python" - "$native/cuda-$server/lib" "$@" <<'PYTHON'
import ctypes, pathlib, sys

folder, problems = pathlib.Path(sys.argv[1]), []
for name in sys.argv[2:]:
    try:
        ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        if "libcuda.so.1" not in str(error):
            problems.append(str(error))
for problem in problems:
    print(f"error: a CUDA library does not load: {problem}", file=sys.stderr)
sys.exit(bool(problems))
PYTHON
    say "  CUDA libraries of $server load from $native/cuda-$server/lib"
}

# --- Python packages that only tests use ---

install_test_packages() {
    local folder=$native/python list=scripts/test_requirements.txt
    # What is installed is what this copy of the list says.
    if cmp -s "$list" "$folder/installed.txt"; then
        say "Python packages of the tests, in $folder/: everything is in place"
        return 0
    fi
    rm -rf "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile --root-user-action=ignore \
        --only-binary=:all: --require-hashes --requirement "$list" --target "$folder"
    cp "$list" "$folder/installed.txt"
    say "Python packages of the tests, in $folder/: installed"
}

# --- Debian packages that only tests use ---

# Administration commands are outside the path of ordinary users.
has_tool() { has "$1" || [ -x "/usr/sbin/$1" ]; }

missing_test_packages() {
    has_tool nginx || echo nginx
    has promtool || echo prometheus
    has systemd-analyze || echo systemd
    has_tool ip || echo iproute2
}

# Tests use the programs and never the services that come with them: none is started, now or when the machine starts.
install_packages() {
    local missing policy=/usr/sbin/policy-rc.d status=0
    local as_root=()
    mapfile -t missing < <(missing_test_packages)
    if [ "${#missing[@]}" = 0 ]; then
        say "Debian packages of the tests: everything is in place"
        return 0
    fi
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    if [ "$system_packages" = 0 ] || ! has apt-get || ! { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
        warn "Some tests need programs that are missing here and will be skipped. To install them on Debian or Ubuntu:"
        warn "  sudo apt-get install --no-install-recommends ${missing[*]}"
        [ "${CI:-}" != true ]
        return
    fi
    say "Debian packages of the tests: installing ${missing[*]}"
    (
        if [ ! -e "$policy" ]; then
            # An exit status of 101 tells Debian's scripts to start nothing.
            trap '"${as_root[@]}" rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
            "${as_root[@]}" chmod 755 "$policy"
        fi
        install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
            apt-get install -y -qq --no-install-recommends "${missing[@]}")
        "${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update -qq && "${install[@]}" >/dev/null; }
    ) || status=$?
    local name
    for name in "${missing[@]}"; do
        [ "$name" = systemd ] || "${as_root[@]}" systemctl --quiet disable "$name" >/dev/null 2>&1 || true
    done
    [ "$status" = 0 ] || warn "error: apt-get could not install ${missing[*]}"
    return "$status"
}

# --- CTranslate2 from source ---

explain_source_build() {
    local cmake
    cmake=$(command -v cmake || (cd "$native/bin" && echo "$PWD/cmake"))
    say ""
    say "CTranslate2 will be compiled with the server (about five minutes on two cores, once). CT2_FROM_SOURCE=1 scripts/quickstart.sh"
    say "does it, or by hand:"
    say "  CMAKE=$cmake cargo build --release -p asr --no-default-features --features ct2-source"
}

# --- the work ---

check_rust
provide_system_packages

groups=()
if is_pinned_platform; then
    groups+=(base)
    if [ "$from_source" = 1 ]; then
        has cmake || groups+=(cmake)
    else
        groups+=(ctranslate2)
    fi
    [ "$tests" = 0 ] || has shellcheck || groups+=(shellcheck)
    [ "$tests" = 0 ] || groups+=(linters)
    for server in $cuda; do groups+=("cuda-$server"); done
else
    explain_other_platform
    exit 1
fi

say "Native libraries and models, into $native/:"
installer=("$python" scripts/native_libraries.py install --prefix "$native" "${groups[@]}")
if [ "$quiet" = 1 ]; then
    "${installer[@]}" | { grep --line-buffered -v ': everything is in place$' || true; }
else
    "${installer[@]}"
fi

if [ "$tests" = 1 ]; then
    install_test_packages
    install_packages
fi

[[ " $cuda " != *" asr "* ]] || check_cuda_libraries asr libcublasLt.so.12 libcublas.so.12 libnvrtc.so.12
[[ " $cuda " != *" tts "* ]] || check_cuda_libraries tts libcudart.so.13 libnvrtc.so.13 libnvJitLink.so.13 \
    libcublasLt.so.13 libcublas.so.13 libcufft.so.12 libcurand.so.10 libcudnn.so.9 libonnxruntime.so.1.31.1 \
    libonnxruntime_providers_shared.so
[ -z "$cuda" ] || report_gpu
[ "$from_source" = 0 ] || explain_source_build
