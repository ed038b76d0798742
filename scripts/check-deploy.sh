#!/usr/bin/env bash
# Checks what is committed for those who watch the service: rules and their tests with promtool, the dashboard as JSON. Installs promtool if the
# machine's packages have it. Exit 1 if something does not hold, 2 if there is no promtool.
set -euo pipefail
cd "$(dirname "$0")/../deploy"
if ! command -v promtool > /dev/null; then
    apt-get install --yes --no-install-recommends prometheus > /dev/null 2>&1 || { echo "no promtool: install the package prometheus" >&2; exit 2; }
fi
promtool check config prometheus/prometheus.yaml
promtool test rules prometheus/rules.test.yaml
python3 -m json.tool grafana/lucid.json > /dev/null
echo "deploy: rules and dashboard are in order"
