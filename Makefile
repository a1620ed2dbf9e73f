# The verbs of the project. `make run` and `make test` are all that a new person needs.
PYTHON ?= python3
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
	@$(MAKE) --no-print-directory -j2 sqlite postgres PYTEST_MARKS='-m "not slow"'

test-all: checks ## As test, then the slow proofs, one database after the other: those measure time.
	@$(MAKE) --no-print-directory -j2 sqlite postgres PYTEST_MARKS='-m "not slow"'
	@$(MAKE) --no-print-directory sqlite PYTEST_MARKS='-m slow'
	@$(MAKE) --no-print-directory postgres PYTEST_MARKS='-m slow'

.PHONY: checks sqlite postgres
checks: export SECRET_KEY := checks
checks: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run

sqlite: $(VENV)/.installed-dev
	@echo "Tests on SQLite."
	@TEST_DATABASE=sqlite $(BIN)/pytest $(PYTEST_MARKS)

postgres: $(VENV)/.installed-dev
	@if [ -z "$$CI$$REQUIRE_POSTGRES" ] && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && ! command -v initdb >/dev/null; then \
		echo "The run on PostgreSQL is left out: no server is installed (apt-get install postgresql)."; \
	else \
		echo "Tests on PostgreSQL."; TEST_DATABASE=postgres $(BIN)/pytest $(PYTEST_MARKS); \
	fi

bench: $(VENV)/.installed-dev ## Figures beside stock django-apscheduler, about an hour; BENCH="--quick" tries it out.
	$(BIN)/python -m benchmarks $(BENCH)

lint: checks

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what can be made again; .env and the database stay.
	rm -rf $(VENV) staticfiles .mypy_cache .ruff_cache .hypothesis .import_linter_cache
