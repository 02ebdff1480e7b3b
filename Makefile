# Every target does its own set-up: it needs Python 3.11, make and a C++ compiler, nothing else, and no root.

UV_VERSION := 0.13.8
UV := $(or $(shell command -v uv),.tools/bin/uv)
BIN := .venv/bin
EXTRAS := --extra train-cpu --extra values --extra viz

DEMO := .demo
DATA ?=
CLEAN ?=
LEVEL ?= control-plane
NODES ?=
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-oracle test-cluster test-browser bench screenshots cluster-up cluster-down lint format reference lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready ## install everything into .venv

.tools/bin/uv:
	@echo "Installing uv $(UV_VERSION) into .tools"
	@python3 -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# The first time this downloads about 600 MB and compiles Horovod; uv keeps both for other checkouts.
.venv/.ready: pyproject.toml | $(UV)
	@echo "Setting up .venv. The first time Horovod is compiled: 2 to 5 minutes on two cores, without output."
	@$(UV) sync --quiet $(EXTRAS)
	@touch $@

demo: setup ## train on drawn scenes with 2 ranks and look at the result (DATA=folder: your pictures; CLEAN=1: anew)
	@$(BIN)/python tools/demo.py --folder $(DEMO) $(if $(DATA),--data "$(DATA)") $(if $(CLEAN),--clean)

test: setup ## run the tests that need no root, browser or cluster (JOBS=4: in so many processes, not 2)
	@$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile

test-oracle: setup .venv-oracle/.ready ## run the tests against torch and torchvision (downloads 3 GB)
	@MRC_ORACLE_PYTHON="$(CURDIR)/.venv-oracle/bin/python" $(BIN)/pytest tests/oracle

.venv-oracle/.ready: pyproject.toml | $(UV)
	@UV_PROJECT_ENVIRONMENT=.venv-oracle $(UV) sync --quiet --only-group oracle
	@touch $@

# Looks for what a cluster leaves on the machine, where no other one may start meanwhile.
ALONE := tests/cluster/test_nothing_left.py

test-cluster: setup ## run the tests on a real Kubernetes (needs root and Go: docs/cluster.md; half an hour)
	@$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile tests/cluster --ignore-glob='*/test_pods*' $(ALONE:%=--ignore=%)
	@$(BIN)/pytest $(ALONE)
	@$(BIN)/pytest tests/cluster/test_pods*.py

test-browser: setup ## run the tests of the notebook and TensorBoard in Chromium (screenshots: .browser/screenshots)
	@command -v chromium > /dev/null || { echo "test-browser: there is no chromium. Install it: apt-get install chromium" >&2; exit 1; }
	@$(BIN)/pytest tests/browser

screenshots: setup ## renew the screenshots in docs/figures from the run of make demo
	@MRC_TEST_RUN=$(DEMO)/efs/kubeflow/demo MRC_TEST_FIGURES=docs/figures $(BIN)/pytest tests/browser \
		-k "picture_shows or plots_of"

bench: setup ## measure mrc-values validate against helm and kubeconform (needs Go)
	@$(BIN)/python bench/validate.py

cluster-up: setup ## start such a Kubernetes to try the charts on (NODES="p4d=1000": other numbers of nodes)
	@$(BIN)/python -m testcluster up $(LEVEL) --nodes "$(NODES)"

cluster-down: setup ## stop it
	@$(BIN)/python -m testcluster down

lint: setup ## check style, types and import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup ## let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

reference: setup ## write what is generated: versions, the charts' schemas, docs/values.md, docs/rules.md
	@$(BIN)/python packaging/version.py
	@$(BIN)/python packaging/schemas.py
	@$(BIN)/python packaging/values_page.py
	@$(BIN)/python packaging/rules_page.py

lock: setup ## renew the version pins in pyproject.toml
	@$(BIN)/python packaging/pin.py $(UV)

clean: ## remove what the demo made
	@rm -rf $(DEMO)
