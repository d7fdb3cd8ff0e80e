# Everything runs in .venv, which is set up anew when pyproject.toml changes.
PYTHON ?= python3
BIN := .venv/bin
# Tests that wait leave the processors to others, so twice as many processes as a small machine has processors.
PARALLEL := --numprocesses 4 --dist loadgroup --no-loadscope-reorder

.PHONY: help demo demo-uwsgi demo-flask demo-django demo-fastapi test quick test-pythons test-oldest test-django check reference docs format dist bench chaos chaos-tasks soak clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: .venv/ready  ## send signals to every kind of target on the heliograph server, and run tasks through a kill -9 of it
	$(BIN)/python -m examples.demo --engine local

demo-uwsgi: .venv/ready  ## run the same demo on real uWSGI
	$(BIN)/python -m examples.demo --engine uwsgi

demo-flask: .venv/ready  ## run a Flask shop with gunicorn: prices in every process, a report by a mule
	$(BIN)/python -m examples.walkthrough flask

demo-django: .venv/ready  ## run a Django site with manage.py heliograph: a mule confirms orders
	$(BIN)/python -m examples.walkthrough django

demo-fastapi: .venv/ready  ## run FastAPI with uvicorn: handlers on the event loop of the server
	$(BIN)/python -m examples.walkthrough fastapi

test: .venv/ready  ## run all tests: unit, conformance on every engine, end to end
	$(BIN)/pytest $(PARALLEL)

quick: .venv/ready  ## run most unit tests, the inline engine and a few servers, in about a minute
	$(BIN)/pytest $(PARALLEL) -m quick

test-pythons:  ## run the tests on each of python3.11 to python3.15 that is installed
	.ci/pythons

test-oldest:  ## run the web server tests on the oldest supported web servers and frameworks
	PYTHON=$(PYTHON) .ci/oldest

test-django: .venv/ready  ## run Django's own tests of task backends with heliograph's, on Django 6.0 and 6.1
	$(BIN)/pytest -m django_suite -s tests/django_suite

check: .venv/ready  ## check style, types and the import contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

reference: .venv/ready  ## write the options and metrics into docs/reference, from their tables
	$(BIN)/python -m heliograph.cli.reference
	$(BIN)/python -m heliograph.cli.man_page
	$(BIN)/python docs/compatibility.py
	$(BIN)/python -m heliograph.web.reference

docs: .venv/ready  ## build the site of the documentation in build/docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs

format: .venv/ready  ## format the code with ruff and apply its fixes
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

dist: .venv/ready  ## build the sdist and the wheel in dist, and check both
	.ci/dist

bench: .venv/ready  ## measure heliograph and its peers, and write benchmarks/results
	$(BIN)/python benchmarks/run.py

chaos: .venv/ready  ## send 200,000 signals while receivers are killed and the server reloads
	$(BIN)/python -m chaos

chaos-tasks: .venv/ready  ## enqueue 100,000 tasks while processes are killed, the master is restarted, the disk is full
	$(BIN)/python -m chaos --tasks

soak: .venv/ready  ## run ten minutes under load and compare resource use over time
	$(BIN)/python -m chaos.soak

clean:  ## remove the environment and all caches
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'  # the first with --group
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[uwsgi,servers]' --group dev
	touch $@
