# The commands of the README. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help run test test-deep forms soak perf bench bench-peers plugins lint sbom image fuzz

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: ## build, then run everything on this machine with the sandbox; ARGS="--port 8096" and so on
	cargo build --locked
	./target/debug/lucid up $(ARGS)

lint: forms ## formatting, frozen interfaces, lints
	cargo clippy --locked --workspace --all-targets -- -D warnings

forms:
	cargo fmt --check
	cd wit/v1 && sha256sum --quiet --check SHA256SUMS
	cd benches/peers && cargo fmt --check

test: forms ## everything that is checked on every change, and how long each part took; TEST_THREADS=4
	scripts/test.sh

test-deep: ## what takes longer: many kills, many requests, the perf floors
	KILLS=40 cargo test --locked --workspace --test suite -- --nocapture kill
	SEEDS=100000 cargo test --locked --workspace --test suite -- --nocapture simulation
	KILLS=200 cargo test --locked --workspace --test suite -- --nocapture epochs::kills
	STORM_KILLS=300 cargo test --locked --workspace --test suite -- --nocapture payer_storm
	CRASH_POINTS=all cargo test --locked --workspace --test suite -- --nocapture crash_points
	PROXY_REPORT_S=25 PRESENCE_WORLDS=2000 cargo test --locked --workspace --test suite -- --nocapture proxied presence
	scripts/mutants.sh
	scripts/check-image.sh
	scripts/sbom.sh
	scripts/check-deps.sh
	CHAOS_SECONDS=600 cargo test --locked --workspace --test suite -- --nocapture chaos
	cargo build --locked
	scripts/check-api.sh --deep
	$(MAKE) perf

TARGET ?= component
SECONDS ?= 60
fuzz: ## mutate what nobody vouches for; TARGET=manifest|component|golden|archive|answer SECONDS=60
	FUZZ_SECONDS=$(SECONDS) cargo test --locked -p lucid-engine --test engine untrusted::$(TARGET) -- --exact --nocapture

MINUTES ?= 120
soak: ## a fleet that works for hours: whether memory and latency stay what they are; MINUTES=120
	cargo build --locked --release --workspace --bin lucid --bin soak
	./target/release/soak ./target/release/lucid $(MINUTES)

perf: ## a 30 s run against the floors: registrations, PoOT, collection; exit 1 below them
	cargo build --locked --release --workspace --bin lucid --bin perf
	./target/release/perf ./target/release/lucid

bench: ## measure: policies against plain Rust, the API against bare axum and the disk, swaps, copies, time series, epochs, MongoDB against its driver
	cargo bench --locked --workspace
	cargo build --locked --release --workspace --bins
	./target/release/api ./target/release/lucid
	./target/release/swap ./target/release/lucid
	./target/release/store_copy
	./target/release/series
	./target/release/ingest ./target/release/lucid
	./target/release/epoch
	./target/release/votes ./target/release/lucid
	./target/release/money ./target/release/lucid
	./target/release/mongo ./target/release/lucid

bench-peers: ## measure: the default policy's formula in plain Rust, Lucid, LuaJIT, CEL, Rhai and Rego; writes docs/peers.svg and docs/peers.json
	cargo run --locked --release --manifest-path benches/peers/Cargo.toml

plugins: ## rebuild the policies from source into policies/
	scripts/build-plugins.sh

sbom: ## write the list of all that is linked into the binary: target/sbom/lucid.cdx.json
	scripts/sbom.sh

image: ## build the container image
	podman build --isolation=chroot -t lucid -f deploy/Dockerfile .
