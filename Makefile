# `make repro` and `make check` do all the set-up themselves; `make help` lists the rest.
# The suite runs on 3.11; the others are taken where that one is not installed.
PYTHON ?= $(or $(firstword $(foreach version,3.11 3.12 3.13 3.14,$(shell command -v python$(version)))),python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install repro check lint test long real bench faults advisories events dashboard screenshots docs site notebook wheel constraints clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

install: $(READY)  ## make .venv from pinned versions

# pip fetches torch, as it takes the build for the CPU where it is offered that, and uv would take the one for CUDA (6 GB).
# requirements.txt has no checksum of it: each build has another one. `make install UV=` does all with pip.
TORCH := torch==2.13.0
UV    := uv==0.13.9
PIP   := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile

# torch is fetched beside the others, and waited for however this ends. What the pipeline imports is compiled to bytecode
# here, and not in its first stages.
FIRST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -W ignore -c

$(READY): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || \
	  { echo "earshot needs Python 3.11 to 3.14, and '$(PYTHON)' is none: name yours, such as make PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@echo "fetching the packages"
	@set -e; trap wait EXIT; $(PIP) --no-deps $(TORCH) & torch=$$!; \
	$(if $(UV),$(PIP) $(UV); $(BIN)/uv pip install --quiet --python $(BIN)/python,$(PIP)) --no-deps --require-hashes -r requirements.txt; \
	wait $$torch; $(PIP) --no-deps --no-build-isolation -e .; \
	$(FIRST) 'import dvc.cli, dvc.repo.reproduce, earshot.cli.main; from earshot import stages; \
	  [__import__(f"earshot.stages.{name}") for name in stages.names()]'
	@touch $@

repro: $(READY)  ## run the whole pipeline and show the comparison
	@$(BIN)/earshot repro

check: lint  ## while you work (two minutes): lint, and the tests that start no process
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not process and not real'

lint: $(READY)  ## part of check: the style, the order of the rooms (lint-imports) and the types (mypy)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

# Three files at a time on two cores, since tests wait for servers and kills.
test: $(READY)  ## before a commit (half an hour): all tests but those of `make long`
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

long: $(READY)  ## before a release (an hour): the longest tests, most of whole pipelines that are killed, queued or spread
	@$(BIN)/python -m pytest -m long

real: $(READY)  ## the same pipeline on the real recordings in EARSHOT_MIRROR (gtzan_mini, sirens_standin)
	@$(BIN)/python benchmarks/real.py

bench: $(READY)  ## measure speed and memory, and write docs/benchmarks.md, docs/scale.md, docs/growth.md and docs/audit.md; needs EARSHOT_MIRROR, after repro
	@for part in features training loading scale growth audit repro answers latency; do $(BIN)/python benchmarks/$$part.py || exit 1; done
	@$(BIN)/python -m tools.pages benchmarks scale growth audit

faults: $(READY)  ## corrupt what is kept, have calls fail, kill, send what is hostile (hours); write docs/reliability.md
	@for part in corruption machine inputs load; do PYTHONPATH=tests:benchmarks $(BIN)/python tests/faults/$$part.py || exit 1; done
	@$(BIN)/python -m tools.pages reliability

OSV := advisories

advisories: $(READY)  ## tell which pins an advisory affects; OSV=FILE is OSV's export for PyPI, a zip
	@$(BIN)/python -m tools.advisories $(OSV)

events: $(READY)  ## measure how well events are found in real recordings, and write docs/events.md; needs EARSHOT_MIRROR
	@$(BIN)/python benchmarks/events.py && $(BIN)/python -m tools.pages events

dashboard: $(READY)  ## open the MLflow dashboard on this machine
	@$(BIN)/earshot dashboard

screenshots: $(READY)  ## take the pictures in README and docs anew; needs chromium
	@$(BIN)/python -m tools.screenshots

docs: $(READY)  ## draw docs/architecture.md's pictures, rewrite docs/experiments.md's output, write conf/schemas/
	@$(BIN)/python -m tools.architecture
	@$(BIN)/python -m tools.schemas
	@$(BIN)/cog -r -P -I . docs/experiments.md

site: $(READY)  ## build the documentation as a site, build/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict && echo build/site/index.html

notebook: $(READY)  ## execute docs/tour.ipynb and keep its outputs in it
	@$(BIN)/python -m tools.tour

wheel: $(READY)  ## build the package, to be installed by pip: build/wheel/
	@$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/wheel .
	@ls build/wheel

constraints: $(READY)  ## pin in requirements.txt what pyproject.toml asks for; a line that is there stays as it is
	@$(PIP) $(UV)
	@echo torch | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --excludes - \
	  --generate-hashes --no-annotate --custom-compile-command 'make constraints' pyproject.toml -o requirements.txt

clean:  ## remove what the pipeline wrote, also downloads and MLflow's runs; .venv and DVC's cache stay
	rm -rf $(filter-out data/README.md,$(wildcard data/*)) outputs multirun
