# `make demo` and `make test` set up by themselves: Python >= 3.11, make and a package index are all they need.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: demo test lint docs clean

# Every file has the hash that it had when it was pinned; only PyTorch's build depends on the machine.
$(READY): pyproject.toml constraints.txt .ci/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --require-hashes --no-deps -r .ci/requirements.txt
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: $(READY)
	$(VENV)/bin/python examples/demo.py

# Tests look at pages in a Chromium. Where the system has none, Playwright's is fetched; without a network they are skipped, and say so.
$(VENV)/.browser: $(READY)
	@if which chromium chromium-browser google-chrome | grep -q . || \
		PLAYWRIGHT_BROWSERS_PATH=$(CURDIR)/$(VENV)/browsers $(VENV)/bin/playwright install chromium >/dev/null 2>&1; \
	then touch $@; else echo "no browser could be fetched: tests that look at pages are skipped"; fi

test: $(READY) $(VENV)/.browser
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --dist loadfile $(TESTARGS)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: $(READY)
	$(VENV)/bin/python docs/make_configuration.py
	$(VENV)/bin/typer semiseg.cli utils docs --name semiseg --title Commands --output docs/commands.md
	$(VENV)/bin/sphinx-build -q -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV)
