# Two commands: `make app` and `make test`. Each sets up .venv by itself; the second time is quick.
# python3 if it is new enough, else the newest one beside it; `make PYTHON=...` decides otherwise.
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PYTHON := $(or $(PYTHON),python3)
endif
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: app test test-browser lint types screenshots clean help

help:
	@echo "make app    open the workbench on the bundled demo data"
	@echo "make test   ruff, mypy and the whole test suite, the app in Chromium included where that is installed"
	@echo "make test-browser  only the app in Chromium"
	@echo "make screenshots   the README's pictures, from the app in Chromium"
	@echo "make lint   ruff only        make types  mypy only        make clean  remove .venv"

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "error: '$(PYTHON)' was not found. Python 3.11 or newer is needed."; \
	  echo "  Debian/Ubuntu: sudo apt-get install python3 python3-venv     macOS: brew install python@3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version)."; \
	  echo "  Install one (Debian/Ubuntu: sudo apt-get install python3.11 python3.11-venv; macOS: brew install python@3.12)"; \
	  echo "  and run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: this Python cannot make virtual environments (module venv or ensurepip is missing)."; \
	  echo "  Debian/Ubuntu: sudo apt-get install $(notdir $(PYTHON))-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[app,video,figures,dev]'
	@touch $@

app: $(STAMP)
	$(BIN)/python -m streamlit run app.py

# The browser tests come last and alone: one server, one Chromium, and nothing beside them. What fails there is tried
# once more, as a browser on a busy machine may be late.
test: lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile
	$(BIN)/python -m pytest -m browser tests/browser || \
	  $(BIN)/python -m pytest -m browser tests/browser --last-failed --last-failed-no-failures none

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

test-browser: $(STAMP)
	$(BIN)/python -m pytest -m browser tests/browser

screenshots: $(STAMP)
	$(BIN)/python -m tests.browser.screenshots

clean:
	rm -rf $(VENV)
