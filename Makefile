# Buckstop's house keys. `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
# A distribution builds its Python with the compiler's profile of how it is used; one that somebody
# built by hand or with pyenv is often half slower. Of some distributions it is only a part.
FAST := /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13
TOOLS := .tools
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-lock
# City networks often look into TLS: trust what the machine trusts.
export UV_SYSTEM_CERTS = 1
export UV_PYTHON_DOWNLOADS ?= automatic
export UV_LINK_MODE ?= copy
# Commands start in a second instead of four.
export UV_COMPILE_BYTECODE = 1

.PHONY: help
help: ## What can be asked of this Makefile
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(STAMP) ## Run everything on http://127.0.0.1:8311/ with three sample logins
	@$(BIN)/buckstop run --sample-logins

.PHONY: demo
demo: $(STAMP) ## The same, with 25 complaints already on the desks
	@$(BIN)/buckstop demo

.PHONY: test
test: $(STAMP) browser ## Every test, on real servers and in a real browser
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not dovecot and not promtool" $(PYTEST_ARGS)

.PHONY: test-dovecot
test-dovecot: $(STAMP) ## The mail channel's tests on Dovecot, where Debian's dovecot-imapd is installed
	@$(BIN)/python -m pytest -m dovecot $(PYTEST_ARGS) tests/contract/test_dovecot.py

.PHONY: test-promtool
test-promtool: $(STAMP) ## The alert rules, where promtool (Debian's prometheus) is installed
	@$(BIN)/python -m pytest -m promtool $(PYTEST_ARGS) tests/contract/test_alert_rules.py

.PHONY: check
check: $(STAMP) ## Lint, types, the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: bench
bench: $(STAMP) ## The whole pipeline against its floor, in one run
	@$(BIN)/python -m bench.pipeline $(BENCH_ARGS)

.PHONY: model
model: $(STAMP) ## Learn the sample city's written examples again, after they have changed
	@$(BIN)/buckstop model make

.PHONY: lock
lock: $(TOOLS)/found ## Choose the newest versions and write requirements.lock
	@$$(cat $(TOOLS)/found) pip compile --universal --generate-hashes --python-version 3.11 \
	    --extra embedded --group dev --upgrade pyproject.toml -o requirements.lock -q

.PHONY: clean
clean: ## Forget the environment and the tools (the data directory stays)
	@rm -rf $(VENV) $(TOOLS) gateway/static/vendor

.PHONY: browser
browser: $(STAMP)
	@$(BIN)/python -m tests.support.browser

# uv from the machine; else from the package registry into this folder. Nothing is installed
# outside, and pip may itself be missing.
$(TOOLS)/found:
	@mkdir -p $(TOOLS)
	@if command -v uv >/dev/null 2>&1; then command -v uv > $@; \
	elif [ -z "$(PYTHON)" ]; then \
	    echo "Buckstop needs Python 3.11 or newer, and none was found." >&2; exit 1; \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
	        --target $(TOOLS)/uv uv 2>$(TOOLS)/pip.log || { cat $(TOOLS)/pip.log >&2; exit 1; }; \
	    echo "$(CURDIR)/$(TOOLS)/uv/bin/uv" > $@; \
	elif $(PYTHON) -m venv $(TOOLS)/venv >/dev/null 2>&1; then \
	    $(TOOLS)/venv/bin/pip install --quiet uv && echo "$(CURDIR)/$(TOOLS)/venv/bin/uv" > $@; \
	else \
	    echo "Buckstop gets its tools with pip. Please install pip (or uv) for $(PYTHON)." >&2; exit 1; \
	fi

# uv reads no pip configuration; pip knows the machine's mirror.
$(STAMP): requirements.lock pyproject.toml gateway/assets/package-lock.json gateway/assets/build_hook.py $(TOOLS)/found
	@UV=$$(cat $(TOOLS)/found); \
	if [ -z "$$UV_INDEX_URL$$UV_DEFAULT_INDEX" ] && $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	    MIRROR=$$($(PYTHON) -m pip config get global.index-url 2>/dev/null || echo "$$PIP_INDEX_URL"); \
	    [ -z "$$MIRROR" ] || export UV_DEFAULT_INDEX="$$MIRROR"; \
	fi; \
	echo "Making the environment (once)…" && \
	WITH=">=3.11"; for FOUND in $(FAST); do \
	    ! $$FOUND -c "import asyncio, ctypes, lzma, sqlite3, ssl" 2>/dev/null || { WITH=$$FOUND; break; }; \
	done; \
	{ [ -x $(BIN)/python ] || "$$UV" venv --quiet --python "$$WITH" $(VENV); } && \
	"$$UV" pip sync --quiet --python $(BIN)/python requirements.lock && \
	"$$UV" pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
