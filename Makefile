# Everything is installed, built and kept outside the system: packages in the build cache, run-time files in .sandbox.
SHELL := /bin/bash
# Compiled modules too, once for all that runs Python here (sandbox/environment.py).
export PYTHONPYCACHEPREFIX := $(or $(HUESHIFT_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hueshift)/pycache
export PYTHONDONTWRITEBYTECODE :=
python := .venv/bin/python

.PHONY: help reference docs sandbox sandbox-env sandbox-status sandbox-down check test venv lint types imports unit-stack unit-rest
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

sandbox: venv ## the whole local cloud, to a served URL with blue and green behind it
	@$(python) -m sandbox up

sandbox-env: venv ## the exports for plain pulumi, kubectl and aws: eval "$$(make -s sandbox-env)"
	@$(python) -m sandbox env

sandbox-status: venv ## what runs and what it serves
	@$(python) -m sandbox status

sandbox-down: venv ## end and remove what `make sandbox` started
	@$(python) -m sandbox down

check: venv ## the fast gate: format, lint, types, import contracts, pipeline files, the site, unit tests
	@$(MAKE) --no-print-directory --jobs unit-stack unit-rest lint types imports docs

lint: venv
	@.venv/bin/ruff format --check --quiet . || { echo "remedy: .venv/bin/ruff format ."; exit 1; }
	@.venv/bin/ruff check --quiet .
	@tools/lint-pipeline.sh

types: venv
	@.venv/bin/mypy --no-error-summary

imports: venv
	@said=$$(.venv/bin/lint-imports --no-logo) || { echo "$$said"; exit 1; }

# Two halves, for the two processors of CI, each of which imports what it needs alone: what makes a stack, and the rest.
stack := tests/components tests/policy tests/program tests/support
fast := .venv/bin/pytest -q -p no:xdist -m "not slow and not e2e" $(SEED) --durations=10 --durations-min=0.5

unit-stack: venv
	@$(fast) $(stack)

unit-rest: venv
	@$(fast) --ignore=tests/e2e $(stack:%=--ignore=%)

# What hypothesis draws: always the same here, for a change is judged by it, and other values at each `make check`.
test: export SEED := --hypothesis-seed=0
test: check ## everything, the tests on the local cloud included; what CI runs
	@.venv/bin/pytest -q -n 2 -m slow $(SEED) --durations=20 --junitxml=.pytest_cache/slow.xml
	@tests/e2e/run.sh

reference: venv ## docs/reference and Pulumi.yaml, made from the keys, the commands and the policy pack
	@$(python) -m tools.reference

docs: venv ## the pages as a site, in .site
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

venv:
	@[ -t 1 ] && [ ! -e .venv/complete ] && echo "making the Python environment (about a minute, once)"; tools/venv.sh >/dev/null
