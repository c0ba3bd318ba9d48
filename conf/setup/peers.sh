#!/bin/sh
# Creates .venv-peers with the libraries that `make bench` compares against and the same torch as .venv. Idempotent.
set -eu
wanted=$(cat conf/setup/peers.txt conf/setup/constraints.txt | cksum)
stamp=.venv-peers/.complete
if [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ]; then exit 0; fi
echo "setup: installing the libraries that the benchmarks compare against"
[ -x .venv-peers/bin/pip ] || "${PYTHON:-python3.11}" -m venv .venv-peers
torch=$(.venv/bin/python -c 'import torch; print(torch.__version__.split("+")[0])')
.venv-peers/bin/python -m pip --quiet --disable-pip-version-check install "torch==$torch" -r conf/setup/peers.txt
echo "$wanted" >$stamp
