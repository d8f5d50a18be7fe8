# `make` lists what can be done. Each target first sets up what it needs; nothing outside this folder is
# touched (uv keeps its download cache where it always does).

UV_VERSION := 0.13.8
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
PYTHON := .venv/bin/python
READY := .venv/.ready
FILES ?=
ARGS ?=
TESTS := $(filter-out tests/fixtures/ tests/__pycache__/,$(wildcard tests/*/))
# Those that start whole stacks have the machine to themselves. The others go two at a time, the longest first.
WITH_STACKS := tests/deployments/ tests/chaos/ tests/acceptance/
LONGEST := tests/flows/ tests/database/ tests/api/ tests/llm/
SMALL := $(LONGEST) $(filter-out $(LONGEST) $(WITH_STACKS),$(TESTS))

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check audit fuzz bench chaos storm migrate lock

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s%s\n", $$1, $$2 }' Makefile

setup: $(READY)  ## build .venv from the hash-pinned lock (other targets do it by themselves)
	@echo "Set up: .venv holds what requirements/dev.txt says."

demo: $(READY)  ## start everything, chat, analyse documents, print results and cost; FILES="a.md b.pdf" for yours
	@$(PYTHON) -m deployments.cli demo $(ARGS) $(FILES)

up: $(READY)  ## run the whole local stack until Ctrl-C
	@$(PYTHON) -m deployments.cli up $(ARGS)

# Each folder in a process of its own: what one leaves in memory (Prefect's logging, say) reaches no other.
test: $(READY)  ## run the tests; ARGS="tests/api -k name" for some
ifdef ARGS
	$(PYTHON) -m pytest $(ARGS)
else
	@failed=; sh .ci/two-at-a-time $(PYTHON) $(SMALL) || failed=" small ones (see above)"; \
		for part in $(WITH_STACKS); do sh .ci/test-folder $(PYTHON) $$part || failed="$$failed $$part"; done; \
		test -z "$$failed" || { echo "Failed:$$failed" >&2; exit 1; }
endif

fuzz: $(READY)  ## ask the whole API what it allows and what not, long; EXAMPLES=200 for each operation
	MILLRACE_FUZZ_EXAMPLES=$(or $(EXAMPLES),200) $(PYTHON) -m pytest --timeout 0 tests/fuzz $(ARGS)

check: $(READY)  ## lint, format, types, import rules, locks, migrations, secrets, and known vulnerabilities if a network is there
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) -m pytest -q tests/architecture/test_locks.py tests/architecture/test_revisions.py \
		tests/architecture/test_secrets.py
	$(PYTHON) .ci/audit.py --if-reachable

audit: $(READY)  ## ask osv.dev for known vulnerabilities of the locked versions (needs a network)
	$(PYTHON) .ci/audit.py

bench: $(READY)  ## run every benchmark in its quick form
	@set -e; for script in $$(grep -l '__main__' benchmarks/*.py); do \
		echo "== $$script"; $(PYTHON) $$script --quick; done

chaos: $(READY)  ## kill everything at random for minutes, report as JSON; ARGS="--seed 7 --seconds 600"
	$(PYTHON) -m pytest -q -m chaos tests/chaos tests/flows/learning
	@$(PYTHON) -m tests.chaos $(ARGS)

storm: $(READY)  ## 10,000 model calls while providers fail at random, report as JSON; ARGS="--calls 1000 --seed 7"
	@$(PYTHON) -m tests.chaos.storm $(ARGS)

migrate: $(READY)  ## bring the results database (DATABASE_URL) to the newest schema
	@$(PYTHON) -m deployments.cli migrate $(ARGS)

lock: | $(UV)  ## pin all dependencies anew within pyproject's bounds; ARGS=--upgrade for newer ones
	$(COMPILE) $(ARGS) pyproject.toml --extra dev -o requirements/dev.txt
	@# Constrained by the first: a package has one version everywhere.
	$(COMPILE) $(ARGS) pyproject.toml --extra api --extra vault --extra aws -c requirements/dev.txt -o requirements/api.txt
	$(COMPILE) $(ARGS) pyproject.toml --extra worker --extra vault --extra aws -c requirements/dev.txt -o requirements/worker.txt
	echo 'uv==$(UV_VERSION)' | $(COMPILE) - -o requirements/uv.txt

# The environment is what the lock says, no more and no less. An interrupted build starts again.
$(READY): requirements/dev.txt pyproject.toml .ci/find-python | $(UV)
	@test -x $(PYTHON) || { python=$$(sh .ci/find-python) && rm -rf .venv && \
		$(UV) venv --quiet --python "$$python" .venv; }
	@echo "Installing the locked packages into .venv (the first time takes a minute) ..."
	@$(UV) pip sync --quiet --python $(PYTHON) --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	@touch $@

# Reached only where no uv is on the PATH.
.uv/bin/uv: requirements/uv.txt .ci/find-python
	@python=$$(sh .ci/find-python) && "$$python" -m venv .uv || { \
		echo "Could not make a virtual environment to put uv in: install Python's venv module" \
			"(Debian, Ubuntu: apt install python3-venv), or uv itself." >&2; exit 1; }
	.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@
