#!/usr/bin/env bash
# Gets what the tests run against where it is missing: a Redis server; strace, which kills the service at chosen points and says in which
# order it writes and sends; faketime, which gives a replica a clock of its own; nginx, which sends requests to replicas in turn.
# (The MongoDB server gets itself: scripts/mongo-server.sh.)
# Where one cannot be had the tests over it say `skipped: …`.
set -euo pipefail
missing=()
command -v redis-server > /dev/null || missing+=(redis-server)
command -v strace > /dev/null || missing+=(strace)
command -v faketime > /dev/null || missing+=(faketime)
command -v nginx > /dev/null || missing+=(nginx)
[ ${#missing[@]} -gt 0 ] || exit 0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    install() { DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -y --no-install-recommends "${missing[@]}"; }
    { install || { timeout 120 apt-get update && install; }; } > "$log" 2>&1 && exit
fi
echo "skipped: the tests over ${missing[*]}: not there, and cannot be installed here: $(tail -n 1 "$log")"
