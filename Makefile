# The words that people and CI use. Everything is installed into .venv, at the pinned versions.
PYTHON ?= python3.11
VENV = .venv
# One process a core with one thread each: small tensors gain nothing from more.
# -rs names each test that is skipped, and why.
PYTEST = OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n auto --dist loadfile -rs
PIP = $(VENV)/bin/pip install --quiet --constraint constraints.txt

.PHONY: demo test lint style types unit docs notebooks clean

demo: $(VENV)/simulate
	$(VENV)/bin/mpp demo --out demo --overwrite

# Types are checked beside the tests: it is one process, and takes a minute and a half.
test: style
	@$(MAKE) --no-print-directory types > $(VENV)/types.log 2>&1 & types=$$!; \
	status=0; $(PYTEST) || status=$$?; wait $$types || status=1; cat $(VENV)/types.log; exit $$status

unit: $(VENV)/dev
	$(PYTEST) -m "not slow"

# The site, into site/. A link that leads nowhere is an error.
docs: $(VENV)/dev
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet

# Every notebook at full size, two at a time and each in a folder of its own, as pages with their
# pictures, into runs/notebooks/. In reverse, since the last by name takes longest.
notebooks: $(VENV)/dev
	mkdir -p runs/notebooks && ln -sfn ../../datasets runs/notebooks/datasets
	ls -r notebooks/*.ipynb | PATH=$(CURDIR)/$(VENV)/bin:$$PATH OMP_NUM_THREADS=1 xargs -n 1 -P 2 \
		sh -c 'folder=runs/notebooks/$$(basename $$0 .ipynb) && mkdir -p $$folder \
		&& cp $$0 $$folder && cd $$folder && jupyter nbconvert --to html --execute *.ipynb'

lint: style types

style: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

types: $(VENV)/dev
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

$(VENV)/simulate: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[simulate]'
	touch $@

$(VENV)/dev: $(VENV)/simulate
	$(PIP) --editable '.[simulate,dev,peers]'
	@if command -v gfortran >/dev/null; then $(PIP) --editable '.[simulate-fv]'; else \
		echo "gfortran is not here to build clawpack: the systems it solves will not be tested."; \
		echo "Install gfortran, then remove $@ and run this again."; fi
	touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info
