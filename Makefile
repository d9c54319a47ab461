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

# What root installs is often for an account that cannot enter root's home.
define SEEN_BY_OTHERS
import os, pathlib, sys
python = pathlib.Path(os.path.realpath(sys.executable))
closed = [each for each in python.parents if not each.stat().st_mode & 1]
if os.getuid() == 0 and closed:
    print(f"note: only root can run the Python that was taken, {python}: {closed[-1]} is closed to"
          " other accounts.\n      If another account is to run orimap: make clean, and then make"
          " PYTHON=/usr/bin/python3 install")
endef
export SEEN_BY_OTHERS

.PHONY: install demo test faults lint audit bench exports lock clean
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
	@$(BIN)/python -c "$$SEEN_BY_OTHERS"
	@touch $@

# The folder of this repository is often called orimap as well: from the folder above it, Python
# would take that for the package, unless it asks first what is installed.
FIRST = import sys; sys.meta_path.sort(key=lambda each: "__editable___orimap" \
	not in getattr(each, "__module__", ""))

$(INSTALLED): $(DEPENDENCIES) pyproject.toml
	@$(PIP) --no-deps --no-build-isolation --editable .
	@echo '$(FIRST)' > $$($(BIN)/python -c "import site; print(site.getsitepackages()[0])")/orimap_first.pth
	@touch $@

demo: $(INSTALLED)
	$(BIN)/orimap demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder

lint: $(INSTALLED)
	$(BIN)/python tests/tools/lint.py

# Holes that are known in the pinned packages. It asks a server, so it is no part of lint; pip-audit
# comes with an environment of its own, for the time of the check.
audit: requirements.lock
	$(PYTHON) -m venv --clear build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	build/audit/bin/python -m pip_audit --require-hashes --disable-pip --requirement requirements.lock

# The documentation has an environment of its own, which finds orimap in the one above.
DOCS = .venv-docs/installed

$(DOCS): docs/requirements.txt
	@test -n "$(PYTHON)" || { echo "needed: Python 3.11, 3.12 or 3.13"; exit 2; }
	@echo "installing Sphinx into .venv-docs (about 100 MB)"
	@$(PYTHON) -m venv --clear --without-pip .venv-docs
	@$(PYTHON) -m pip --python .venv-docs/bin/python install --quiet --quiet \
		--disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@

.PHONY: docs pictures
# A warning is an error.
docs: $(INSTALLED) $(DOCS)
	.venv-docs/bin/python -m sphinx --builder html --conf-dir docs --fail-on-warning --keep-going \
		--quiet . build/docs
	@echo "the first page is build/docs/index.html"

# Those of the README and of the documentation, from simulated scans: a few minutes.
pictures: $(INSTALLED)
	$(BIN)/orimap demo
	$(BIN)/orimap simulate demo/bent.zarr --force --scan 36x48 --detector 96x96 --grains 4 --bend 2.5 --seed 3
	$(BIN)/orimap run demo/bent.zarr --output demo/bent --k 1:12
	$(BIN)/python docs/pictures.py demo/results demo/bent

# What takes too long for every day: installations, guides word for word, a watcher for hours, hundreds
# of damaged files and a hundred killed runs, whose tables (build/*/table.md) are printed. What asks
# what killed processes have left on this machine runs alone.
faults: $(INSTALLED)
	$(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder -m slow \
		--ignore tests/soak --ignore tests/faults
	$(BIN)/python -m pytest -p no:xdist -s -m slow tests/soak tests/faults
	$(BIN)/python tests/faults/mutated/count.py --at-once $$(nproc) --out build/mutated
	$(BIN)/python tests/faults/killed/count.py --out build/killed

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
	printf '%s\n' sphinx pydata-sphinx-theme myst-parser \
		| uv pip compile - --constraint requirements.lock --universal --generate-hashes \
		--python-version 3.11 --no-emit-index-url --no-header --quiet --output-file .requirements.docs
	printf '%s\n' '# What the documentation is built with, beside requirements.lock: where both' \
		'# need a package, its version is the same. Made by: make lock' \
		| cat - .requirements.docs > docs/requirements.txt
	rm .requirements.docs

clean:
	rm -rf .venv .venv-docs build demo
