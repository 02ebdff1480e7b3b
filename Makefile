# Every target runs its own set-up, which needs only Python 3.11, make and a C++ compiler, and no root.

UV := $(or $(shell command -v uv),.tools/bin/uv)
BIN := .venv/bin
# Only files with these hashes are installed, and used for builds. `make hashes` renews them.
REQUIREMENTS := packaging/requirements
BUILD_HASHED := --require-build-hashes --build-constraints $(REQUIREMENTS)/build.txt
HASHED := --require-hashes --constraint $(REQUIREMENTS)/packages.txt $(BUILD_HASHED)
EXTRAS := --extra train-cpu --extra serve-cpu --extra values --extra viz --extra stage --extra images

DEMO := .demo
DATA ?=
CLEAN ?=
LEVEL ?= control-plane
NODES ?=
JOBS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-oracle test-install test-cluster test-cloud checkov test-browser test-gpu-image bench screenshots cluster-up cluster-down lint format reference lock hashes clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready ## install everything into .venv

.tools/bin/uv:
	@echo "Installing uv into .tools"
	@python3 -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $(REQUIREMENTS)/uv.txt

# The first time, this downloads about 600 MB and compiles Horovod; uv caches both for other checkouts.
.venv/.ready: pyproject.toml $(REQUIREMENTS)/packages.txt $(REQUIREMENTS)/build.txt | $(UV)
	@echo "Setting up .venv. The first time, this compiles Horovod: 2 to 5 minutes on two cores, without output."
	@test -x $(BIN)/python || $(UV) venv --quiet --clear .venv
	@$(UV) pip install --quiet --python .venv --exact --compile-bytecode $(HASHED) --requirement pyproject.toml $(EXTRAS) --group dev
	@$(UV) pip install --quiet --python .venv --no-deps $(BUILD_HASHED) --editable .
	@touch $@

demo: setup ## train on drawn scenes and show the result (DATA=<directory>: your images; CLEAN=1: from scratch)
	@$(BIN)/python -m demo --directory $(DEMO) $(if $(DATA),--data "$(DATA)") $(if $(CLEAN),--clean)

test: setup ## run the tests that need neither root nor a browser nor a cluster (JOBS=2: in 2 processes instead of 3)
	@$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

test-oracle: setup .venv-oracle/.ready ## compare the operations with torch and torchvision (downloads 3 GB)
	@MRC_ORACLE_PYTHON="$(CURDIR)/.venv-oracle/bin/python" $(BIN)/pytest tests/oracle

.venv-oracle/.ready: pyproject.toml $(REQUIREMENTS)/packages.txt | $(UV)
	@$(UV) venv --quiet --clear .venv-oracle
	@$(UV) pip install --quiet --python .venv-oracle $(HASHED) --group oracle
	@touch $@

# Check that a stopped cluster leaves nothing on the machine, so no other cluster may run meanwhile.
ALONE := tests/cluster/test_nothing_left.py
ALONE_PODS := tests/cluster/test_pods_nothing_left.py

test-cluster: setup ## run the tests on a real Kubernetes (needs root and Go, takes half an hour: docs/cluster.md)
	@$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile tests/cluster --ignore-glob='*/test_pods*' $(ALONE:%=--ignore=%)
	@$(BIN)/pytest $(ALONE)
	@$(BIN)/pytest $(ALONE_PODS)
	@$(BIN)/pytest tests/cluster/test_pods*.py $(ALONE_PODS:%=--deselect=%)

test-install: setup ## install the values tool alone, from a clone of the last commit and without a compiler
	@packaging/tool_install.sh $(UV)

# MiniStack pins versions of its own, so it does not share .venv. TF_PLUGIN_DIR: a mirror of Terraform's providers.
test-cloud: setup .venv-cloud/.ready ## apply the Terraform to a stand-in for AWS on this machine (needs terraform, takes 5 minutes)
	@command -v terraform > /dev/null || { echo "test-cloud: terraform not found. Install it: docs/cloud.md" >&2; exit 1; }
	@MRC_CLOUD_PYTHON="$(CURDIR)/.venv-cloud/bin/python" $(BIN)/pytest --numprocesses $(JOBS) --dist loadfile tests/cloud

.venv-cloud/.ready: $(REQUIREMENTS)/cloud.txt | $(UV)
	@$(UV) venv --quiet --clear .venv-cloud
	@$(UV) pip install --quiet --no-config --python .venv-cloud --require-hashes --requirement $<
	@touch $@

checkov: .venv-checkov/.ready ## check the Terraform's security with checkov (downloads 300 MB; exceptions: # checkov:skip in terraform/)
	@.venv-checkov/bin/checkov --directory terraform --framework terraform --skip-path /tests/ --compact --quiet --skip-download

.venv-checkov/.ready: $(REQUIREMENTS)/checkov.txt | $(UV)
	@$(UV) venv --quiet --clear .venv-checkov
	@$(UV) pip install --quiet --no-config --python .venv-checkov --require-hashes --requirement $<
	@touch $@

test-browser: setup ## test the notebook and TensorBoard in Chromium (screenshots: .browser/screenshots)
	@command -v chromium > /dev/null || { echo "test-browser: chromium not found. Install it with: apt-get install chromium" >&2; exit 1; }
	@$(BIN)/pytest tests/browser

# Options of the builder, such as a base image: BUILDER="--build-arg=BASE_IMAGE=…"
BUILDER ?=

test-gpu-image: setup ## build the image for GPU nodes and test it without a GPU (needs root and 40 GB, takes half an hour)
	@$(BIN)/mrc-images build --tag test train-cpu train-gpu -- $(BUILDER)
	@MRC_TEST_IMAGES_TAG=test $(BIN)/pytest -s tests/images

screenshots: setup ## renew the screenshots in docs/figures from the run of make demo
	@MRC_TEST_RUN=$(DEMO)/efs/kubeflow/demo MRC_TEST_FIGURES=docs/figures $(BIN)/pytest tests/browser \
		-k "detections_show or plots_of"

bench: setup ## compare the speed of mrc-values validate with helm and kubeconform (needs Go)
	@$(BIN)/python bench/validate.py

cluster-up: setup ## start a Kubernetes to try the charts on (NODES="p4d=1000" sets the number of nodes)
	@$(BIN)/python -m testcluster up $(LEVEL) --nodes "$(NODES)"

cluster-down: setup ## stop that Kubernetes
	@$(BIN)/python -m testcluster down

lint: setup ## check style, types and import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup ## format the code and let ruff fix what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

reference: setup ## generate versions, the charts' schemas and shared values, docs/values.md and docs/rules.md
	@$(BIN)/python packaging/version.py
	@$(BIN)/python packaging/schemas.py
	@$(BIN)/python packaging/sagemaker_values.py
	@$(BIN)/python packaging/stage_manifests.py
	@$(BIN)/python packaging/values_page.py
	@$(BIN)/python packaging/rules_page.py

lock: setup ## update the version pins in pyproject.toml
	@$(BIN)/python packaging/pin.py $(UV)

hashes: | $(UV) ## renew packaging/requirements after a change of the pins in pyproject.toml
	@python3 packaging/hashes.py $(UV)

clean: ## remove the files of the demo
	@rm -rf $(DEMO)
