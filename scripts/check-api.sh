#!/usr/bin/env bash
# Checks the API's document against the running service: lint, clients made from it, requests nobody thought of.
#
#   scripts/check-api.sh [--deep]     --deep: more requests, for minutes instead of one
#
# The service is the debug build, on a free port and a store of its own, in the sandbox; it is stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
deep=false
[ "${1:-}" = --deep ] && deep=true
. "$(scripts/api-tools.sh)"
skipped=0

dir=$(mktemp -d)
service=
stop() {
    [ -z "$service" ] || { kill "$service" 2>/dev/null; wait "$service"; } || true
    rm -rf "$dir"
}
trap stop EXIT
export JWT_SECRET="checks of the API only, 32 bytes or more"
# Nothing is limited by number: thousands of requests are sent here.
settings=(RAIL=sandbox NODE_MANAGEMENT_PORT=0 LUCID_SERVER_BIND=127.0.0.1
    LUCID_LIMITS_{ADMIN,PAYOUTS,POOT,REGISTRATIONS,OTHER}_PER_MIN=0 LUCID_AUTH_NODES_PER_{OWNER,IP,IPV4_24,IPV6_64,WALLET}_MAX=0)
env "${settings[@]}" ./target/debug/lucid serve --data "$dir/data" > "$dir/log" 2>&1 &
service=$!
base=
for _ in $(seq 300); do
    address=$(sed -n 's/.*"lucid serves","address":"\([^"]*\)".*/\1/p' "$dir/log")
    [ -z "$address" ] || { base=http://$address; break; }
    kill -0 "$service" 2>/dev/null || break
    sleep 0.1
done
[ -n "$base" ] || { cat "$dir/log" >&2; echo "check-api: the service did not start" >&2; exit 1; }
token() { ./target/debug/lucid token issue --role "$1" --subject "$2"; }
admin=$(token super_admin checker)
owner=$(token node_operator owner)

echo "check-api: document"
cat > "$dir/fetch.py" <<'PY'
import sys, urllib.request
sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], timeout=10).read())
PY
python3 "$dir/fetch.py" "$base/openapi.json" > "$dir/openapi.json"

if [ -n "$API_NODE" ]; then
    echo "check-api: lint"
    "$API_NODE/node_modules/.bin/spectral" lint --ruleset .spectral.yaml --fail-severity hint "$dir/openapi.json"
    echo "check-api: client"
    # Beside node_modules, where the compiler looks for what the program imports.
    work=$(mktemp -d "$API_NODE/work.XXXXXX")
    trap 'rm -rf "$work"; stop' EXIT
    cp tests/clients/typescript/{check.ts,tsconfig.json} "$work"
    "$API_NODE/node_modules/.bin/openapi-typescript" "$dir/openapi.json" --default-non-nullable=false --output "$work/api.d.ts" > "$dir/generate.log"
    ( cd "$work" && "$API_NODE/node_modules/.bin/tsc" )
    LUCID_URL=$base LUCID_TOKEN=$owner node "$work/out/check.js"
else
    skipped=$((skipped + 2))
fi

echo "check-api: generated clients"
mkdir "$dir/clients"
more=$(LUCID_URL=$base LUCID_TOKEN=$owner scripts/check-clients.sh "$dir/openapi.json" "$dir/clients" $($deep && echo --deep))
skipped=$((skipped + more))

if [ -n "$API_SCHEMATHESIS" ]; then
    fuzz() { # $1: who, $2: token, rest: how much
        echo "check-api: requests as $1"
        local who=$1 bearer=$2
        shift 2
        ( cd "$dir" && SCHEMATHESIS_HOOKS="$OLDPWD/tests/clients/schemathesis/hooks.py" "$API_SCHEMATHESIS" \
            --config-file "$OLDPWD/tests/clients/schemathesis/schemathesis.toml" run "$base/openapi.json" --header "Authorization: Bearer $bearer" \
            --checks all --no-color "$@" > "$who.log" 2>&1 ) || { cat "$dir/$who.log"; return 1; }
        grep -E '[0-9]+ generated,|in [0-9.]+s =' "$dir/$who.log"
    }
    if $deep; then
        fuzz admin "$admin" --max-examples 200
        fuzz owner "$owner" --max-examples 100
    else
        fuzz admin "$admin" --max-examples 5 --generation-deterministic
        fuzz owner "$owner" --max-examples 3 --generation-deterministic --phases fuzzing,stateful
    fi
    if grep -q '"level":"ERROR"' "$dir/log"; then
        grep '"level":"ERROR"' "$dir/log" | head -n 5 >&2
        echo "check-api: the service logged errors" >&2
        exit 1
    fi
else
    skipped=$((skipped + 1))
fi
echo "check-api: passed, $skipped skipped"
