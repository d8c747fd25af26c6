# make demo   a running site with real pictures      make test   every check and test
PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint requirements.lock
export PORT ?= 8000
TEST_POSTGRES ?= postgres://postgres@127.0.0.1:5432/test
TESTERS ?= 2
# By modules, since a site for browsers is set up for each, and in pytest-django's order: what asks a database comes before
# the browsers, whose event loop Django takes for asynchronous code.
SHARED_OUT = -n $(TESTERS) --dist loadscope --no-loadscope-reorder

.PHONY: demo test lint lock bench screenshots words

demo: $(VENV)/.demo var/studio.env var/static/staticfiles.json
	@$(PY) manage.py migrate --verbosity 0
	@$(PY) manage.py build_demo
	@$(PY) manage.py train_demo
	@$(PY) -m config.serve

$(PY):
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(PY) requirements.lock pyproject.toml
	$(PIP) --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(PY) requirements.lock pyproject.toml
	$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/.demo

var/studio.env: | $(VENV)/.demo
	@$(PY) -m config.first_start

var/static/staticfiles.json: $(shell find static -type f) requirements.lock | var/studio.env
	@$(PY) manage.py collectstatic --noinput --verbosity 0
	@touch $@

test: lint
	$(PY) -m pytest $(SHARED_OUT)
	DATABASE_URL=$(TEST_POSTGRES) $(PY) -m pytest $(SHARED_OUT) -m "not browser and not demo"

lint: $(VENV)/.dev var/studio.env
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/lint-imports --no-cache
	$(VENV)/bin/djlint templates --lint --quiet
	$(VENV)/bin/mypy
	$(PY) manage.py makemigrations --check --dry-run

lock:
	$(VENV)/bin/pip install --quiet uv
	$(VENV)/bin/uv pip compile pyproject.toml --all-extras --python-version 3.11 --no-header --no-annotate --no-emit-package perceptanon-studio --output-file requirements.lock

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
