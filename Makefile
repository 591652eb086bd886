# What CI runs is what you run: `make test`. Everything happens in .venv and on 127.0.0.1.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.requirements
DEMO_STAMP := $(VENV)/.requirements-demo
DEMO_REQUIREMENTS := requirements.txt requirements-demo.txt requirements-rie.txt
SHELL_SCRIPTS := $(wildcard *.sh examples/*.sh .ci/run)
TEMPLATES := $(wildcard template.yaml verify_aws/template.yaml)

# MiniStack's own environment: it pins another botocore than ours.
MINISTACK := .venv-ministack
MINISTACK_STAMP := $(MINISTACK)/.requirements

# The AWS CDK's: large, and only for `make examples`.
EXAMPLES := .venv-examples
EXAMPLES_STAMP := $(EXAMPLES)/.requirements

# The first of these that is a Python 3.13 builds .venv. PYTHON=... names another.
PYTHON ?= $(shell for python in python3.13 python3 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null \
	&& { echo "$$python"; break; }; done)

PYTEST := $(BIN)/python -m pytest
PARALLEL := -n 2
# One more than CI has processors: the end-to-end tests wait more than they compute.
WAITING := -n 3

.DEFAULT_GOAL := help
.PHONY: help demo demo-deploy verify-aws test check bench lint shell template types unit sweeps format \
	screenshots zip package examples clean only-on-linux

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: only-on-linux $(DEMO_STAMP) ## a service recycled before your eyes: local ECS, real Lambda runtime, real AWS CLI
	@$(BIN)/python -m demo

demo-deploy: only-on-linux $(DEMO_STAMP) $(MINISTACK_STAMP) ## deployed, invoked, scheduled and deleted, on a local AWS
	@$(BIN)/python -m demo.deployed

# Before anything is installed.
only-on-linux:
	@test "$$(uname -s)" = Linux || { echo "The demo needs Linux (or WSL, or a Linux container): AWS's \
	emulator of the Lambda runtime has no build for $$(uname -s)." >&2; exit 1; }

verify-aws: $(STAMP) ## on your AWS account, for a few cents: ARGS="--help" lists its options
	@$(BIN)/python -m verify_aws $(ARGS)

test: check sweeps ## everything, as CI runs it

check: lint types unit ## the fast part of it: lint, types, unit and emulated tests

bench: $(STAMP) ## compare with other ways on emulated services: docs/benchmarks.md (about ten minutes)
	$(BIN)/python -m tests.benchmarks $(ARGS)

lint: shell template $(STAMP) ## ruff, shellcheck, and where there is a template: cfn-lint, statelint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

shell: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" shellcheck $(SHELL_SCRIPTS)

template: $(STAMP)
	$(if $(TEMPLATES),$(BIN)/cfn-lint $(TEMPLATES),@:)
	$(if $(TEMPLATES),$(BIN)/python -m tests.infrastructure.machine,@:)

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

unit: $(STAMP) ## the tests that need neither a server nor minutes
	$(PYTEST) $(PARALLEL) -m "not slow and not e2e"

sweeps: $(STAMP) $(MINISTACK_STAMP) ## the rest of them: property sweeps, and end to end
	$(PYTEST) $(WAITING) -m "slow or e2e"

format: $(STAMP) ## ruff's formatter and its safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

screenshots: $(STAMP) ## the mails of real runs, as a browser shows them (needs chromium)
	$(BIN)/python -m tests.screenshots build/screenshots

zip: ## dist/ecs-task-recycle.zip
	./lambda_build.sh

package: ## the zip, and dist/template.yaml that knows it: for Terraform, the CDK, stack sets
	./lambda_build.sh --template dist/template.yaml

examples: $(STAMP) $(EXAMPLES_STAMP) ## what examples/ has, with the AWS CDK (needs Node)
	$(PYTEST) tests/infrastructure/test_examples.py

clean: ## remove what was installed, dist and every cache
	rm -rf $(VENV) .venv.lock $(MINISTACK) $(EXAMPLES) dist build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEMO_STAMP): $(DEMO_REQUIREMENTS)
$(STAMP): $(DEMO_REQUIREMENTS) requirements-client.txt requirements-dev.txt
$(MINISTACK_STAMP): requirements-ministack.txt
$(EXAMPLES_STAMP): requirements-examples.txt

# Of two at once in one folder, the second waits, and finds that nothing is left to build. Where there
# is no flock, as on macOS, start the second one later.
ifndef LOCKED
$(DEMO_STAMP) $(STAMP) $(MINISTACK_STAMP) $(EXAMPLES_STAMP):
	@if command -v flock >/dev/null; then \
		flock -n .venv.lock true || echo "Another make builds the environment: waiting for it." >&2; \
		flock .venv.lock $(MAKE) --no-print-directory LOCKED=1 $@; \
	else $(MAKE) --no-print-directory LOCKED=1 $@; fi
else
# Rebuilt from nothing whenever a requirement changes, so that nothing stays that is not pinned.
# The demo needs a third of it; whoever has all of it has what the demo needs.
$(DEMO_STAMP):
	$(call new_environment,$(VENV),requirements-demo.txt,--no-compile)
	$(BIN)/python -m compileall -q -j 2 -x '/(moto|docutils|pip)/' $(VENV)/lib
	$(add_lambda_emulator)
	@touch $@

$(STAMP):
	$(call new_environment,$(VENV),requirements-dev.txt)
	$(add_lambda_emulator)
	@touch $(DEMO_STAMP) $@

$(MINISTACK_STAMP):
	$(call new_environment,$(MINISTACK),requirements-ministack.txt)
	@touch $@

$(EXAMPLES_STAMP):
	$(call new_environment,$(EXAMPLES),requirements-examples.txt)
	@touch $@
endif

# $(1) the folder, $(2) the file that pins what is in it, $(3) more options for pip
define new_environment
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || \
	{ echo "No Python 3.13 found$(if $(PYTHON), ($(PYTHON) is none)): install it so that python3.13 or \
	python3 starts it, or name it with 'make PYTHON=/path/to/python3.13 ...'." >&2; exit 1; }
	rm -rf $(1)
	"$(PYTHON)" -m venv $(1)
	$(1)/bin/python -m pip install --quiet --no-input --no-deps --only-binary :all: $(3) -r $(2)
	$(1)/bin/python -m pip check
endef

# `aws` is a script of the old kind: pip gives it a first line that cannot hold a path with a space.
define add_lambda_emulator
@$(BIN)/python -m pip install --quiet --no-input --no-deps --only-binary :all: \
	--no-compile --target $(VENV)/rie -r requirements-rie.txt
@chmod +x $(VENV)/rie/samcli/local/rapid/aws-lambda-rie-*
@printf '#!/bin/sh\nexec "$$(dirname "$$0")/python" -m awscli "$$@"\n' >$(BIN)/aws
endef
