#!/usr/bin/env bash
# Make the environment: make.sh FOLDER [PYTHON], by default with the Python 3.11 that is there.
# uv does it in half a minute, and fetches a Python 3.11 where there is none; pip, which takes some minutes, is the way back.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
wanted=$(command -v "${2:-python3.11}" || true)
any=${wanted:-$(command -v python3)}
locked=(--quiet --require-hashes --no-deps)

by_uv() {
    "$any" -m venv build/uv &&
        build/uv/bin/python -m pip install "${locked[@]}" --disable-pip-version-check -r envs/uv.txt &&
        build/uv/bin/uv venv --quiet --allow-existing --python "${wanted:-3.11}" "$folder" &&
        build/uv/bin/uv pip install "${locked[@]}" --compile-bytecode --python "$folder/bin/python" -r envs/requirements.lock
}

by_pip() {
    "$any" -m venv "$folder" &&
        "$folder/bin/python" -m pip install "${locked[@]}" --disable-pip-version-check -r envs/requirements.lock
}

# where pip is told to look, uv looks too
index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$("$any" -m pip config get global.index-url 2> /dev/null || true)}}
if [ -n "$index" ]; then export UV_DEFAULT_INDEX=$index; fi
by_uv || {
    echo "uv could not make the environment; pip makes it, which takes some minutes" >&2
    by_pip
}
