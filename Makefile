# Every target makes .venv first when it is missing or older than the locks: demo and up with the packages of the local
# stack, the others with those for development too. Nothing else is installed.
# GNU make 3.81 and a POSIX shell are enough.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
TEST := $(RUN) pytest --numprocesses 3 --dist loadfile
LOCAL := $(VENV)/.installed-local
STAMP := $(VENV)/.installed
COMPILE := $(RUN) uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url
APPLICATIONS ?= /Applications
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

# --name='value' when the variable is set, else nothing; $(value) and the quotes keep spaces, $ and ' as they are given.
option = $(if $(value $(1)),--$(2)='$(subst ','\'',$(value $(1)))')
LOCAL_OPTIONS = $(call option,CSV,csv) $(call option,FUNCTION,function) $(call option,COLUMN,column) \
  $(call option,COUNT,count) $(call option,WORKERS,workers) $(call option,CHUNK,chunk) $(if $(CHUNK_CALL),--chunk-call)

# What uv installs is compiled when it is first imported: by every process anew, unless it may be written.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up test attack browser check bench evidence lock clean

help: ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile
	@echo 'demo and up take: CSV=rows.csv FUNCTION=handler.py COLUMN=url COUNT=200 WORKERS=4 CHUNK=1 CHUNK_CALL=1'
	@echo 'test, attack, bench and evidence take: ARGS="options of pytest, or of the bench"; all take: PYTHON=python3.12'

demo: $(LOCAL) ## run a function over a CSV on this machine and watch it
	@$(RUN) pipeline.local demo $(LOCAL_OPTIONS)

up: $(LOCAL) ## keep a local OpenFaaS with the pipeline running until Ctrl-C
	@$(RUN) pipeline.local up $(LOCAL_OPTIONS)

test: $(STAMP) browser ## run the tests, on three processes
	$(TEST) -m 'not attack' $(ARGS)

attack: $(STAMP) browser ## run the tests that attack for long, on three processes
	$(TEST) -m attack $(ARGS)

# The page's tests open a Chromium, which no Python package has. A build machine is root and has none: Debian's is then
# installed, and dpkg wants its own folders on PATH. Without one the other tests run all the same.
browser:
	@if [ -n "$$BROWSER_PATH" ]; then exit; fi; \
	for app in 'Google Chrome' Chromium; do if [ -d "$(APPLICATIONS)/$$app.app" ]; then exit; fi; done; \
	for name in $(BROWSERS); do if command -v $$name >/dev/null; then exit; fi; done; \
	if [ "`id -u`" = 0 ] && command -v apt-get >/dev/null; then \
	  PATH="$$PATH:/usr/sbin:/sbin"; DEBIAN_FRONTEND=noninteractive; export PATH DEBIAN_FRONTEND; \
	  apt-get update && apt-get install --yes --no-install-recommends chromium && exit; \
	fi; \
	echo 'no Chromium here, so the tests of the page fail: install one (Debian: apt-get install chromium; macOS: brew' \
	  'install --cask chromium), or name it in BROWSER_PATH' >&2

check: $(STAMP) ## check format, style, types and layers
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports --no-cache

bench: $(STAMP) ## measure throughput against parallelism
	@$(RUN) bench.speed.parallelism $(ARGS)

evidence: $(STAMP) ## run every bench whose figures a page shows, and renew the pages; about an hour
	@$(RUN) bench.evidence $(ARGS)

lock: $(STAMP) ## pin what pyproject.toml asks for; UPGRADE=1 moves every pin
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(COMPILE) $(if $(UPGRADE),--upgrade) --all-extras \
	  --output-file requirements.lock pyproject.toml
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(COMPILE) $(if $(UPGRADE),--upgrade) --constraints requirements.lock \
	  --extra local --output-file requirements-local.lock pyproject.toml
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(COMPILE) $(if $(UPGRADE),--upgrade) --constraints requirements.lock \
	  --output-file pipeline/requirements.txt pyproject.toml
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(COMPILE) $(if $(UPGRADE),--upgrade) \
	  --output-file bench/compare/baselines/requirements.txt bench/compare/baselines/requirements.in

clean: ## remove what the other targets made
	rm -rf $(VENV) build .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv installs in seconds, pinned by hash like everything else; its 38 MB leave .venv again. Where it has no wheel, or
# cannot reach a registry that only pip is set up for, pip does all. Last comes the project itself, as a link to here:
# it brings the command `pipeline`, and takes what builds it from the lock.
define install
	@echo "Setting up $(VENV) for $(2): `grep -c == $(1)` packages, once" >&2
	@pip="`cat $(VENV)/.pip` --disable-pip-version-check install --no-input"; \
	uv='$(VENV)/.uv/bin/uv pip install --system-certs --python $(VENV)/bin/python'; \
	awk '/^[^ #]/ { uv = /^uv==/ } uv' requirements.lock > $(VENV)/.uv.txt; \
	awk '/^[^ #]/ { uv = /^uv==/ } !uv' $(1) > $(VENV)/.others.txt; \
	rm -rf $(VENV)/.uv; \
	if $$pip --quiet --only-binary uv --require-hashes --target $(VENV)/.uv -r $(VENV)/.uv.txt \
	  && $$uv --require-hashes --build-constraints $(1) -r $(1); then rest="$$uv --quiet"; \
	elif echo 'Without uv, pip installs: some minutes' >&2 && $$pip --require-hashes -r $(VENV)/.others.txt; then \
	  rest="$$pip --quiet"; \
	else exit 1; fi && $$rest --no-deps --no-build-isolation --editable . && rm -rf $(VENV)/.uv $(VENV)/.*.txt
	@touch $@
endef

# Without the stamp the folder is half made, so it is begun anew. The pip that is there works on it from outside, which
# is quicker than a pip of its own.
$(LOCAL): requirements-local.lock requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo 'error: $(PYTHON) not found: install Python 3.11 or newer' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is `$(PYTHON) -V 2>&1`: install 3.11 or newer, or say PYTHON=python3.12" >&2; exit 1; }
	@if $(PYTHON) -c 'import venv' 2>/dev/null \
	  && $(PYTHON) -m pip --python "`command -v $(PYTHON)`" --version >/dev/null 2>&1; then \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && pip='$(PYTHON) -m pip --python $(VENV)/bin/python'; \
	elif $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
	  $(PYTHON) -m venv --clear $(VENV) && pip='$(RUN) pip'; \
	else \
	  echo 'error: $(PYTHON) has no venv: install it (Debian and Ubuntu: apt-get install python3-venv)' >&2; exit 1; \
	fi && echo "$$pip" > $(VENV)/.pip
	$(call install,requirements-local.lock,the local stack)

$(STAMP): $(LOCAL)
	$(call install,requirements.lock,development)
