#!/usr/bin/env bash
# Gets what the tests run against where it is missing: a Redis server. (The MongoDB server gets itself:
# scripts/mongo-server.sh.) Where it cannot be had the tests over it say `skipped: …`.
set -euo pipefail
command -v redis-server > /dev/null && exit
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    install() { DEBIAN_FRONTEND=noninteractive timeout 120 apt-get install -y --no-install-recommends redis-server; }
    { install || { timeout 120 apt-get update && install; }; } > "$log" 2>&1 && exit
fi
echo "skipped: the tests over Redis: there is no redis-server, and it cannot be installed here: $(tail -n 1 "$log")"
