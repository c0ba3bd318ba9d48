SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -euc
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-cluster-pins lint check bench dist clean

BIN := .venv/bin
DEMO := --config conf/demo.yaml
# horovodrun prefixes every line with the rank, which makes the demo hard to read.
UNPREFIXED := sed -u -E 's/^\[[0-9]+\]<(stdout|stderr)>: ?//'

# Each process has a Spark of its own. Threads of torch that spin while they wait would take the other's cores.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
# The environments of conf/setup/cluster, from old to new.
CLUSTERS := spark-3.5 spark-4.0 newest

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' Makefile | expand -t 20

setup:  ## create .venv with pinned packages and Horovod; does nothing if it is up to date
	@conf/setup/check_tools.sh
	@conf/setup/install.sh

demo: setup  ## run the whole pipeline on simulated logs, from preparation to scores
	@$(BIN)/python jobs/simulate_logs.py --out runs/demo/logs
	@$(BIN)/python jobs/prepare.py $(DEMO)
	@$(BIN)/horovodrun -np 2 $(BIN)/python jobs/train.py $(DEMO) 2>&1 | $(UNPREFIXED)
	@$(BIN)/python jobs/evaluate.py $(DEMO)
	@$(BIN)/python jobs/score.py $(DEMO) --date 2026-01-15

test: setup  ## run every test that this machine can run, except those marked long
	@OMP_WAIT_POLICY=passive $(BIN)/python -m pytest $(PARALLEL)

test-cluster-pins: setup  ## run the tests of what runs on clusters, with Spark 3.5, Spark 4.0 and the newest packages
	@conf/setup/cluster.sh $(CLUSTERS)
	@for name in $(CLUSTERS); do \
	    echo "$$name"; \
	    AFM_TRAINING_PYTHON=$(CURDIR)/$(BIN)/python OMP_WAIT_POLICY=passive \
	        .venv-$$name/bin/python -m pytest $(PARALLEL) @tests/on_clusters.txt; \
	done
	@OMP_WAIT_POLICY=passive $(BIN)/python -m pytest tests/end_to_end/test_cluster_pins.py

lint: setup  ## run ruff, mypy and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup  ## run the benchmarks of training, scoring and recommendation; takes about an hour
	@conf/setup/peers.sh
	@$(BIN)/python -m tests.benchmarks.pair_attention
	@$(BIN)/python -m tests.benchmarks.training
	@$(BIN)/python -m tests.benchmarks.scoring
	@$(BIN)/python -m tests.benchmarks.top_items

dist: setup  ## pack the project into one zip file for spark-submit --py-files
	@$(BIN)/python conf/setup/dist.py dist/attentional_fm.zip

check: lint test  ## run lint and test, as CI does

clean:  ## remove the environments and everything the jobs wrote below runs/
	rm -rf .venv .venv-* runs
