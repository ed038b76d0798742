#!/usr/bin/env bash
# Provides the tools that check the API, pinned, and prints the path of an env file to source:
#
#   . "$(scripts/api-tools.sh)"
#
# It sets API_NODE (a directory with node_modules: linter, generator, compiler), API_SCHEMATHESIS (a program) and API_GENERATORS (a
# directory with Python's bin: generators of clients); each is empty, with a line `skipped: …` on standard error, where the tool cannot be had. They live in a cache outside the
# project, one directory for each list of versions.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=$(realpath -m "${API_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/lucid/api-tools}")
mkdir -p "$cache"
note() { printf 'api-tools: %s\n' "$*" >&2; }
hash_of() { cat "$@" | sha256sum | cut -c1-16; }

# A directory is used only when it is complete: an installation that was cut off is made again.
provide() { # $1: directory, $2: what it is, rest: how to make it
    local dir=$1 what=$2
    shift 2
    [ -f "$dir/.complete" ] && return
    note "installing $what in $dir"
    rm -rf "$dir"
    mkdir -p "$dir"
    if "$@" "$dir" > "$dir.log" 2>&1; then
        touch "$dir/.complete"
    else
        printf 'skipped: %s cannot be installed: %s\n' "$what" "$(tail -n 1 "$dir.log")" >&2
        return 1
    fi
}
npm_install() {
    cp tests/clients/typescript/package.json tests/clients/typescript/package-lock.json "$1"
    ( cd "$1" && timeout 300 npm ci --no-audit --no-fund --ignore-scripts )
}
pip_install() { # $1: the list of packages, $2: the directory
    python3 -m venv "$2" && timeout 300 "$2/bin/pip" install --quiet --require-virtualenv -r "$1"
}

node=$cache/node-$(hash_of tests/clients/typescript/package.json tests/clients/typescript/package-lock.json)
provide "$node" "the linter and the client generator (npm)" npm_install || node=
python=$cache/python-$(hash_of tests/clients/schemathesis/requirements.txt)
provide "$python" "schemathesis (pip)" pip_install tests/clients/schemathesis/requirements.txt || python=
generators=$cache/generators-$(hash_of tests/clients/generated/requirements.txt)
provide "$generators" "generators of clients (pip)" pip_install tests/clients/generated/requirements.txt || generators=
cat > "$cache/env.sh" <<ENV
API_NODE=$node
API_SCHEMATHESIS=${python:+$python/bin/schemathesis}
API_GENERATORS=$generators
ENV
echo "$cache/env.sh"
