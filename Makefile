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

test: lanes ## Checks and the tests, on SQLite and PostgreSQL side by side.

test-all: SPEED := (slow or not slow)
test-all: lanes ## As test, with the slow proofs.

.PHONY: checks lanes again $(LANES)
lanes: checks
	@rm -rf .pytest_cache
	@$(MAKE) --no-print-directory -j4 $(LANES) SPEED="$(SPEED)"
	@$(MAKE) --no-print-directory again

checks: export SECRET_KEY := checks
checks: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run

# lane,database,niceness,arguments. Tests that fail (pytest's 1) are left to `again`; whatever else goes wrong ends the suite.
pytest = TEST_DATABASE=$(2) nice -n $(3) $(BIN)/pytest -o cache_dir=.pytest_cache/$(1)-$(2) $(4) || [ $$? = 1 ]

# These wait much, for processes and clocks, and are served first; the others take what they leave.
processes: $(VENV)/.installed-dev
	@echo "Tests of processes, on SQLite."
	@$(call pytest,$@,sqlite,0,$(PROCESSES) -m "database and $(SPEED)")
ifdef POSTGRES
	@echo "Tests of processes, on PostgreSQL."
	@$(call pytest,$@,postgres,0,$(PROCESSES) -m "database and $(SPEED)")
endif

sqlite: $(VENV)/.installed-dev
	@echo "Tests on SQLite."
	@$(call pytest,$@,sqlite,4,$(PROCESSES:%=--ignore=%) -m "database and $(SPEED)")

postgres: $(VENV)/.installed-dev
ifdef POSTGRES
	@echo "Tests on PostgreSQL."
	@$(call pytest,$@,postgres,2,$(PROCESSES:%=--ignore=%) -m "database and $(SPEED)")
else
	@echo "The run on PostgreSQL is left out: no server is installed (apt-get install postgresql)."
endif

elsewhere: $(VENV)/.installed-dev ## What knows no database.
	@echo "Tests without a database."
	@$(call pytest,$@,sqlite,6,-m "not database and $(SPEED)")

# Tests of real processes keep limits of time, which four lanes on few cores may break: what failed there is run once more with
# nothing beside it, and that counts. Where more than five failed it is no luck.
again:
	@set -e; failed=$$(cat .pytest_cache/*/v/cache/lastfailed 2>/dev/null | grep '": true' || true); \
	[ -n "$$failed" ] || exit 0; \
	echo "Failed beside others:"; echo "$$failed"; \
	[ $$(echo "$$failed" | wc -l) -le 5 ] || exit 1; \
	echo "Once more, alone:"; \
	for lane in .pytest_cache/*; do \
	  [ ! -e $$lane/v/cache/lastfailed ] || TEST_DATABASE=$${lane##*-} $(BIN)/pytest -o cache_dir=$$lane --last-failed -v; \
	done

bench: $(VENV)/.installed-dev ## Figures beside stock django-apscheduler, about an hour; BENCH="--quick" tries it out.
	$(BIN)/python -m benchmarks $(BENCH)

lint: checks

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what can be made again; .env and the database stay.
	rm -rf $(VENV) staticfiles .mypy_cache .ruff_cache .hypothesis .import_linter_cache
