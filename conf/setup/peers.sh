#!/bin/sh
# Makes .venv-peers, with what `make bench` measures against and the torch of .venv. Idempotent.
set -eu
wanted=$(cat conf/setup/peers.txt conf/setup/constraints.txt | cksum)
stamp=.venv-peers/.complete
if [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ]; then exit 0; fi
echo "setup: the peers of the benchmark"
[ -x .venv-peers/bin/pip ] || "${PYTHON:-python3.11}" -m venv .venv-peers
torch=$(.venv/bin/python -c 'import torch; print(torch.__version__.split("+")[0])')
.venv-peers/bin/python -m pip --quiet --disable-pip-version-check install "torch==$torch" -r conf/setup/peers.txt
echo "$wanted" >$stamp
