#!/usr/bin/env bash
# Builds every policy under plugins/ for WebAssembly and writes its bundle:
#
#   scripts/build-plugins.sh [POLICIES_DIR [HOSTILE_DIR]]
#
# `lucid policy build` does it, as for any other policy (LUCID names another binary than the debug build). The same
# sources give the same bytes wherever the tree, Cargo's home and the toolchain lie; scripts/check-plugins.sh holds the
# committed bundles to that.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
plugins=$root/plugins
policies=$(realpath -m "${1:-$root/policies}")
hostile=$(realpath -m "${2:-$plugins/hostile/bundles}")
if [ -z "${LUCID:-}" ]; then
    # The target folder of guests is none of the host's.
    ( cd "$root"; env -u CARGO_TARGET_DIR cargo build --locked --quiet --bin lucid )
    LUCID=$root/target/debug/lucid
fi
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-$plugins/target}")
export CARGO_TARGET_DIR
exec "$LUCID" policy build "$plugins" --locked --out "$policies" --hostile "$hostile"
