#!/bin/sh
# Creates .venv with the pinned packages, Horovod built with Gloo against the installed torch, and this package. Idempotent.
set -eu
python=${PYTHON:-python3.11}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/attentional-fm/wheels
here=conf/setup
stamp=.venv/.complete

wanted=$(cat pyproject.toml $here/constraints.txt $here/install.sh $here/cxx20 afm_core/kernels/native/* | cksum)
if [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ]; then exit 0; fi

echo "setup: installing Python packages"
[ -x .venv/bin/pip ] || "$python" -m venv .venv
pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
pip install -c $here/constraints.txt pip wheel setuptools cmake cffi cloudpickle packaging psutil pyyaml torch

torch=$(.venv/bin/python -c 'import torch; print(torch.__version__.replace("+", "-"))')
wheels=$cache/horovod-0.28.1-torch-$torch
if ! ls "$wheels"/horovod-*.whl >/dev/null 2>&1; then
    echo "setup: building Horovod (takes about three minutes; the wheel is cached for later environments)"
    mkdir -p "$wheels"
    gpu=
    command -v nvcc >/dev/null 2>&1 && .venv/bin/python -c 'import sys, torch; sys.exit(torch.version.cuda is None)' && gpu=NCCL
    log=.venv/horovod-build.log
    env PATH="$PWD/.venv/bin:$PATH" AFM_REAL_CXX="${CXX:-c++}" CXX="$PWD/$here/cxx20" MAKEFLAGS=-j2 \
        HOROVOD_WITH_PYTORCH=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_TENSORFLOW=1 \
        HOROVOD_WITHOUT_MXNET=1 ${gpu:+HOROVOD_GPU_OPERATIONS=$gpu} \
        .venv/bin/python -m pip wheel --no-build-isolation --no-deps --no-cache-dir --wheel-dir "$wheels" horovod==0.28.1 \
        >$log 2>&1 || { echo "error: building Horovod failed; see $log" >&2; exit 2; }
fi
pip install --no-deps "$wheels"/horovod-*.whl
pip install --no-build-isolation -c $here/constraints.txt --editable '.[train,dev]'
case "$(.venv/bin/horovodrun --check-build)" in
*'[X] Gloo'*) ;;
*) echo "error: Horovod was built without Gloo; remove .venv and $wheels, then run make setup again" >&2; exit 2 ;;
esac
echo "$wanted" >$stamp
