# Everything runs in .venv, which is set up anew when pyproject.toml changes.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo demo-uwsgi demo-flask demo-django demo-fastapi test test-pythons test-oldest check format dist bench chaos soak clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: .venv/ready  ## raise a signal to every kind of target on our own server, and show who handled it
	$(BIN)/python -m examples.demo --engine local

demo-uwsgi: .venv/ready  ## the same on real uWSGI
	$(BIN)/python -m examples.demo --engine uwsgi

demo-flask: .venv/ready  ## a Flask shop beside gunicorn: prices in every process, a report by a mule
	$(BIN)/python -m examples.walkthrough flask

demo-django: .venv/ready  ## a Django site, run with manage.py heliograph: orders, confirmed by a mule
	$(BIN)/python -m examples.walkthrough django

demo-fastapi: .venv/ready  ## live changes on FastAPI beside uvicorn: handlers on the server's own loop
	$(BIN)/python -m examples.walkthrough fastapi

test: .venv/ready  ## all tests: unit, conformance on every engine, end to end
	$(BIN)/pytest

test-pythons:  ## run the tests on each of python3.11 to python3.15 that is installed
	.ci/pythons

test-oldest:  ## run the web server tests on the oldest supported web servers and frameworks
	PYTHON=$(PYTHON) .ci/oldest

check: .venv/ready  ## lint, types, import contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

format: .venv/ready  ## let ruff put the code in shape
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

dist: .venv/ready  ## build the sdist and the wheel in dist, and check both
	.ci/dist

bench: .venv/ready  ## measure, beside the peers; results in benchmarks/results
	$(BIN)/python benchmarks/run.py

chaos: .venv/ready  ## 200,000 signals while receivers are killed and the server is reloaded
	$(BIN)/python -m chaos

soak: .venv/ready  ## ten minutes under load; what the server uses at the end as at the beginning
	$(BIN)/python -m chaos.soak

clean:  ## forget the environment and all caches
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'  # the first with --group
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[uwsgi,servers]' --group dev
	touch $@
