#!/usr/bin/env bash
# Builds every policy under plugins/ for WebAssembly and writes its bundle:
#
#   scripts/build-plugins.sh [POLICIES_DIR [HOSTILE_DIR]]
#
# The same sources give the same bytes wherever the tree, Cargo's home and the toolchain lie; scripts/check-plugins.sh
# holds the committed bundles to that.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
plugins=$root/plugins
policies=$(realpath -m "${1:-$root/policies}")
hostile=$(realpath -m "${2:-$plugins/hostile/bundles}")
target=wasm32-unknown-unknown
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-$plugins/target}")
export CARGO_TARGET_DIR
note() { printf 'build-plugins: %s\n' "$*" >&2; }

cd "$plugins"
toolchain=$CARGO_TARGET_DIR/toolchain.txt
mkdir -p "$CARGO_TARGET_DIR"
env_file=$("$root/scripts/wasm-toolchain.sh")
cargo fetch --locked --quiet

( # The environment chooses the compiler of guests, which must not leak into the builder below.
    # shellcheck source=/dev/null
    . "$env_file"
    rustc=${RUSTC:-rustc}
    sysroot=$("$rustc" --print sysroot)
    sources=$sysroot/lib/rustlib/src/rust

    # Panic messages carry source paths, and crate identities are derived from flags: both must be the same everywhere.
    # A remap also tells Cargo to leave the flags out of a crate's identity. Where two prefixes match, the last one wins.
    remap="--remap-path-prefix=$sources=/rust --remap-path-prefix=$plugins=/plugins"
    [ ! -d "$sources" ] || remap+=" --remap-path-prefix=$(realpath "$sources")=/rust"
    for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
        remap+=" --remap-path-prefix=${registry%/}=/crates"
    done
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS+=" $remap"

    # The official std says /rustc/<commit>/ where a path would stand. One that was built on some machine carries
    # that machine's paths, which no flag can remap afterwards: it is built again, with the flags above.
    std=()
    if ! grep -qaE '/rustc/[0-9a-f]{40}/library' "$sysroot/lib/rustlib/$target/lib"/libcore-*.rlib; then
        note "std carries paths of the machine that built it: building it again (about 90 s, kept in the target folder)"
        export RUSTC_BOOTSTRAP=1
        std=(-Zbuild-std=std,panic_abort)
    fi
    cargo build --locked --release --target "$target" --workspace --exclude lucid-policy-builder "${std[@]}"
    # Cargo derives crate identities, so its version decides about bytes too.
    { echo "$("$rustc" -V), $(cargo -V)"; "$CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER" -V; } > "$toolchain"
)

components=$CARGO_TARGET_DIR/$target/release
for home in "$root" "${CARGO_HOME:-$HOME/.cargo}" "$HOME"; do
    # Home may be / in a container, and that is in every component.
    [ "${#home}" -gt 1 ] || continue
    if leaking=$(grep -laF "$home/" "$components"/*.wasm); then
        note "components carry a path of this machine: $leaking"
        exit 1
    fi
done
cargo run --locked --quiet -p lucid-policy-builder -- --plugins "$plugins" --components "$components" \
    --policies "$policies" --hostile "$hostile" \
    --compiler "$(sed -n 1p "$toolchain")" --linker "$(sed -n 2p "$toolchain")"
