# The verbs of the project. `make run` and `make test` are all that a new person needs.
PYTHON ?= python3
# Of the tests; `test` and `test-all` set it.
SPEED ?= not slow
LANES := processes sqlite postgres elsewhere
PROCESSES := tests/scheduling tests/audiobooks/test_start.py tests/audiobooks/test_wsgi.py
# Where a server is installed; in CI there has to be one.
POSTGRES := $(or $(CI),$(REQUIRE_POSTGRES),$(wildcard /usr/lib/postgresql/*/bin/initdb),$(shell command -v initdb))
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-all bench lint format clean

run: $(VENV)/.installed .env ## Install, set up and start: web pages on http://127.0.0.1:8000 (WEB_BIND) and the scheduler.
	@$(BIN)/python manage.py start --check
	@mkdir -p library
	@echo "Bringing the database up to date."
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py collectstatic --no-input --verbosity 0
	@$(BIN)/python manage.py createadmin
	@$(BIN)/python manage.py start

# pip is the last that comes into a virtual environment: without it, the rest is half of one.
$(BIN)/pip:
	@echo "Making the virtual environment $(VENV)."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(VENV) could not be made. Debian and Ubuntu need: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed: requirements.txt | $(BIN)/pip
	@echo "Installing requirements.txt."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt | $(BIN)/pip
	@echo "Installing requirements-dev.txt."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.installed

.env: | $(BIN)/pip
	@echo "Writing .env with a random secret key."
	@$(BIN)/python -c 'import os, pathlib, secrets; text = pathlib.Path(".env.example").read_text().replace("SECRET_KEY=\n", f"SECRET_KEY={secrets.token_urlsafe(50)}\n", 1); os.write(os.open(".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), text.encode())'

test: checks ## Checks and the tests, on SQLite and PostgreSQL side by side.
	@$(MAKE) --no-print-directory -j4 $(LANES) SPEED="not slow"

test-all: checks ## As test, with the slow proofs.
	@$(MAKE) --no-print-directory -j4 $(LANES) SPEED="(slow or not slow)"

.PHONY: checks $(LANES)
checks: export SECRET_KEY := checks
checks: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run

# These wait much, for processes and clocks, and are served first; the others take what they leave.
processes: $(VENV)/.installed-dev
	@echo "Tests of processes, on SQLite."
	@TEST_DATABASE=sqlite $(BIN)/pytest $(PROCESSES) -m "database and $(SPEED)"
ifdef POSTGRES
	@echo "Tests of processes, on PostgreSQL."
	@TEST_DATABASE=postgres $(BIN)/pytest $(PROCESSES) -m "database and $(SPEED)"
endif

sqlite: $(VENV)/.installed-dev
	@echo "Tests on SQLite."
	@TEST_DATABASE=sqlite nice -n 3 $(BIN)/pytest $(PROCESSES:%=--ignore=%) -m "database and $(SPEED)"

postgres: $(VENV)/.installed-dev
ifdef POSTGRES
	@echo "Tests on PostgreSQL."
	@TEST_DATABASE=postgres nice -n 3 $(BIN)/pytest $(PROCESSES:%=--ignore=%) -m "database and $(SPEED)"
else
	@echo "The run on PostgreSQL is left out: no server is installed (apt-get install postgresql)."
endif

elsewhere: $(VENV)/.installed-dev ## What knows no database.
	@echo "Tests without a database."
	@TEST_DATABASE=sqlite nice -n 6 $(BIN)/pytest -m "not database and $(SPEED)"

bench: $(VENV)/.installed-dev ## Figures beside stock django-apscheduler, about an hour; BENCH="--quick" tries it out.
	$(BIN)/python -m benchmarks $(BENCH)

lint: checks

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what can be made again; .env and the database stay.
	rm -rf $(VENV) staticfiles .mypy_cache .ruff_cache .hypothesis .import_linter_cache
