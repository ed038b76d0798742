#!/usr/bin/env bash
# Holds the dependencies to deny.toml: licences, second versions, banned crates, sources; advisories where their database can be had. Exit 1 if
# something is not allowed.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/lucid/deny-$version
[ -x "$tools/bin/cargo-deny" ] || cargo install --quiet --locked --root "$tools" "cargo-deny@$version"
"$tools/bin/cargo-deny" --locked check --hide-inclusion-graph licenses bans sources
if ! "$tools/bin/cargo-deny" --locked fetch db > /dev/null 2>&1; then
    echo "skipped: advisories; their database cannot be had here"
    exit
fi
"$tools/bin/cargo-deny" --locked check --hide-inclusion-graph advisories
