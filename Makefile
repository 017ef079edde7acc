# Two commands for a new machine: `make test`, then `make demo`. The rest is for those who work on kproto.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready

EXAMPLES  ?= 1000
MUTATIONS ?= 100000
CYCLES    ?= 1000
SEEDS     ?= 300
ROUNDS    ?= 3
TIMEOUTS  ?= default
CONTENDER ?= kproto
JOBS      ?= 2

.PHONY: test demo check java coverage properties fuzz soak bench bench-wire bench-decode profile simulate planted brokers chaos docs clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

test: $(READY)  ## every test that needs neither a broker nor Java; creates .venv on first use
	$(BIN)/python -m pytest -n $(JOBS) -m "not broker and not java"

demo: $(READY)  ## a broker, 200,000 records, and proof that each arrived once, in order
	$(BIN)/python -m kproto.tools demo

check: $(READY)  ## lint, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy packages tools
	$(BIN)/python -m pytest -q tests/architecture

java: $(READY)  ## against Kafka's own classes; needs Java and Maven
	KPROTO_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -n $(JOBS) -m "java and not broker"

coverage: $(READY)  ## 100 % of the branches of kproto.wire and kproto.client
	HYPOTHESIS_PROFILE=coverage $(BIN)/python -m pytest -q -n $(JOBS) -m "not broker and not java" \
		--cov --cov-report=term tests/wire tests/client

properties: $(READY)  ## each property EXAMPLES times, as a table; SEED repeats a run
	$(BIN)/python tests/properties.py --examples $(EXAMPLES) --jobs $(JOBS) $(if $(SEED),--seed $(SEED))

fuzz: $(READY)  ## MUTATIONS damaged inputs for each message, and for record batches
	$(BIN)/python tests/fuzz.py --mutations $(MUTATIONS)

bench: $(READY)  ## the producers beside each other on a real Kafka, ten minutes; ROWS alone, JSON and SVG files
	$(BIN)/python -m benchmarks.producers $(if $(ROWS),--rows "$(ROWS)") $(if $(JSON),--json $(JSON)) $(if $(SVG),--svg $(SVG))

bench-wire: $(READY)  ## the wire layer beside other libraries
	$(BIN)/python -m benchmarks

bench-decode: $(READY)  ## kproto decode beside tshark, on captures of SIZE MB; ten minutes, ROUNDS rounds
	$(BIN)/python -m benchmarks.decode $(if $(SIZE),--size $(SIZE)) $(if $(filter-out undefined file,$(origin ROUNDS)),--rounds $(ROUNDS)) $(if $(JSON),--json $(JSON))

profile: $(READY)  ## where each nanosecond of a record goes, as docs/profile.md; needs Java and Maven
	$(BIN)/python -m benchmarks.producers.profile --markdown docs/profile.md

soak: $(READY)  ## CYCLES clients that connect and close, counting what each leaves behind; SEEDS runs of chaos
	KPROTO_CYCLES=$(CYCLES) $(BIN)/python -m pytest -q -k "connecting_and_closing_leaves_nothing_behind" tests/client/test_client.py
	KPROTO_SEEDS=$(SEEDS) $(BIN)/python -m pytest -q -n $(JOBS) tests/client/test_scenarios_liveness.py

simulate: SEEDS = 2000
simulate: $(READY)  ## SEEDS worlds on virtual time, drawn and judged; three minutes at most
	$(BIN)/python -m tests.sim --seeds 0:$(SEEDS) --jobs $(JOBS)

planted: $(READY)  ## bugs put into the producer, and which seed of the simulation finds each, as docs/simulation.md
	$(BIN)/python -m tests.sim planted --jobs $(JOBS) --markdown > docs/simulation.md

brokers: $(READY)  ## against a real Apache Kafka; needs Java and Maven
	KPROTO_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m broker

chaos: $(READY)  ## ROUNDS rounds on three nodes under faults, and the log read back; needs Java and Maven
	KPROTO_REQUIRE_KAFKA=1 PYTHONPATH=tests $(BIN)/python -m chaos --rounds $(ROUNDS) --timeouts $(TIMEOUTS) \
		$(foreach one,$(CONTENDER),--contender $(one)) $(if $(SEED),--seed $(SEED)) $(if $(JSON),--json $(JSON))

docs: $(READY)  ## the pages that are generated from the declarations
	$(BIN)/python -m kproto.wire.tables > docs/messages.md
	$(BIN)/python -m kproto.tools.diagrams > docs/states.md
	for page in settings outcomes metrics wire-session; do $(BIN)/python -m kproto.tools.pages $$page > docs/$$page.md; done

clean:
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage dist
