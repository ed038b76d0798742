#!/usr/bin/env bash
# Rebuilds every policy and compares it with the committed bundle:
#
#   scripts/check-plugins.sh [DIR]
#
# The same toolchain must give the same bytes. Another one may not, but must give the same answers: the rebuilt
# bundles are left in DIR (or REBUILT_POLICIES_DIR), for the host to run their golden cases.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
rebuilt=$(realpath -m "${1:-${REBUILT_POLICIES_DIR:-$(mktemp -d)}}")
# Its own target folder, so that nothing the ordinary build left behind is compared with itself; only std and
# dependencies from the registry are kept from one check to the next.
export CARGO_TARGET_DIR=$root/plugins/target/check
if [ -d "$CARGO_TARGET_DIR" ]; then
    ( cd "$root/plugins"; cargo metadata --no-deps --locked --offline --format-version 1 |
        grep -o '"name":"[^"]*","version":"[^"]*","id":"path' | cut -d'"' -f4 | sed 's/^/-p /' |
        xargs cargo clean --quiet --locked --offline --release --target wasm32-unknown-unknown )
fi
rm -rf "$rebuilt/policies" "$rebuilt/hostile"
"$root/scripts/build-plugins.sh" "$rebuilt/policies" "$rebuilt/hostile"

value() { sed -n "s/^$2 = \"\(.*\)\"\$/\1/p" "$1"; }
failed=0
other=
compare() { # $1: folder of committed bundles, $2: folder of rebuilt ones
    local bundle name committed key
    for bundle in "$2"/*/*/; do
        name=${bundle#"$2"/}
        committed=$1/$name
        if [ ! -f "$committed/policy.toml" ]; then
            echo "${name%/}: not committed; run scripts/build-plugins.sh"
            failed=1
            continue
        fi
        # Cases are no matter of toolchains.
        if [ -d "$bundle/golden" ] && ! diff -rq "$committed/golden" "$bundle/golden"; then failed=1; fi
        local differs=
        for key in compiler linker wit_bindgen; do
            [ "$(value "$committed/policy.toml" $key)" = "$(value "$bundle/policy.toml" $key)" ] && continue
            differs+="${differs:+, }$key $(value "$bundle/policy.toml" $key) instead of $(value "$committed/policy.toml" $key)"
        done
        if [ -n "$differs" ]; then
            other=$differs
        elif ! cmp "$committed/policy.wasm" "$bundle/policy.wasm" || ! diff "$committed/policy.toml" "$bundle/policy.toml"; then
            echo "${name%/}: same toolchain, other bundle"
            failed=1
        fi
    done
}
compare "$root/policies" "$rebuilt/policies"
compare "$root/plugins/hostile/bundles" "$rebuilt/hostile"
[ "$failed" = 0 ] || exit 1
if [ -n "$other" ]; then
    echo "other toolchain ($other): golden outputs must be equal"
    echo "rebuilt bundles: $rebuilt/policies"
else
    echo "same toolchain, same bytes"
fi
