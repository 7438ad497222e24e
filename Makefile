# What a newcomer types: `make serve`, `make test`. Each environment is made once, when it is first needed.
#
#   make serve PROTOCOL=spine_68 PORT=8001     another anatomy, another port
#   make test-fast                             the tests that need no training and no server, in under two minutes
#   make lint                                  ruff and mypy
#   make soak                                  killed processes and ten thousand hostile requests, at full size
#   make bench DATA=DIR                        the benchmarks; DIR holds isbi2015/ and aasce/ in their published layouts
#   make docs                                  the pictures in docs/
#   make sample-data, make sample-models       how sample_data/ was made

PYTHON ?= python3
PROTOCOL ?= cephalometric_19
PORT ?= 8000
HOST ?= 127.0.0.1
DATA ?= data
WORKERS ?= 2

VENV := .venv
SLICER_VENV := .venv-slicer
PY := $(VENV)/bin/python
SLICER_PY := $(SLICER_VENV)/bin/python
WORK := .serve/$(PROTOCOL)

.PHONY: serve test test-fast test-slicer soak lint bench docs sample-data sample-models install clean

serve: $(VENV)/.ready | $(WORK)
	$(VENV)/bin/landmarklabel serve $(WORK)/studies --protocol $(PROTOCOL) --models $(WORK)/models --host $(HOST) --port $(PORT) --no-auto-train

# A copy to work on, of the samples and their model: labels that are put and models that are trained stay in it.
$(WORK):
	@rm -rf $@.part && mkdir -p $@.part/models
	@cp -R sample_data/$(PROTOCOL) $@.part/studies
	@cp -R sample_data/models/$(PROTOCOL) $@.part/models/
	@mv $@.part $@

# Two processes of one thread each; a file's tests stay together, as its server does.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest tests --ignore=tests/slicer -n $(WORKERS) --dist loadfile

test: $(VENV)/.ready test-slicer
	$(PYTEST)

test-fast: $(VENV)/.ready
	$(PYTEST) -m "not slow"

# The real MRML of 3D Slicer, in an environment without PyTorch: in life they are two programs.
test-slicer: $(SLICER_VENV)/.ready
	PYTHONPATH=lib $(SLICER_PY) -m pytest tests/slicer -p no:cacheprovider

# Faults at full size: 2,000 saves with 20 kills; ten thousand hostile requests to a real server. Most of an hour.
soak: $(VENV)/.ready
	LANDMARKLABEL_SOAK=1 OMP_NUM_THREADS=1 $(PY) -m pytest tests/server/test_store_faults.py tests/server/test_server_history.py
	$(PY) tests/server/hostile.py --requests 10000

lint: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy lib/landmarklabel MonaiLabelApp

bench: $(VENV)/.ready
	$(PY) -m pip install --quiet -r benchmarks/requirements.txt -c constraints.txt
	$(PY) benchmarks/run_all.py --data $(DATA)

docs: $(VENV)/.ready $(SLICER_VENV)/.ready
	$(PY) docs/make_pictures.py
	PYTHONPATH=lib $(SLICER_PY) docs/slicer_pictures.py

sample-data: $(VENV)/.ready
	$(PY) sample_data/make.py data

sample-models: $(VENV)/.ready
	$(PY) sample_data/make.py models
	$(PY) sample_data/make.py segmentation

install: $(VENV)/.ready $(SLICER_VENV)/.ready

$(VENV)/.ready: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet -c constraints.txt -e ".[server,dev]"
	@touch $@

$(SLICER_VENV)/.ready: requirements-slicer.txt
	$(PYTHON) -m venv $(SLICER_VENV)
	$(SLICER_PY) -m pip install --quiet --upgrade pip
	$(SLICER_PY) -m pip install --quiet -r requirements-slicer.txt
	@touch $@

clean:
	rm -rf $(VENV) $(SLICER_VENV) .serve build dist *.egg-info lib/*.egg-info
