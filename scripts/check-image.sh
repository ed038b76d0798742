#!/usr/bin/env bash
# Builds the image with podman and runs it as it is meant to be run: not root, nothing writable but /data, no capability. The binary is built on this
# machine, so that no other image is needed. Exit 1 if something does not hold, 2 if podman cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
size_max=$((60 * 1000 * 1000))
if ! command -v podman > /dev/null; then
    apt-get install --yes --no-install-recommends buildah podman runc netavark uidmap iptables aardvark-dns > /dev/null 2>&1 ||
        { echo "podman cannot be had: install it" >&2; exit 2; }
fi
work=$(mktemp -d)
name=lucid-check-$$
stop() {
    podman rm --force --time 1 "$name" > /dev/null 2>&1 || true
    podman volume rm --force "$name" > /dev/null 2>&1 || true
    rm -rf "$work"
}
trap stop EXIT
# Works inside a container as well: no systemd, no limits of others, the network of the machine.
cat > "$work/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "host"
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
export CONTAINERS_CONF=$work/containers.conf
scripts/image-root.sh "$work/build/out"
podman build --quiet --isolation=chroot --format docker --build-context "build=$work/build" --tag lucid:check --file deploy/Dockerfile . > /dev/null
size=$(podman image inspect --format '{{.Size}}' lucid:check)
echo "image: $size bytes"
[ "$size" -le "$size_max" ] || { echo "it is larger than $size_max bytes" >&2; exit 1; }

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
head -c 48 /dev/urandom | base64 > "$work/jwt"
chmod 444 "$work/jwt"
podman run --detach --name "$name" --read-only --cap-drop ALL --security-opt no-new-privileges --volume "$name:/data" \
    --volume "$work/jwt:/run/secrets/jwt:ro" --env JWT_SECRET_FILE=/run/secrets/jwt --env RAIL=sandbox --env NODE_MANAGEMENT_PORT="$port" \
    --env LUCID_SERVER_BIND=127.0.0.1 lucid:check > /dev/null
for _ in $(seq 100); do
    if podman exec "$name" /usr/local/bin/lucid health > /dev/null 2>&1; then break; fi
    sleep 0.2
done
podman exec "$name" /usr/local/bin/lucid health || { podman logs "$name" | tail -n 20 >&2; exit 1; }
token=$(podman exec "$name" /usr/local/bin/lucid token issue --role admin --ttl 5m)
python3 - "$port" "$token" <<'PYTHON'
import json, sys, urllib.request
request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/api/v1/policies/active", headers={"authorization": f"Bearer {sys.argv[2]}"})
active = json.load(urllib.request.urlopen(request))["active"]
assert {entry["kind"] for entry in active} == {"scoring", "validation", "payout"}, active
PYTHON
process=$(podman inspect --format '{{.State.Pid}}' "$name")
[ "$(awk '/^Uid:/ { print $2 }' "/proc/$process/status")" = 10001 ] || { echo "it does not run as user 10001" >&2; exit 1; }
grep --quiet '^CapEff:[[:space:]]*0*$' "/proc/$process/status" || { echo "it has capabilities" >&2; exit 1; }
podman exec "$name" /usr/local/bin/lucid store backup --data /data /data/backup > /dev/null
podman stop --time 20 "$name" > /dev/null
code=$(podman inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || { echo "it ended with $code" >&2; exit 1; }
echo "image: built, healthy, not root, read-only, policies active, backed up, stopped"
