# Everything a checkout is for. It sets up .venv/ and node_modules/ by itself and touches nothing outside
# the checkout (but `browser`, which asks apt for Chromium).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
EMULATOR := emulators/azureml
ATHERIS_VERSION := 3.0.0
IN_PROCESSES := --numprocesses 3 --dist loadfile --no-loadscope-reorder
SOURCES := function_app.py handlers shared emulators/functions emulators/azureml/azureml_emulator finetune local tools chaos
ARGS ?=

# Images of Python switch bytecode off: each of the many programs that tests start would then compile itself anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON_READY := $(VENV)/.ready
NODE_READY := node_modules/.ready
CHECKOV_READY := $(VENV)/checkov/.ready
RUNTIME := $(VENV)/functions-runtime
RUNTIME_READY := $(RUNTIME)/.ready
DOCS_READY := $(VENV)/docs/.ready
PAGES := README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md LICENSE docs emulators/azureml/README.md emulators/azureml/examples
PACKAGES_READY := $(VENV)/packages/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit chaos dev bench conformance fuzz docs check lint types imports security audit lock package browser screenshots clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=python3.12 make …  uses another interpreter; make test ARGS='-k host' passes arguments on"

setup: $(PYTHON_READY) $(RUNTIME_READY) $(NODE_READY)  ## .venv and node_modules, from the lock files

demo: setup  ## upload a sample dataset, follow it to a live endpoint, chat with it, tear it down
	@$(BIN)/python -m local.demo $(ARGS)

test: setup $(PACKAGES_READY)  ## all tests but the chaos harness's own
	@$(MAKE) --no-print-directory browser || true
	@echo "The package is tried on:"; $(BIN)/python -m tools.interpreters
	@$(BIN)/python -m pytest -m 'not chaos' $(IN_PROCESSES) $(ARGS)

test-unit: $(PYTHON_READY)  ## the tests that start no other program, in seconds
	@$(BIN)/python -m pytest -m unit $(IN_PROCESSES) $(ARGS)

chaos: setup  ## kill, repeat, spoil and race everything; ARGS='--seed 1' repeats a seed
	@$(BIN)/python -m pytest --quiet tests/chaos
	@$(BIN)/python -m chaos $(ARGS)

dev: setup  ## the whole stack in the foreground, until Ctrl-C; ARGS=--fresh begins anew
	@$(BIN)/python -m local.dev $(ARGS)

bench: setup  ## the benchmarks; writes bench/results.json
	@$(BIN)/python -m bench $(ARGS)

# The packages are proprietary and pin what the app has otherwise: an environment of their own, outside the lock.
conformance: $(PYTHON_READY)  ## the training component's own code on our cases, on the CPU: installs it (2 GB); ARGS=--record
	@$(BIN)/python -m bench.conformance $(ARGS)

# atheris has wheels for Linux on x86-64 and few versions of Python, hence no part of the locked environment.
fuzz: $(PYTHON_READY)  ## a minute of coverage-guided bytes for dataset validation, and the properties with many examples
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(VENV)/atheris --no-deps --only-binary atheris \
	  atheris==$(ATHERIS_VERSION) || { echo "atheris has no wheel for this machine, or none is in reach; not fuzzed"; exit 0; }; \
	PYTHONPATH=$(VENV)/atheris $(BIN)/python -m bench.fuzz -max_total_time=60 $(ARGS)
	@$(BIN)/python -m pytest --quiet -m 'hypothesis and unit' --hypothesis-profile explore $(IN_PROCESSES)

docs: $(DOCS_READY)  ## the documentation as a site, in dist/docs; fails if a link leads nowhere
	@rm -rf dist/docs-source && mkdir -p dist/docs-source && cp --parents -r $(PAGES) dist/docs-source
	@NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/python -m mkdocs build --strict
	@echo "dist/docs/index.html"

check: lint types imports security audit  ## style, types, architecture, security

lint: $(PYTHON_READY) $(NODE_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/python -m tools.lint_openapi

types: $(PYTHON_READY)
	$(BIN)/mypy

imports: $(PYTHON_READY)
	$(BIN)/lint-imports

# Low findings are ruff's S rules over again, which each line here has answered.
security: $(PYTHON_READY) $(CHECKOV_READY)
	$(BIN)/bandit --quiet --severity-level medium --recursive $(SOURCES)
	@$(BIN)/python -m tools.scan_infra

# A known vulnerability fails; a machine that cannot reach the database of them does not.
audit: $(PYTHON_READY)
	@report=$$($(BIN)/pip-audit --requirement requirements.txt --disable-pip --require-hashes \
	  --progress-spinner off --timeout 10 2>&1) && code=0 || code=$$?; \
	if echo "$$report" | grep -q 'known vulnerabilit.* in'; then echo "$$report"; exit 1; fi; \
	if [ $$code -ne 0 ] || echo "$$report" | grep -q 'could not be audited'; then \
	  echo "pip-audit: no vulnerability database in reach for some or all packages; not audited"; \
	else echo "pip-audit: no known vulnerabilities"; fi

lock: $(PYTHON_READY)  ## requirements*.txt and package-lock.json anew, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  requirements.in --output-file requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  requirements-dev.in --output-file requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  requirements-checkov.in --output-file requirements-checkov.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  requirements-docs.in --output-file requirements-docs.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.13 --no-deps --generate-hashes --no-header \
	  requirements-runtime.in --output-file requirements-runtime.txt
	npm install --package-lock-only --silent

package: $(PYTHON_READY)  ## dist/finetune-on-upload.zip for Azure; ARGS='--python 3.12' for another Python
	@$(BIN)/python -m tools.package $(ARGS)

browser:  ## Chromium, which only the tests of the dashboard need
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	  || if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq chromium; \
	  else echo "The browser tests need Chromium: sudo apt-get install chromium" >&2; exit 1; fi

# Inter makes the pictures look the same wherever they are taken; the page itself takes it only if it is there.
screenshots: setup browser  ## docs/images/ anew, from a real browser and a real stack
	@fc-list 2>/dev/null | grep -qi 'Inter' || { [ "$$(id -u)" = 0 ] && apt-get install -y -qq fonts-inter >/dev/null; } \
	  || echo "Without fonts-inter the pictures have another font" >&2
	@$(BIN)/python -m tests.dashboard.take_pictures

clean:  ## removes everything that make has made
	rm -rf $(VENV) node_modules .local dist bench/data
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The program and the emulator are installed editable, and without their dependencies, which the lock file has.
$(PYTHON_READY): requirements-dev.txt pyproject.toml $(EMULATOR)/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; choose one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python's venv is missing: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Python packages into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable . --editable $(EMULATOR)
	@echo "The program finetune is bin/finetune: try bin/finetune --help"
	@touch $@

# Its metadata ask for Python 3.13, and it runs on 3.11 and 3.12, too: hence a folder of its own, unpacked.
$(RUNTIME_READY): requirements-runtime.txt $(PYTHON_READY)
	@echo "Installing the Azure Functions runtime into $(RUNTIME) …"
	@rm -rf $(RUNTIME)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(RUNTIME) --python-version 3.13 --no-deps \
	  --require-hashes --requirement requirements-runtime.txt
	@touch $@

# What deployed packages contain besides the app, for each Python of this machine: tests need no registry then.
$(PACKAGES_READY): requirements.txt tools/vendor.py $(PYTHON_READY)
	@echo "Installing the app's requirements for Azure into $(VENV)/packages …"
	@$(BIN)/python -m tools.package --prepare
	@touch $@

# Checkov pins what the app needs in other versions, hence an environment of its own.
$(CHECKOV_READY): requirements-checkov.txt $(PYTHON_READY)
	@echo "Installing Checkov into $(VENV)/checkov …"
	@test -x $(VENV)/checkov/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(VENV)/checkov
	@$(BIN)/uv pip sync --quiet --python $(VENV)/checkov/bin/python --require-hashes requirements-checkov.txt
	@touch $@

$(DOCS_READY): requirements-docs.txt $(PYTHON_READY)
	@echo "Installing MkDocs into $(VENV)/docs …"
	@test -x $(VENV)/docs/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(VENV)/docs
	@$(BIN)/uv pip sync --quiet --python $(VENV)/docs/bin/python --require-hashes requirements-docs.txt
	@touch $@

$(NODE_READY): package-lock.json
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null \
	  || { echo "Node 20 or newer is needed, with npm: apt-get install nodejs npm" >&2; exit 1; }
	@echo "Installing Azurite and the tools from npm into node_modules …"
	@npm ci --silent
	@touch $@
