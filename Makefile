# Two commands: `make app` and `make test`. Each sets up .venv by itself; the second time is quick.
# Written for GNU make 3.81 and any POSIX shell: a Mac has no newer ones.
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# The Python of .venv where there is one, else python3 or one beside it, of the versions that all packages have wheels
# for; `make PYTHON=...` decides otherwise.
WHEELS := (3, 11) <= sys.version_info < (3, 15)
MACOS  := int(platform.mac_ver()[0].split(".")[0])
TORCH  := sys.platform != "darwin" or platform.machine() == "arm64" and not 11 <= $(MACOS) < 14
ifndef PYTHON
PYTHON := $(shell $(BIN)/python -c 'import pip, sys; sys.exit(not ($(WHEELS)))' 2>/dev/null && echo $(BIN)/python || \
  for p in python3 python3.13 python3.12 python3.14 python3.11; do \
    $$p -c 'import sys; sys.exit(not ($(WHEELS)))' 2>/dev/null && echo $$p && break; done)
PYTHON := $(or $(PYTHON),python3)
endif

# The command that installs a package: $(call install,name for apt-get,for dnf,for brew)
install = if command -v apt-get >/dev/null 2>&1; then echo "  sudo apt-get install $(1)"; \
  elif command -v dnf >/dev/null 2>&1; then echo "  sudo dnf install $(2)"; \
  elif [ "$$(uname -s)" = Darwin ]; then echo "  brew install $(3)"; \
    command -v brew >/dev/null 2>&1 || echo "  (brew is missing too: https://brew.sh)"; \
  else echo "  Debian, Ubuntu: sudo apt-get install $(1)    Fedora: sudo dnf install $(2)    macOS: brew install $(3)"; fi
again = echo "and then once more: make $(MAKECMDGOALS)"

.PHONY: app test test-browser lint types screenshots clean help moved

help:
	@echo "make app    open the workbench on the bundled demo data"
	@echo "make test   ruff, mypy and the whole test suite, the app in Chromium included where that is installed"
	@echo "make test-browser  only the app in Chromium"
	@echo "make screenshots   the README's pictures, from the app in Chromium"
	@echo "make lint   ruff only        make types  mypy only        make clean  remove .venv"

# The stamp holds the folder that was installed. In another folder, or where the Python of .venv is gone (as after an
# upgrade by brew), it is done again.
ifneq ($(shell $(BIN)/python -c '' 2>/dev/null && cat $(STAMP) 2>/dev/null),$(CURDIR))
$(STAMP): moved
endif

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "error: '$(PYTHON)' was not found. Python 3.11 or newer is needed; install it:"; \
	  $(call install,python3 python3-venv,python3,python@3.12); $(again); exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1). Install one beside it:"; \
	  $(call install,python3.11 python3.11-venv,python3.12,python@3.12); $(again); exit 1; }
	@$(PYTHON) -c 'import platform, sys; sys.exit(not ($(TORCH)))' || { \
	  echo "error: PyTorch has wheels for Macs with Apple silicon and macOS 14 or newer alone; $(PYTHON) runs on" \
	    "$$($(PYTHON) -c 'import platform; print(platform.machine() + ", macOS " + platform.mac_ver()[0])')."; \
	  echo "  If this is such a Mac, that Python is one for Intel. Name another, e.g." \
	    "make PYTHON=/opt/homebrew/bin/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make virtual environments (its module venv or ensurepip is missing). Install it:"; \
	  v=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  $(call install,python$$v-venv,python$$v,python@$$v); $(again); exit 1; }
	@v='sys.version_info[:2]'; test "$$($(BIN)/python -c "import pip, sys; print($$v)" 2>/dev/null)" = \
	  "$$($(PYTHON) -c "import sys; print($$v)")" || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[app,video,figures,dev]' || { \
	  echo "error: the packages could not be installed; the lines above say why."; \
	  $(BIN)/python -c 'import sys; sys.exit(not ($(WHEELS)))' || { \
	    echo "  Not all of them have wheels for $$($(BIN)/python --version) yet. Install Python 3.11 to 3.14 beside it:"; \
	    $(call install,python3.13 python3.13-venv,python3.13,python@3.13); $(again); }; exit 1; }
	@printf '%s\n' "$(CURDIR)" > $@

app: $(STAMP)
	$(BIN)/python -m streamlit run app.py

# The browser tests come last and alone: one server, one Chromium, and nothing beside them. What fails there is tried
# once more, as a browser on a busy machine may be late.
test: lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile
	$(BIN)/python -m pytest -m browser tests/browser || \
	  $(BIN)/python -m pytest -m browser tests/browser --last-failed --last-failed-no-failures none

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(STAMP)
	$(BIN)/python -m mypy

test-browser: $(STAMP)
	$(BIN)/python -m pytest -m browser tests/browser

screenshots: $(STAMP)
	$(BIN)/python -m tests.browser.screenshots

clean:
	rm -rf $(VENV)
