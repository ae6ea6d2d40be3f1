#!/usr/bin/env bash
# Installs what the recipes of the built-in models need: Debian's speech synthesisers and a Python environment in `.native/venv-train`.
# Safe to run again at any time; when everything is in place it takes a moment and needs no network.
set -euo pipefail
# From here on this is the repository's root; a folder that was named is meant from where it was named.
TRAIN_VENV=${TRAIN_VENV:+$(realpath -m -- "$TRAIN_VENV")}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
    cat <<'USAGE'
usage: scripts/train_demo/setup.sh [options]

Installs the speech synthesisers whose speech the built-in models learn from (as root with apt-get, otherwise it says the
command) and the Python packages of scripts/train_demo/requirements.txt (about 350 MB to download).

  --gpu                   also install JAX's plugin for NVIDIA GPUs (CUDA 13, about 2.5 GB to download)
  --no-system-packages    as root, name missing system packages instead of installing them with apt-get
  --quiet                 print only what is missing or changed
  -h, --help              this text

Environment:
  TRAIN_VENV=DIR          the Python environment (default .native/venv-train)
  PYTHON=python3.11       the Python that makes it: 3.11 or newer
USAGE
}

gpu=0
system_packages=1
quiet=0
for argument in "$@"; do
    case "$argument" in
        --gpu) gpu=1 ;;
        --no-system-packages) system_packages=0 ;;
        --quiet) quiet=1 ;;
        -h | --help) usage && exit 0 ;;
        *) printf 'error: unknown option %s\n\n' "$argument" >&2 && usage >&2 && exit 2 ;;
    esac
done

venv=${TRAIN_VENV:-.native/venv-train}
list=scripts/train_demo/requirements.txt

# What is there is replaced when the list of packages changes: never a folder of something else.
if [ -d "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
    echo "error: $venv holds other things; TRAIN_VENV has to name a folder of its own" >&2
    exit 1
fi

say() { [ "$quiet" = 1 ] || printf '%s\n' "$*"; }

# --- speech synthesisers ---

# Each of Debian's packages by a file that it brings.
missing_packages() {
    local package file
    while read -r package file; do
        compgen -G "$file" >/dev/null || echo "$package"
    done <<'PACKAGES'
espeak-ng /usr/bin/espeak-ng
libespeak-ng1 /usr/lib/*/libespeak-ng.so.1
flite /usr/bin/flite
libflite1 /usr/lib/*/libflite.so.1
festival /usr/bin/festival
festlex-cmu /usr/share/festival/dicts/cmu
festlex-poslex /usr/share/festival/dicts/wsj.wp39.poslexR
festvox-kallpc16k /usr/share/festival/voices/english/kal_diphone
festvox-kdlpc16k /usr/share/festival/voices/english/ked_diphone
festvox-us-slt-hts /usr/share/festival/voices/us/cmu_us_slt_arctic_hts
PACKAGES
}

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" = 0 ]; then
    say "speech synthesisers: everything is in place"
elif [ "$system_packages" = 1 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]}"
    install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}")
    "${install[@]}" >/dev/null 2>&1 || { apt-get update -qq && "${install[@]}" >/dev/null; }
else
    printf 'error: speech synthesisers are missing. On Debian 12 or newer, or Ubuntu 22.04 or newer:\n' >&2
    printf '  sudo apt-get update && sudo apt-get install --no-install-recommends %s\n' "${missing[*]}" >&2
    exit 1
fi

# --- Python ---

wanted=$(cat "$list" && echo "gpu=$gpu")
# What is there with a plugin serves as well without.
if [ -e "$venv/installed.txt" ] && { [ "$(cat "$venv/installed.txt")" = "$wanted" ] || [ "$(cat "$venv/installed.txt")" = "$(cat "$list" && echo gpu=1)" ]; }; then
    say "Python packages, in $venv/: everything is in place"
    exit 0
fi
echo "installing what $list says into $venv"
rm -rf "$venv"
"${PYTHON:-python3}" -m venv "$venv"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r "$list")
[ "$gpu" = 0 ] || pip+=("jax[cuda13]==$(sed -n 's/^jax==//p' "$list")")
"${pip[@]}"
printf '%s\n' "$wanted" >"$venv/installed.txt"
