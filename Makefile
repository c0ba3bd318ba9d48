SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -euc
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check bench dist clean

BIN := .venv/bin
DEMO := --config conf/demo.yaml
# horovodrun puts the rank before every line; the demo is read by people.
UNPREFIXED := sed -u -E 's/^\[[0-9]+\]<(stdout|stderr)>: ?//'

help:  ## list what can be made
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' Makefile | expand -t 10

setup:  ## create .venv with everything pinned, Horovod included; does nothing when that is done
	@conf/setup/check_tools.sh
	@conf/setup/install.sh

demo: setup  ## simulated logs to scores, through every job
	@$(BIN)/python jobs/simulate_logs.py --out runs/demo/logs
	@$(BIN)/python jobs/prepare.py $(DEMO)
	@$(BIN)/horovodrun -np 2 $(BIN)/python jobs/train.py $(DEMO) 2>&1 | $(UNPREFIXED)
	@$(BIN)/python jobs/evaluate.py $(DEMO)
	@$(BIN)/python jobs/score.py $(DEMO) --date 2026-01-15

test: setup  ## every test that this machine can run
	@$(BIN)/python -m pytest

lint: setup  ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup  ## every benchmark against its peers; an hour
	@conf/setup/peers.sh
	@$(BIN)/python -m tests.benchmarks.pair_attention
	@$(BIN)/python -m tests.benchmarks.training
	@$(BIN)/python -m tests.benchmarks.scoring
	@$(BIN)/python -m tests.benchmarks.top_items

dist: setup  ## the project as one file for spark-submit --py-files
	@$(BIN)/python conf/setup/dist.py dist/attentional_fm.zip

check: lint test  ## what CI runs

clean:  ## remove the environment and everything that jobs wrote
	rm -rf .venv .venv-peers runs
