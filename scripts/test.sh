#!/usr/bin/env bash
# Everything that is checked on every change, each part with how long it took: `make test`.
#
# clippy-driver compiles and lints in one pass, so that nothing is compiled twice. Tests of the suite wait for services
# more than they compute: TEST_THREADS of them run at once.
set -euo pipefail
cd "$(dirname "$0")/.."
lucid=$PWD/target/debug/lucid
times=$(mktemp)
trap 'printf "\n%8s  part\n" seconds; cat "$times"; printf "%8d  together\n" $SECONDS; rm -f "$times"' EXIT

part() { # what, command and arguments
    local what=$1 began=$SECONDS
    shift
    "$@"
    printf '%8d  %s\n' $((SECONDS - began)) "$what" >> "$times"
}
linting() { RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-Dwarnings__CLIPPY_HACKERY__ "$@"; }
tests() { RUST_TEST_THREADS=${TEST_THREADS:-4} linting cargo test --locked --workspace; }
plugins() { (cd plugins && cargo test --locked); }
rebuilt() {
    LUCID=$lucid scripts/check-plugins.sh target/rebuilt-policies
    "$lucid" policy check target/rebuilt-policies/policies/*/*
}
deploy() { scripts/check-deploy.sh || [ $? -eq 2 ]; } # 2: a tool cannot be had here

part "test servers" scripts/test-servers.sh
part "sample policies" scripts/build-samples.sh
part "compiling and linting" linting cargo build --locked --workspace --all-targets
part "tests" tests
part "tests of policies" plugins
part "policies rebuilt" rebuilt
part "tutorial" scripts/check-tutorial.sh
part "API from outside" scripts/check-api.sh
part "image, chart, stack" deploy
