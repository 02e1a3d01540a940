# The only entry. `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

NEXTEST := 0.9.115
DENY := 0.20.2
ABOUT := 0.9.3
AUDITABLE := 0.7.7
CYCLONEDX := 0.5.9
MDBOOK := 0.5.4
CRANE := $(shell sed -n 's/.*go-containerregistry v\([0-9.]*\).*/\1/p' crates/packaging/go/go.mod 2>/dev/null | head -n1)
PROMTOOL := $(shell sed -n 's/.*prometheus\/prometheus v\([0-9.]*\).*/\1/p' tests/alerts/go.mod 2>/dev/null)
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/spideriq-operator/tools
BIN := $(or $(CARGO_TARGET_DIR),target)/debug
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
export PATH := $(TOOLS)/bin:$(PATH)

# Runs a part and says how long it took.
timed = @begun=$$SECONDS; echo "== $(1)"; $(2); echo "== $(1): $$((SECONDS - begun)) s"

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14

.PHONY: demo
demo: build ## Watch four jobs go through their lives on a real API server; KEEP=1 leaves it running, CLUSTER=current is the cluster of your kubeconfig
ifeq ($(CLUSTER),current)
	@exec bash tests/demo.sh current # in place of the shell, so that it gets the signals
else ifneq ($(CLUSTER),)
	@echo "demo: CLUSTER is current or left out" >&2; exit 1
else
	$(call timed,demo,$(BIN)/testbed run --installed --with helm -- bash tests/demo.sh)
endif

.PHONY: test
test: $(TOOLS)/nextest-$(NEXTEST) build ## Run every test, on a real control plane
	$(call timed,test,$(BIN)/testbed run --controller-manager --with helm$(comma)kstatus -- cargo nextest run --workspace --locked -E 'not binary(sim) and not binary(e2e)')
	$(call timed,doc tests,cargo test --quiet --workspace --doc --locked)
	@$(MAKE) --no-print-directory sim

.PHONY: build
build:
	$(call timed,build,cargo build --workspace --bins --locked)

.PHONY: lint
lint: $(TOOLS)/deny-$(DENY) ## Formatting, lints, licences and sources
	$(call timed,format,cargo fmt --all --check)
	$(call timed,lints,cargo clippy --workspace --all-targets --locked -- -D warnings && cargo clippy --features otlp --locked -- -D warnings)
	$(call timed,licences and sources,cargo deny --locked check --hide-inclusion-graph bans licenses sources)

.PHONY: audit
audit: $(TOOLS)/deny-$(DENY) ## Look for known weaknesses in what is built in: needs the public advisory database
	$(call timed,known weaknesses,cargo deny --locked check --hide-inclusion-graph advisories)

.PHONY: generate
generate: ## Write what is generated: CRDs, pages of the reference, reasons and metrics, what tests/plans say and the simulation comes to
	GENERATE=1 cargo test --locked --test generated --test plans --test docs
	GENERATE=1 cargo test --profile sim --locked --test sim written_down

.PHONY: sim
sim: ## Simulate crashes at every step, and random faults: SEEDS=2000 HARDER=1
# Optimised: a seed takes a tenth of the time, which pays for the build from some hundred seeds on.
	$(call timed,build of the simulation,cargo test --profile sim --locked --test sim --no-run)
	$(call timed,simulation,SIM_SEEDS=$(or $(SEEDS),2000) SIM_HARDER=$(or $(HARDER),1) cargo test --profile sim --locked --test sim -- --nocapture)

.PHONY: storm
storm: build ## Kills, lost replies and restarts of the API server, for real, on the release build: ROUNDS=4
	$(call timed,release build,cargo build --release --locked --bin spideriq-operator)
	$(call timed,storm,STORM_ROUNDS=$(or $(ROUNDS),4) OPERATOR="$$(realpath $(RELEASE))/spideriq-operator" $(BIN)/testbed run --with helm -- cargo test --locked --test cluster -- --nocapture storm::)

.PHONY: generate-chart
generate-chart: build ## Write what tests/chart says of each set of values
	GENERATE=1 $(BIN)/testbed run --with helm -- cargo test --locked --test cluster -- renders::

.PHONY: soak
soak: build ## Twenty tenants, of whom five try everything against the others, beside kills and lost replies: MINUTES=20
	$(call timed,release build,cargo build --release --locked --bin spideriq-operator)
	$(call timed,soak,SOAK_MINUTES=$(or $(MINUTES),20) OPERATOR="$$(realpath $(RELEASE))/spideriq-operator" $(BIN)/testbed run --with helm -- cargo test --workspace --locked --test cluster -- --nocapture soak::)

.PHONY: planted
planted: $(TOOLS)/nextest-$(NEXTEST) build ## Plant each bug of tests/planted into a copy, and say that the test it names catches it: ONLY=name
	$(call timed,planted bugs,TESTBED="$$(realpath $(BIN))/testbed" bash tests/planted/run.sh)

.PHONY: bench
bench: ## Measure what it costs, and write docs/benchmarks.md (about 45 minutes); PARTS="idle flight" prints these alone
	$(call timed,build,cargo build --workspace --bins --locked && cargo bench --locked --bench costs --no-run)
	$(call timed,release build,cargo build --release --locked --bin spideriq-operator)
	@cp $(RELEASE)/spideriq-operator $(RELEASE)/operator-to-measure # cargo bench puts its own build in that place
ifneq ($(PARTS),)
	$(call timed,bench,$(MEASURE))
else
	$(call timed,bench,$(MEASURE) | tee docs/benchmarks.md.new && sed -n '/^## Measured by hand/$(comma)$$p' docs/benchmarks.md | (echo; cat) >>docs/benchmarks.md.new && mv docs/benchmarks.md.new docs/benchmarks.md)
endif

.PHONY: docs
docs: $(TOOLS)/mdbook-$(MDBOOK) ## Make the site of the docs, with search, in SITE=target/docs
	@bash docs/site.sh "$(SITE)"

.PHONY: alerts
alerts: $(TOOLS)/promtool-$(PROMTOOL) ## Test that the chart's alerts fire when they should, and that its dashboard asks what Prometheus understands
	$(call timed,alerts,cd tests/alerts && promtool check rules ../../charts/spideriq-operator/files/alerts.yaml dashboard.rules.yaml && promtool test rules alerts.test.yaml)

.PHONY: argocd
argocd: ## Ask Argo CD's own engine how it shows every situation of tests/plans, and what it lets people do; the first build takes about 4 minutes
	$(call timed,argocd,cd tests/argocd && go run . ../../examples/argocd/resource_customizations/spideriq.ai/ScrapeJob/health.lua ../../examples/argocd/values.yaml ../plans)

.PHONY: otlp
otlp: build ## Build with the feature otlp, and have a collector decode the traces
	$(call timed,otlp,$(BIN)/testbed run --with helm -- cargo test --features otlp --locked --test cluster -- otlp::)

.PHONY: gitops
gitops: build ## Have the real controllers of Flux and Argo CD apply jobs and judge them; needs git, tar and redis-server, and the first build takes about 9 minutes
	@for needed in git tar redis-server; do command -v $$needed >/dev/null || { echo "gitops: $$needed is missing; on Debian: apt-get install git tar redis-server" >&2; exit 1; }; done
	$(call timed,build of the tests,cargo test --locked --test cluster --no-run)
	$(call timed,gitops,$(BIN)/testbed run --controller-manager --with helm$(comma)kustomize-controller$(comma)argo -- cargo test --locked --test cluster -- --ignored --nocapture gitops::)

.PHONY: image
image: image-tools ## Make the operator's image as an OCI archive, and its bill of materials, in IMAGE=target/image: ARCH=amd64
	$(call timed,image,$(PACKAGING) image --arch $(or $(ARCH),amd64) --out $(IMAGE))
	$(call timed,what is in it,IMAGE="$$(realpath $(IMAGE))" cargo test --quiet --locked --package packaging --test made -- --ignored)

.PHONY: release
release: image-tools $(TOOLS)/crane-$(CRANE) build ## Make the image twice, compare, and put all of a release into OUT=target/release-files; push it to REGISTRY=host/path
	$(call timed,release,OUT="$$(realpath -m $(OUT))" PATH="$$($(BIN)/testbed build helm | xargs dirname):$$PATH" bash crates/packaging/release.sh)

.PHONY: root
root: image-tools # Lays out what is in the image as a folder, for the Dockerfile: ROOT=folder
	$(PACKAGING) root --arch $(or $(ARCH),$(THIS)) --out $(ROOT)

.PHONY: image-tools
image-tools: $(TOOLS)/about-$(ABOUT) $(TOOLS)/auditable-$(AUDITABLE) $(TOOLS)/cyclonedx-$(CYCLONEDX)

.PHONY: e2e
e2e: image-tools $(TOOLS)/nextest-$(NEXTEST) build ## Prove image and chart with pods on a real node, with IPv4 and with IPv6 alone; needs root
	$(call timed,what a node needs,$(BIN)/testbed node check)
	$(call timed,images,$(PACKAGING) image --arch $(THIS) --out $(IMAGE) && $(PACKAGING) emulator --arch $(THIS) --out $(IMAGE))
	$(call timed,build of the tests,cargo nextest run --locked --test e2e --no-run)
	$(call timed,a node with IPv4,$(call on_a_node,,a_release_from_its_install_to_its_uninstall))
	$(call timed,a node with IPv6 alone,$(call on_a_node,--ipv6,pods_on_an_ipv6_only_network_find_and_are_found))

.PHONY: ci
ci: lint alerts test ## What has to pass before a change lands

.PHONY: clean
clean: ## Remove what was built here; the control plane and the tools stay in the cache folder
	cargo clean

comma := ,
IMAGE ?= target/image
OUT ?= target/release-files
SITE ?= target/docs
MEASURE = PARTS="$(PARTS)" OPERATOR="$$(realpath $(RELEASE))/operator-to-measure" $(BIN)/testbed run --with helm -- cargo bench --quiet --locked --bench costs
THIS := $(shell uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n1)
# Runs a test in the network of a node that has both images.
on_a_node = $(BIN)/testbed node run $(1) --images "$$(realpath $(IMAGE))/spideriq-operator-$(VERSION).oci.tar$(comma)$$(realpath $(IMAGE))/spideriq-emulator-$(VERSION).oci.tar" -- cargo nextest run --locked --test e2e --no-capture -E 'test(=life::$(2))'
PACKAGING := cargo run --quiet --locked --package packaging --

# One tool: name, version, minutes, options, and its crate where that is not cargo-NAME.
install = @echo "== installing $(or $(5),cargo-$(1)) $(2) through the crate registry, once, about $(3) minutes"; cargo install $(or $(5),cargo-$(1)) --version $(2) --locked --root $(TOOLS) $(4); touch $(TOOLS)/$(1)-$(2)

$(TOOLS)/nextest-$(NEXTEST):
	$(call install,nextest,$(NEXTEST),4)

$(TOOLS)/promtool-$(PROMTOOL): tests/alerts/go.sum
	@echo "== building promtool $(PROMTOOL) from its Go module, once, about 5 minutes"
	cd tests/alerts && go build -tags remove_all_sd -o $(TOOLS)/bin/promtool github.com/prometheus/prometheus/cmd/promtool
	@touch $@

$(TOOLS)/deny-$(DENY):
	$(call install,deny,$(DENY),4)

$(TOOLS)/about-$(ABOUT):
	$(call install,about,$(ABOUT),4,--features cli)

$(TOOLS)/auditable-$(AUDITABLE):
	$(call install,auditable,$(AUDITABLE),1)

$(TOOLS)/cyclonedx-$(CYCLONEDX):
	$(call install,cyclonedx,$(CYCLONEDX),2)

$(TOOLS)/mdbook-$(MDBOOK):
	$(call install,mdbook,$(MDBOOK),5,--no-default-features --features search,mdbook)

$(TOOLS)/crane-$(CRANE): crates/packaging/go/go.sum
	@echo "== building crane and a registry from their Go modules, once, about 2 minutes"
	cd crates/packaging/go && go build -o $(TOOLS)/bin/ github.com/google/go-containerregistry/cmd/crane github.com/distribution/distribution/v3/cmd/registry
	@touch $@
