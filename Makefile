# make demo, make test: each sets up .venv first, and only when something has changed.

# The first of these that requirements.lock is made for.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$python && break; done)
BIN = .venv/bin
DEPENDENCIES = .venv/dependencies
INSTALLED = .venv/installed
# Twice quiet: errors only.
PIP = $(PYTHON) -m pip --python $(BIN)/python install --quiet --quiet --disable-pip-version-check

.PHONY: install demo test lint bench exports lock clean
.DELETE_ON_ERROR:

install: $(INSTALLED)

# All that is installed takes 1.7 GB, most of it compiled libraries.
$(DEPENDENCIES): requirements.lock
	@test -n "$(PYTHON)" || { echo "needed: Python 3.11, 3.12 or 3.13"; \
		echo "found: none of them as python3, python3.11, python3.12 or python3.13"; \
		echo "what to do: install one, or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 2; }
	@echo "installing orimap and the $$(grep -o '^[a-z][^=]*' $< | sort -u | wc -l) packages it needs" \
		"into .venv (about 1.7 GB, a minute or two)"
	@$(PYTHON) -m venv --clear --without-pip .venv
	@$(PIP) --no-deps --require-hashes --requirement $<
	@touch $@

$(INSTALLED): $(DEPENDENCIES) pyproject.toml
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(INSTALLED)
	$(BIN)/orimap demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder

lint: $(INSTALLED)
	$(BIN)/python tests/tools/lint.py

bench: $(INSTALLED)
	for script in tests/benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# Open every export in the program it is for, in environments of their own (some 3 GB).
exports: $(INSTALLED)
	$(BIN)/python tests/exports/open_elsewhere.py

# Choose the versions anew; uv only resolves and is no part of the environment.
lock:
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --python-version 3.11 \
		--no-emit-index-url --no-header --quiet --output-file requirements.lock
	printf '%s\n' '# Every package that orimap needs, with its version and hashes, for Python' \
		'# 3.11 to 3.13. Made from pyproject.toml by: make lock' \
		| cat - requirements.lock > .requirements.lock
	mv .requirements.lock requirements.lock

clean:
	rm -rf .venv build demo
