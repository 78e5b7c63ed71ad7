# `make repro` and `make test` do all the set-up themselves; `make help` lists the rest.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install repro test test-all real dashboard lint constraints clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

install: $(READY)  ## make .venv from pinned versions

# Bytecode is compiled once here: without it, importing torch and Lightning takes twice as long at every stage.
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "earshot needs Python 3.11 as '$(PYTHON)'; name yours with make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt setuptools
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	@touch $@

repro: $(READY)  ## run the whole pipeline and show the comparison
	@$(BIN)/earshot repro

test: $(READY)  ## run the quick tests
	@$(BIN)/python -m pytest

test-all: $(READY)  ## run all tests, also the slow ones and those on real recordings
	@$(BIN)/python -m pytest -m ""

real: $(READY)  ## the same pipeline on the real recordings in EARSHOT_MIRROR (gtzan_mini, sirens_standin)
	@$(BIN)/python benchmarks/real.py

dashboard: $(READY)  ## open the MLflow dashboard on this machine
	@$(BIN)/earshot dashboard

lint: $(READY)  ## check the style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

constraints: $(READY)  ## write the installed versions to constraints.txt
	@{ echo '# Exact versions of everything that is installed. Renewed with `make constraints`.'; \
	   $(BIN)/pip freeze --all --exclude-editable --exclude pip | sed 's/+cpu//'; } > constraints.txt

clean:  ## remove everything the pipeline wrote (downloads too); the environment stays
	rm -rf data/raw data/manifest data/splits data/features data/models data/predictions data/metrics data/report data/cache outputs mlruns mlflow.db
