#!/usr/bin/env bash
# Writes target/sbom/lucid.cdx.json: every crate that is linked into `lucid`, with versions, licences and checksums, as CycloneDX. What is committed
# counts, not what lies about.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.5.9
tools=${XDG_CACHE_HOME:-$HOME/.cache}/lucid/cyclonedx-$version
[ -x "$tools/bin/cargo-cyclonedx" ] || cargo install --quiet --locked --root "$tools" "cargo-cyclonedx@$version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git archive HEAD | tar --extract --directory "$work"
(cd "$work" && "$tools/bin/cargo-cyclonedx" cyclonedx --format json --spec-version 1.5 --target "$(rustc --print host-tuple)" --override-filename sbom > /dev/null)
mkdir -p target/sbom
mv "$work/sbom.json" target/sbom/lucid.cdx.json
python3 - target/sbom/lucid.cdx.json <<'PYTHON'
import json, sys
document = json.load(open(sys.argv[1]))
parts = document["components"]
without = [part["name"] for part in parts if not part.get("licenses")]
names = {part["name"] for part in parts}
if document["bomFormat"] != "CycloneDX" or not {"wasmtime", "rusqlite", "mongodb", "tokio"} <= names or without:
    sys.exit(f"the list is not whole: {len(parts)} parts, without a licence: {without}")
print(f"{sys.argv[1]}: {len(parts)} components, each with its licence")
PYTHON
