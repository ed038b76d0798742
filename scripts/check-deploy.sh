#!/usr/bin/env bash
# Checks what is committed for running and watching the service: the compose files against the Compose specification, rules and their tests with
# promtool, the dashboard as JSON. Installs the two tools where the machine can: promtool from its packages, the schema's checker into a folder of
# its own. Exit 1 if something does not hold, 2 if a tool cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
missing() { echo "$1 cannot be had: $2" >&2; exit 2; }
command -v promtool > /dev/null || apt-get install --yes --no-install-recommends prometheus > /dev/null 2>&1 || missing promtool "install the package prometheus"
tools=${XDG_CACHE_HOME:-$HOME/.cache}/lucid/deploy-tools
[ -x "$tools/bin/check-jsonschema" ] || { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet check-jsonschema==0.39.0; } ||
    missing check-jsonschema "it comes from PyPI"
"$tools/bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml deploy/stack.yaml
promtool check config deploy/prometheus/prometheus.yaml
promtool test rules deploy/prometheus/rules.test.yaml
python3 -m json.tool deploy/grafana/lucid.json > /dev/null
echo "deploy: compose files, rules and dashboard are in order"
