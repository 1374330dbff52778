# Targets: demo, test, test-all, test-latest, test-federated, lint, docs, clean.
# PYTHON=python3.12 chooses the interpreter of new virtual environments.

PYTHON ?= python3
WORKDIR ?= runs/demo
# Compilation, most of the tests' time, uses one core of each.
WORKERS ?= -n 2 --dist loadfile

# What an environment was made from; a change makes it stale.
INPUTS = setup.cfg pyproject.toml constraints.txt

.PHONY: demo test test-all test-latest test-federated lint docs docs-pages \
  docs-notebooks clean
.DELETE_ON_ERROR:
.DEFAULT_GOAL := demo

# The last line on stdout, and the only one, is the summary of the run.
demo: .venv/.stamp
	@.venv/bin/coalesce run --config=experiments/coalesce/configs/digits.py \
	  --workdir=$(WORKDIR)

test: .venv/.stamp
	@.venv/bin/python -m pytest $(WORKERS)

test-all: .venv/.stamp
	@.venv/bin/python -m pytest $(WORKERS) -m ''

test-latest: .venv-latest/.stamp
	@.venv-latest/bin/python -m pytest $(WORKERS)

# Nodes are processes, which share the programs that they compile.
test-federated: .venv-federated/.stamp
	@.venv-federated/bin/python -m pytest -m '' tests/federated/flower

lint: .venv/.stamp-dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

# The site is docs/_build/html. Nothing is downloaded once the extra is there:
# the notebook that fetches pictures is not run.
FETCHES = \
  tests/notebooks_test.py::test_translation_ends_with_a_program_that_draws_alike
# Notebooks show what they made when they were kept; here they run on small
# settings, beside the building of the pages.
SPHINX = .venv/bin/python -m sphinx -W --keep-going -n -q -d docs/_build/doctrees
docs: .venv/.stamp-docs
	@.venv/bin/codespell docs notebooks/*.py README.md CONTRIBUTING.md
	@$(MAKE) --no-print-directory -j 2 docs-pages docs-notebooks
	@echo 'The site: docs/_build/html/index.html'

docs-pages: .venv/.stamp-docs
	@$(SPHINX) -a -b html docs docs/_build/html
	@$(SPHINX) -b doctest docs docs/_build/doctest

docs-notebooks: .venv/.stamp-docs
	@.venv/bin/python -m pytest -q -n 2 -m '' tests/notebooks_test.py \
	  --deselect $(FETCHES)

clean:
	@rm -rf .venv .venv-latest .venv-federated build dist docs/_build *.egg-info \
	  docs/notebooks .mypy_cache .pytest_cache .ruff_cache
	@find coalesce_jax experiments launch tests -name __pycache__ -prune \
	  -exec rm -rf {} +

.venv/.stamp: $(INPUTS)
	@$(call environment,.venv)
	@$(call install,.venv,-c constraints.txt -e '.[test]')
	@touch $@

.venv/.stamp-dev: .venv/.stamp
	@$(call install,.venv,-c constraints.txt -e '.[dev]')
	@touch $@

.venv/.stamp-docs: .venv/.stamp
	@$(call install,.venv,-c constraints.txt -e '.[docs]')
	@touch $@

.venv-latest/.stamp: $(INPUTS)
	@$(call environment,.venv-latest)
	@$(call install,.venv-latest,-U --upgrade-strategy eager -e '.[test]')
	@touch $@

# Flower needs older versions of these.
OLDER = packaging|protobuf|rich
.venv-federated/.stamp: $(INPUTS)
	@$(call environment,.venv-federated)
	@grep -vE '^($(OLDER))==' constraints.txt > .venv-federated/constraints.txt
	@$(call install,.venv-federated,-c .venv-federated/constraints.txt \
	  -e '.[federated$(comma)test]')
	@touch $@

# A comma would end an argument of a call.
comma := ,

# $(call environment,FOLDER): keeps a sound environment, makes one otherwise.
define environment
exec >&2; \
supported='import sys; sys.exit(sys.version_info < (3, 11))'; \
if ! $(1)/bin/python -c "$$supported" 2>/dev/null; then \
  if ! command -v '$(PYTHON)' >/dev/null; then \
    echo "make: no '$(PYTHON)' here; coalesce_jax needs Python 3.11 or newer:" \
      "make PYTHON=/path/to/python3.11"; exit 1; \
  fi; \
  if ! '$(PYTHON)' -c "$$supported"; then \
    echo "make: coalesce_jax needs Python 3.11 or newer, '$(PYTHON)' is" \
      "$$('$(PYTHON)' -V 2>&1): make PYTHON=/path/to/python3.11"; exit 1; \
  fi; \
  echo "Making the virtual environment $(1)"; \
  '$(PYTHON)' -m venv --clear $(1); \
fi
endef

# $(call install,FOLDER,ARGUMENTS OF PIP)
define install
exec >&2; \
echo "Installing into $(1) (a few minutes the first time)"; \
$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)
endef
