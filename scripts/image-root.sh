#!/usr/bin/env bash
# Builds the binary of the image and lays out the image's root, of which nothing else is needed: scripts/image-root.sh FOLDER
# The binary with the libraries that it is linked to, the built-in policies, the certificates of public authorities, an empty /data.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$1
# Functions that are alike are there once, and relocations take a bit each: together a twentieth of the binary.
cargo rustc --profile image --locked --bin lucid -- -C link-arg=-Wl,--icf=safe -C link-arg=-Wl,-z,pack-relative-relocs
binary=target/image/lucid
mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/data" "$root/lib64"
cp "$binary" "$root/usr/local/bin/lucid"
ldd "$binary" | grep --only-matching '/[^ ]*' | while read -r library; do
    # Where it is looked for, not where links lead.
    mkdir -p "$root$(dirname "$library")"
    cp --dereference "$library" "$root$library"
done
cp -r policies "$root/policies"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
