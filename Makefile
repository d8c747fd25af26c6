# make demo    a running site with real pictures         make test        all that a change has to pass
# make check   what says most about a change in a minute  make test-long   what only deepens: docs/contributors.md
PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
# The machine's own, or one that pip brings: four times as quick as pip at all the rest.
UV := $(or $(shell command -v uv 2>/dev/null),$(VENV)/bin/uv)
INSTALL := $(UV) pip install --quiet --python $(PY) --compile-bytecode --constraint requirements.lock
export PORT ?= 8000

.PHONY: demo tables test test-long check lint lock bench screenshots words dump

demo: $(VENV)/.demo var/studio.env
	@$(MAKE) --no-print-directory --jobs 2 tables var/static/staticfiles.json
	@$(PY) manage.py build_demo
	@$(PY) manage.py train_demo
	@$(PY) -m config.serve

$(PY):
	$(PYTHON) -m venv $(VENV)

$(VENV)/bin/uv: | $(PY)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint requirements.lock uv

$(VENV)/.demo: $(PY) requirements.lock pyproject.toml | $(UV)
	$(INSTALL) --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(PY) requirements.lock pyproject.toml | $(UV)
	$(INSTALL) --editable ".[dev]"
	@touch $@ $(VENV)/.demo

var/studio.env: | $(VENV)/.demo
	@$(PY) -m config.first_start

var/static/staticfiles.json: $(shell find static -type f) requirements.lock | var/studio.env
	@$(PY) manage.py collectstatic --noinput --verbosity 0
	@touch $@

tables: | var/studio.env
	@$(PY) manage.py migrate --verbosity 0

test: $(VENV)/.dev var/studio.env
	@$(PY) -m tests.gate

test-long: $(VENV)/.dev var/studio.env
	@$(PY) -m tests.gate --long

check: $(VENV)/.dev var/studio.env
	@$(PY) -m tests.gate --check

lint: $(VENV)/.dev var/studio.env
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/lint-imports --no-cache
	$(VENV)/bin/djlint templates --lint --quiet
	$(VENV)/bin/mypy
	$(PY) manage.py makemigrations --check --dry-run

lock: | $(UV)
	$(UV) pip compile pyproject.toml --all-extras --python-version 3.11 --no-header --no-annotate --no-emit-package perceptanon-studio --output-file requirements.lock

bench: $(VENV)/.dev
	$(PY) -m bench.serving

# The catalogs of the annotators' pages, from the words in code, templates and scripts; needs Debian's gettext.
FOUND_IN := --all --no-wrap --add-location file --ignore bench --ignore docs --ignore tests --ignore var
words: $(VENV)/.dev var/studio.env
	$(PY) manage.py makemessages $(FOUND_IN)
	$(PY) manage.py makemessages $(FOUND_IN) --domain djangojs
	$(PY) manage.py compilemessages --ignore .venv --ignore var

screenshots: $(VENV)/.dev
	$(PY) docs/screenshots.py

# This version's database, on SQLite and PostgreSQL, from which later versions are upgraded in a test.
dump: $(VENV)/.dev
	$(PY) -m tests.upgrades.make_dump
	DATABASE_URL=$${TEST_POSTGRES:-postgres://postgres@127.0.0.1:5432/test} $(PY) -m tests.upgrades.make_dump
