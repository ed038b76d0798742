#!/usr/bin/env bash
# Lays out the root of the image, of which nothing else is needed: scripts/image-root.sh BINARY FOLDER
# The binary with the libraries that it is linked to, the built-in policies, the certificates of public authorities, an empty /data.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1 root=$2
mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/data" "$root/lib64"
cp "$binary" "$root/usr/local/bin/lucid"
ldd "$binary" | grep --only-matching '/[^ ]*' | while read -r library; do
    # Where it is looked for, not where links lead.
    mkdir -p "$root$(dirname "$library")"
    cp --dereference "$library" "$root$library"
done
cp -r policies "$root/policies"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
