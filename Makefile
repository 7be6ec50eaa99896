# Thin names for commands that README.md also spells out. `make demo` and `make test` are the whole set-up.

PYTHON ?= python3.11
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src
CORES ?= 2

.PHONY: demo test test-all lint tables check-tables verify report watch plan schema bench clean

$(VENV)/.done: envs/requirements.lock
	envs/make.sh $(VENV) $(PYTHON)
	touch $@

demo: $(VENV)/.done  ## Train the demo study from nothing into build/demo/ and compare every file with the committed one.
	rm -rf build/demo
	python workflow/scripts/verify.py --study results/demo/study.json --folder build/demo --cores $(CORES) --whole

verify: $(VENV)/.done  ## Retrain runs of a committed study: make verify STUDY=laptop RUNS="benchmark/seed0 null_arm"
	python workflow/scripts/verify.py --study results/$(STUDY)/study.json --folder build/verify/$(STUDY) --cores $(CORES) $(RUNS)

test: $(VENV)/.done lint  ## The tests that CI runs.
	python -m pytest -q -n 2 -m "not slow" --durations=10

test-all: $(VENV)/.done lint  ## All tests, the slow ones too.
	python -m pytest -q -n 2

lint: $(VENV)/.done
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint --configfile studies/demo.yaml

tables: $(VENV)/.done  ## Make every finished study's tables, figures and README again, without training.
	snakemake tables --cores $(CORES)

COPIED = Snakefile config.yaml workflow profiles envs src results $(wildcard studies README*.md)
check-tables: $(VENV)/.done  ## The same in a copy, build/check/, and fail if a committed byte changed.
	rm -rf build/check && mkdir -p build/check && cp -r $(COPIED) build/check
	cd build/check && PYTHONPATH=$$PWD/src snakemake tables --cores $(CORES) --quiet -R collect
	same=0; for one in results $(wildcard studies README*.md); do \
	  diff -rq --strip-trailing-cr --exclude=.snakemake_timestamp $$one build/check/$$one || same=1; done; exit $$same

report: $(VENV)/.done  ## Snakemake's HTML report of a study: make report STUDY=demo
	mkdir -p build
	snakemake --configfile studies/$(or $(STUDY),demo).yaml --report build/$(or $(STUDY),demo)-report.html
	@echo "To look at: build/$(or $(STUDY),demo)-report.html"

.PHONY: page crate
page crate: $(VENV)/.done  ## One HTML file of a study's results, or an archive of it: make page STUDY=laptop
	snakemake $@/$(or $(STUDY),demo) --cores 1

watch: $(VENV)/.done  ## A live view of what is training.
	python workflow/scripts/watch.py --study results/$(or $(STUDY),demo)/study.json

schema: $(VENV)/.done  ## Write the JSON Schema of a study's file, for editors, from the types that declare it.
	python workflow/scripts/schema.py > workflow/schemas/study.schema.json

plan: $(VENV)/.done  ## What it takes to decide a study's open claims: make plan STUDY=laptop HOURS=2
	python workflow/scripts/plan.py --study results/$(or $(STUDY),laptop)/study.json --cores $(CORES) $(if $(HOURS),--hours $(HOURS)) $(if $(SECONDS),--seconds $(SECONDS))

bench: $(VENV)/.done  ## Measure speed, as ratios, and write benchmarks/results/; a part alone: make bench PARTS=full8
	python benchmarks/bench.py $(PARTS)

clean:  ## Remove what is made outside results/.
	rm -rf build work .snakemake
