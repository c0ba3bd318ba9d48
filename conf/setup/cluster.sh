#!/bin/sh
# Creates .venv-NAME for each NAME given: the Python and the versions of conf/setup/cluster/NAME.txt, with what the jobs
# on a cluster need and without the extra `train`. Idempotent.
set -eu

# Prints the path of Python $1. Where pyenv is used, python$1 exists but fails unless that version is selected.
find_python() {
    for candidate in "python$1" "$(pyenv root 2>/dev/null || true)/versions/$1."*/bin/python; do
        "$candidate" -c 'import ensurepip, venv, sys; print(sys.executable)' 2>/dev/null && return
    done
    echo "error: Python $1 not found, or without its venv module; install it, so that python$1 starts it" >&2
    exit 2
}

for name in "$@"; do
    pins=conf/setup/cluster/$name.txt
    venv=.venv-$name
    wanted=$(cat pyproject.toml "$pins" conf/setup/cluster.sh afm_core/kernels/native/* | cksum)
    if [ -f "$venv/.complete" ] && [ "$(cat "$venv/.complete")" = "$wanted" ]; then continue; fi

    echo "setup: installing Python packages of $name"
    python=$(find_python "$(sed -n 's/^# Python \([0-9.]*[0-9]\).*/\1/p' "$pins")")
    "$python" -m venv --clear "$venv"
    pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
    pip install -c "$pins" pip wheel setuptools torch pyspark
    pip install --no-build-isolation -c "$pins" --editable '.[test,delta]'
    echo "$wanted" >"$venv/.complete"
done
