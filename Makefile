# make demo builds the environments and runs the pipeline; make test runs the tests; make help lists the rest.
SHELL := /bin/bash
# Without PYTHON the first Python 3.11 on the path is taken, else uv's; without DEVICE an environment stays as it is, and a
# new one is for the CPU.
PYTHON ?=
DEVICE ?=
# PyTorch's CPU build is not on the package registry. It is taken from a folder or page of wheels (uv's or pip's
# find-links, from the environment or pip's configuration), else from this index of PyTorch's own.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Any Python from 3.9 builds the environments and starts the doctor: they need its standard library alone.
ANY_PYTHON = $(or $(shell type -ap python3.11 python3 python | while read -r python; do \
  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && echo "$$python" && break; done), \
  $(if $(shell command -v uv),uv run --quiet --no-project python),$(NO_PYTHON))
NO_PYTHON = echo "make: neither Python nor uv is here: install Python 3.11, or uv, which brings it" >&2; false
DOCTOR := \`make doctor\` shows what is here
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.PHONY: doctor
doctor: ## show what is here, what is missing or broken, and what mends it: make doctor [MEND=yes] [ALL=yes]
	@$(ANY_PYTHON) -m requirements.arguments "$(MAKECMDGOALS)"
	@$(ANY_PYTHON) -m commands.doctor $(if $(filter yes,$(MEND)),--mend) $(if $(filter yes,$(ALL)),--all)

.PHONY: demo
demo: env ## build the environments, run the pipeline, print the path of the report
	@python -m commands.params
	@python -m commands.progress
	@echo "The report: $(CURDIR)/data/report/index.html"

.PHONY: test
test: env ## run the tests (one of them runs the whole pipeline), two at a time
	python -m pytest --numprocesses 2 --dist worksteal

.PHONY: check
check: .venv/lock ## run ruff, mypy and import-linter, and check params.yaml and the profiles
	ruff check
	ruff format --check
	mypy
	lint-imports
	python -m pytest -q tests/settings/test_params.py

.PHONY: params
params: .venv/lock ## say what is wrong in params.yaml, the catalogue and the files that they name, line by line
	@python -m commands.params && echo "params.yaml: nothing is wrong"

.PHONY: profile
profile: .venv/lock ## replace params.yaml with a profile: make profile NAME=paper
	@python -m commands.profile $(NAME)

.PHONY: tidy
tidy: .venv/lock ## remove the files of metrics/ whose model or run is no longer in params.yaml
	@python -m commands.leftovers

.PHONY: pilot
pilot: .venv/lock ## let each DGM answer 200 prompts, then forecast the full run: make pilot [DGM="a b"], or tune the engine: TUNE=yes
	@python -m commands.params
	@python -m commands.pilot$(if $(filter yes,$(TUNE)),.tune) $(DGM)

.PHONY: add
add: .venv/lock ## where does a new model stand among the DGMs: make add MODEL=owner/name [ID=its-id] [NUM=200] [CALLS=400]; a folder works too
	@python -m commands.params
	@python -m commands.add "$(MODEL)" $(if $(ID),--id "$(ID)") $(if $(NUM),--num "$(NUM)") $(if $(CALLS),--calls "$(CALLS)")

.PHONY: watch
watch: .venv/lock ## write a page of what runs every few seconds until Ctrl-C: data/watch.html; ONCE=yes writes it once
	@python -m commands.watch $(if $(filter yes,$(ONCE)),--once)

.PHONY: analyse
analyse: .venv/lock ## compare replies that exist already, without the pipeline: make analyse RESPONSES=file.parquet [OUT=folder]
	@python -m commands.params sections
	@python -m commands.analyse "$(RESPONSES)" $(if $(OUT),"$(OUT)")

.PHONY: compare
compare: .venv/lock ## compare two models: make compare A=rewild B=only-rich, or one at two commits: B=rewild@<commit> [OUT=folder] [NUM=2000]
	@python -m commands.params sections
	@python -m commands.compare "$(A)" "$(B)" $(if $(NUM),--num "$(NUM)") $(if $(OUT),--out "$(OUT)")

.PHONY: publish
publish: .venv/lock ## write a folder for the model hub: make publish REPO=owner/name [DGM="a b"], or RUN=rewild [UPLOAD=yes] (docs/publish.md)
	@python -m commands.params sections
	@python -m commands.publish --repo "$(REPO)" --dgm "$(DGM)" --run "$(RUN)" --kept "$(KEPT)" --toxic "$(TOXIC)" \
	  --restricted "$(RESTRICTED)" --gated "$(GATED)" --upload "$(UPLOAD)" --out "$(OUT)" --notes "$(NOTES)" \
	  --project "$(PROJECT)" --dataset "$(DATASET)"

.PHONY: experiments
experiments: .venv/lock ## experiments and commits in one table: make experiments [KEYS="mix.size"] [BASE=size-100] [OUT="table.md picture.png"]
	@python -m commands.experiments $(if $(KEYS),--keys $(KEYS)) $(if $(BASE),--base "$(BASE)") $(if $(MODELS),--models $(MODELS)) \
	  $(if $(MEASURES),--measures $(MEASURES)) $(if $(NUM),--num "$(NUM)") $(if $(OUT),--out $(OUT))

.PHONY: retry
retry: .venv/lock ## ask a DGM again for what failed: make retry DGM=llama-3-1-8b-instruct
	@python -m commands.params sections
	@python -m commands.store prune --failed $(DGM)
	dvc repro --force --single-item generate@$(DGM)

.PHONY: pin
pin: .venv/lock ## write the current commit or sha256 into the catalogue: make pin [ID="a b"]
	@python -m commands.pin $(ID)

# .venv/nltk_data is where nltk looks in this environment. The last line says which WordNet it is, or that none is there.
.PHONY: wordnet
wordnet: .venv/lock ## install WordNet for METEOR's synonyms, from nltk's server or from Debian's package: make wordnet [FROM=/usr/share/wordnet]
	@mkdir -p .venv/nltk_data/corpora
	@$(if $(FROM),cp -rLT $(FROM) .venv/nltk_data/corpora/wordnet,python -W ignore -m nltk.downloader --exit-on-error --dir .venv/nltk_data wordnet)
	@python -m stages.lib.similarity.wordnet || { echo "make: without a network install Debian's wordnet-base: make wordnet FROM=/usr/share/wordnet; $(DOCTOR)"; exit 2; }

.PHONY: tables
tables: .venv/lock ## write the generated parts of the documentation
	@python -m commands.tables

.PHONY: accept
accept: .venv/lock ## keep a stage's outs after its code was moved, not changed: make accept STAGE=train
	@python -m commands.params sections
	dvc repro --quiet --single-item check
	dvc commit --force $(STAGE)

.PHONY: env
env: .venv/lock .venv-train/lock ## build both environments (each once, again when its lock's content changes): make env [DEVICE=gpu]

# Each time the content of its lock decides, not the time of a file, whether an environment is built.
.NOTPARALLEL:
.venv/lock .venv-train/lock .venv-evalchemy/lock: FORCE
	@$(ANY_PYTHON) -m requirements.build $(@D) --device "$(DEVICE)" --python "$(PYTHON)" --torch-index "$(TORCH_INDEX)" \
	  --goals "$(MAKECMDGOALS)"
FORCE:

# The clone is read at this commit, whatever else it holds. Only one that was made here is ever written to.
EVALCHEMY_HOME ?= .evalchemy
EVALCHEMY_SOURCE ?= https://github.com/mlfoundations/evalchemy
EVALCHEMY_COMMIT = $(shell sed -n 's/^COMMIT = "\(.*\)".*/\1/p' stages/lib/evaluation/evalchemy/installation.py)
ALPACA_EVAL = .venv-evalchemy/alpaca_eval

.PHONY: evalchemy
evalchemy: .venv-evalchemy/lock ## build Evalchemy's environment and fetch a clone (or use EVALCHEMY_HOME=<yours>): MTBench, AlpacaEval, MixEval
	@git -C "$(EVALCHEMY_HOME)" cat-file -e "$(EVALCHEMY_COMMIT)^{commit}" 2>/dev/null || { test "$(EVALCHEMY_HOME)" = .evalchemy \
	  && git init --quiet .evalchemy && git -C .evalchemy fetch --quiet --depth 1 "$(EVALCHEMY_SOURCE)" $(EVALCHEMY_COMMIT); } \
	  || { echo "make: $(EVALCHEMY_HOME) has no commit $(EVALCHEMY_COMMIT) of Evalchemy: fetch it there, or set EVALCHEMY_HOME=<a clone with it>; $(DOCTOR)"; exit 2; }
	@rm -rf $(ALPACA_EVAL) && mkdir $(ALPACA_EVAL)
	@git -C "$(EVALCHEMY_HOME)" archive $(EVALCHEMY_COMMIT):eval/chat_benchmarks/alpaca_eval setup.py README.md src | tar -x -C $(ALPACA_EVAL) \
	  && .venv-evalchemy/bin/uv pip install --quiet --python .venv-evalchemy/bin/python --no-deps --no-build-isolation ./$(ALPACA_EVAL) \
	  || { echo "make: could not install alpaca_eval, which asks for its own version; $(DOCTOR)"; exit 2; }

.PHONY: lock
lock: ## resolve the locks again with uv (versions only, no index addresses), and print what is known against them
	$(call resolve,torch-cuda)
	$(call resolve,main-cpu)
	$(call resolve,main-gpu)
	$(call resolve,train-cpu)
	$(call resolve,train-gpu)
	$(call resolve,evalchemy)
	$(call resolve,evalchemy-gpu)
	$(call resolve,math)
	@.venv/bin/python -m requirements.audit requirements/*.txt

# torch-cuda.txt pins torch and its CUDA libraries, which the CPU locks leave out; what else torch needs is in theirs.
# torchvision, torchaudio and torchcodec would break a text-only CPU set (their builds are for CUDA).
define resolve
	env -u UV_FIND_LINKS .venv/bin/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 \
	  $(if $(filter main%,$(1)),pyproject.toml) --group pyproject.toml:$(1) $(if $(filter main%,$(1)),--group pyproject.toml:dev) \
	  --no-emit-package torchvision --no-emit-package torchaudio --no-emit-package torchcodec \
	  $(if $(findstring gpu,$(1)),,--no-emit-package triton) \
	  $(if $(filter torch-cuda,$(1)),$(addprefix --no-emit-package ,$(TORCH_NEEDS))) \
	  $(if $(filter main-cpu train-cpu evalchemy,$(1)),$(WITHOUT_TORCH)) \
	  $(if $(findstring math,$(1)),--no-emit-package sympy --no-emit-package mpmath) --output-file requirements/$(1).txt
endef
TORCH_NEEDS := filelock fsspec jinja2 markupsafe mpmath networkx setuptools sympy typing-extensions
WITHOUT_TORCH = --override requirements/torch-cuda.txt $$(sed 's/==.*//; s/^/--no-emit-package /' requirements/torch-cuda.txt)
