#!/usr/bin/env bash
# Follows plugins/TUTORIAL.md: runs its shell blocks in order, in an empty folder, with the debug build. Then the other
# kinds of new policies are built and checked as they are:
#
#   scripts/check-tutorial.sh
#
# Without a WebAssembly toolchain, curl or jq the line is `skipped: …`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
for tool in curl jq; do
    command -v "$tool" > /dev/null || { echo "skipped: the tutorial: there is no $tool"; exit 0; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$root/scripts/wasm-toolchain.sh" > "$dir/toolchain" 2> "$dir/toolchain.log" || {
    echo "skipped: the tutorial: no WebAssembly toolchain can be had: $(tail -n 1 "$dir/toolchain.log")"
    exit 0
}
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
{
    echo 'set -euo pipefail'
    # A service that is still there when a step fails must not outlive it.
    echo 'trap "kill %1 2> /dev/null || true; wait" EXIT'
    sed -n '/^```sh$/,/^```$/{/^```/!p}' "$root/plugins/TUTORIAL.md" | sed "s/8095/$port/g"
    echo 'cd ..'
    for kind in validation payout; do
        echo "lucid policy new $kind new-$kind"
        echo "( cd new-$kind; cargo test; lucid policy build; lucid policy check bundles/*/* )"
    done
} > "$dir/steps.sh"
mkdir "$dir/work"
cd "$dir/work"
# What the policies of the checkout have built already serves here, too.
export CARGO_TARGET_DIR=$root/plugins/target/check
seconds=$SECONDS
if ! env PATH="$root/target/debug:$PATH" NO_COLOR=1 RUST_LOG=warn timeout --kill-after=10 600 bash "$dir/steps.sh" > "$dir/log" 2>&1; then
    cat "$dir/log"
    echo "check-tutorial: failed in plugins/TUTORIAL.md"
    exit 1
fi
echo "check-tutorial: every step of plugins/TUTORIAL.md works, $((SECONDS - seconds)) s"
