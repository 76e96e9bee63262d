# make demo   the main job on a synthetic trace        make test   all tests
# make check  format, lint, types                      make bench  speed and memory
# make dist   wheel and sdist in dist/                 make fuzz   attacks, for MINUTES
# make paper  six figures and a table from one study     make gallery   docs/gallery.md
# make house  draw and check who imports whom          make docs   the pages as a site in docs/_build/html
# make validation   errors of simulations against recorded replays, and whether they have grown
# make gpu    tests, calibration and validation on a GPU into OUT, with the interpreter given as PYTHON; installs nothing
# make gpu-bundle   what a machine without network needs for gpu/run.sh, into gpu/wheels
PYTHON ?= python3
VENV ?= .venv
MINUTES ?= 1
BIN := $(VENV)/bin
DEMO := runs/demo
PAPER := runs/paper
OUT ?= runs/gpu
WHEELS := 'simpy>=4.1,<5' 'pytest>=8,<10' 'hypothesis>=6.100,<7' iniconfig packaging pluggy pygments sortedcontainers

.PHONY: demo paper gallery test check dist bench docs fuzz house validation gpu gpu-bundle clean

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/traces synth --functions 100 --minutes 60 --rate 65 --force -o $(DEMO)/trace
	$(BIN)/simulate run $(DEMO)/trace --window 00:00-01:00 --gpus 4 --force -o $(DEMO)/runs \
		--policy balance --policy least-loaded --policy exclusive --policy keepalive --policy affinity
	$(BIN)/analyze plot $(DEMO)/runs -o $(DEMO)/figures

paper: $(VENV)/installed
	$(BIN)/traces synth --functions 60 --minutes 10 --rate 50 --seed 1 --force -o $(PAPER)/trace
	$(BIN)/simulate sweep docs/examples/fleet-size.yaml -o $(PAPER)/sweep

gallery: paper
	$(BIN)/python docs/gallery.py

test: $(VENV)/installed-test
	$(BIN)/python -m pytest

check: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict sim replay traces analysis

dist: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'build>=1,<2'
	rm -rf dist build
	$(BIN)/python -m build --outdir dist . >/dev/null
	ls dist

docs: $(VENV)/installed-docs
	rm -rf docs/_build
	$(BIN)/python -m sphinx --quiet --nitpicky --fail-on-warning --keep-going -c docs -d docs/_build/read . docs/_build/html

bench: $(VENV)/installed-test
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.job
	$(BIN)/python -m benchmarks.traces
	$(BIN)/python -m benchmarks.launch

house: $(VENV)/installed-test
	$(BIN)/python -m tests.house

validation: $(VENV)/installed-test
	$(BIN)/python -m validation

fuzz: $(VENV)/installed-test
	$(BIN)/python -m tests.abuse --minutes $(MINUTES)

gpu:
	$(PYTHON) -c 'from replay.cli import main; main()' session --out $(OUT)

gpu-bundle:
	rm -rf gpu/wheels
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --dest gpu/wheels \
		--python-version 3.12 --implementation py --abi none --platform any $(WHEELS)
	ls gpu/wheels

clean:
	rm -rf $(VENV) runs build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache
