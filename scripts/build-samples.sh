#!/usr/bin/env bash
# Builds the policies of plugins/samples into the cache, where the tests look for them:
#
#   scripts/build-samples.sh
#
# Where a tool cannot be had it says `skipped: …` and goes on. What is there already and newer than its sources stays.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lucid
version=0.25.0
source=$root/plugins/samples/python/app.py
built=$cache/samples/python/policy.wasm
tool=$cache/componentize-py-$version
[ "$built" -nt "$source" ] && exit

if [ ! -x "$tool/bin/componentize-py" ]; then
    rm -rf "$tool"
    if ! { python3 -m venv "$tool" && timeout 200 "$tool/bin/pip" install -q "componentize-py==$version"; } > /dev/null 2>&1; then
        rm -rf "$tool"
        echo "skipped: the Python sample; componentize-py cannot be had here"
        exit
    fi
fi
mkdir -p "$(dirname "$built")"
cd "$root/plugins/samples/python"
# Whole or not at all, since another build may look at the same time.
"$tool/bin/componentize-py" -d "$root/wit/v1" -w scoring-policy componentize app -o "$built.$$" > /dev/null
mv "$built.$$" "$built"
echo "$built"
