# make demo: install into .venv and run the recipe app. make test: the tests.
PYTHON ?= python3
# Any wheel file, requirement or index address with a CPU torch.
TORCH_WHEEL ?= torch==2.13.0
BIN = .venv/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test install clean

demo: install
	$(BIN)/tokenrec compile recipes/recipe_app.yaml

test: .venv/.tested
	$(BIN)/python -m pytest -n logical --dist loadfile

install: .venv/.installed

.venv/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tokenrec needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	case "$(TORCH_WHEEL)" in \
	  http*.whl|*.whl|torch*) $(PIP) install -q --no-deps "$(TORCH_WHEEL)" ;; \
	  *) $(PIP) install -q --no-deps --index-url "$(TORCH_WHEEL)" torch==2.13.0 ;; \
	esac
	grep -v "^torch==" requirements.txt > .venv/requirements.txt
	$(PIP) install -q --no-deps -r .venv/requirements.txt
	$(PIP) install -q --no-deps -e .
	@$(BIN)/python -c 'import torch, xgboost' 2>/dev/null || { \
	  echo; echo "torch or xgboost does not import. Most likely this torch is a CUDA build without its libraries."; \
	  echo "Put a CPU torch into .venv: make install TORCH_WHEEL=<a wheel file, or the address of an index with CPU wheels>"; \
	  $(BIN)/python -c 'import torch, xgboost' 2>&1 | tail -1; exit 2; }
	@touch $@

.venv/.tested: .venv/.installed requirements-test.txt
	$(PIP) install -q --no-deps -r requirements-test.txt
	@touch $@

clean:
	rm -rf .venv .tokenrec
