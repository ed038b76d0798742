"""What a schema cannot say: forms with a checksum, and fields that depend on each other."""

import base64
import hashlib
import itertools
import uuid
from datetime import datetime, timedelta, timezone

import schemathesis
from hypothesis import strategies as st

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Points of the curve: RFC 8032, section 7.1.
PUBLIC_KEYS = [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
]


def tron_address(payload: bytes) -> str:
    body = b"\x41" + payload
    raw = body + hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return text


schemathesis.openapi.format("tron-address", st.binary(min_size=20, max_size=20).filter(any).map(tron_address))
schemathesis.openapi.format("ed25519-public-key", st.sampled_from([base64.b64encode(bytes.fromhex(key)).decode() for key in PUBLIC_KEYS]))
schemathesis.openapi.format("ed25519-signature", st.binary(min_size=64, max_size=64).map(lambda data: base64.b64encode(data).decode()))
schemathesis.openapi.format("ip-address", st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str))
schemathesis.openapi.format("wasm-component", st.binary(min_size=1, max_size=64).map(lambda data: base64.b64encode(data).decode()))
# RFC 3339 from 1970 on, as the schema's pattern says; by default years before are generated and thrown away.
instants = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(timezone.utc))
schemathesis.openapi.format("date-time", instants.map(lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z")))


REGISTRATIONS = ("/api/v1/nodes", "/api/v1/nodes/register")


def is_valid(case) -> bool:
    """Whether the request is meant to be a valid one."""
    return case.meta is not None and case.meta.generation.mode.is_positive


def instant(text) -> datetime | None:
    """A time, unless it is something else by the same name: unknown fields may hold anything."""
    try:
        at = datetime.fromisoformat(text.upper())
    except (AttributeError, ValueError):
        return None
    return at if at.tzinfo else None


def order_times(value) -> None:
    """A session ends after it starts."""
    if isinstance(value, list):
        for item in value:
            order_times(item)
    elif isinstance(value, dict):
        times = [value.get(name) for name in ("start_time", "end_time")]
        if all(map(instant, times)):
            start, end = sorted(times, key=instant)
            # Below a millisecond is cut off.
            if instant(end) - instant(start) < timedelta(milliseconds=1):
                start, end = "2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z"
            value["start_time"], value["end_time"] = start, end
        for item in value.values():
            order_times(item)


def has_null(value) -> bool:
    """Whether a field is `null` somewhere, which is the same as absent: a document that says so is of no use to generators of clients."""
    if isinstance(value, dict):
        return any(item is None or has_null(item) for item in value.values())
    return isinstance(value, list) and any(map(has_null, value))


@schemathesis.hook
def filter_case(context, case):
    # HTTP's headers are open: a header that nobody knows is no reason to refuse a request.
    known = "x-schemathesis-unknown-property" not in {name.lower() for name in (case.headers or {})}
    return known and not has_null(case.body)


# What was made on the way, by the name that paths and fields have for it: requests about it get further than
# those about an id that nobody has.
made = {"node": [], "pool": [], "enrolment": []}
MAKERS = {"/api/v1/nodes": "node", "/api/v1/nodes/register": "node", "/api/v1/pools": "pool", "/api/v1/enrolment-tokens": "enrolment"}
PLACES = {"node": "/nodes/{id}", "pool": "/pools/{id}", "enrolment": "/enrolment-tokens/{id}"}
turns = itertools.count()


@schemathesis.hook
def after_call(context, case, response):
    kind = MAKERS.get(case.operation.path)
    if kind and case.method == "POST" and response.status_code == 201:
        made[kind].append(response.json()[f"{kind}_id"])


def use_what_was_made(case) -> None:
    """Puts a thing that is there into every other request that is about one; a list of steps has its own ids."""
    if case.meta.phase.name.value == "stateful" or case.method == "DELETE" or next(turns) % 2:
        return
    for kind, ids in made.items():
        for place in (case.path_parameters, case.query, case.body) if ids else ():
            # A registration's `node_id` is the client's own name for the node.
            if isinstance(place, dict) and f"{kind}_id" in place and case.operation.path not in MAKERS:
                place[f"{kind}_id"] = ids[-1]
        if ids and PLACES[kind] in case.operation.path:
            case.path_parameters["id"] = ids[-1]


@schemathesis.hook
def before_call(context, case, kwargs):
    if is_valid(case):
        use_what_was_made(case)
        order_times(case.body)
        order_range(case.query)
        names = {name.lower(): name for name in (case.headers or {})}
        # A key that was used for another request is refused; the generated client repeats one.
        if "idempotency-key" in names:
            case.headers[names["idempotency-key"]] = str(uuid.uuid4())
        # Tags that no record has are refused; every other time one that any has is sent.
        if "if-match" in names and next(turns) % 2:
            case.headers[names["if-match"]] = "*"
        sign_whole(case, names)
        address_whole(case)
        say_enough(case.operation.path, case.body)


USAGES = ("cpu_usage", "memory_usage", "disk_usage")


def say_enough(path, body) -> None:
    """Of some fields one is there at least, and a transaction with what was paid."""
    if not isinstance(body, dict):
        return
    if path == "/api/v1/nodes/register" and not body.keys() & {"node_id", "name", "operator_id"}:
        body["name"] = "a node"
    if path.endswith("/metrics"):
        for sample in [*body.get("samples", []), body.get("metrics"), None if body.keys() & {"samples", "metrics"} else body]:
            if isinstance(sample, dict) and not sample.keys() & set(USAGES):
                sample["cpu_usage"] = 1
    if path.endswith("/observations") and "observations" not in body:
        body.setdefault("session_id", str(uuid.uuid4()))
        body.setdefault("start_time", "2026-01-01T00:00:00.000Z")
        body.setdefault("end_time", "2026-01-01T00:30:00.000Z")
        body.setdefault("quality_score", 1)
        order_times(body)
    for resolution in body.get("resolutions", []) if path.endswith("/payouts/resolutions") else []:
        if isinstance(resolution, dict):
            resolution.pop("transaction_id", None)
            if resolution.get("outcome") == "paid":
                resolution["transaction_id"] = uuid.uuid4().hex


def order_range(query) -> None:
    """A time span of a list has an end after its start."""
    times = [(query or {}).get(name) for name in ("from", "to")]
    if all(map(instant, times)):
        start, end = sorted(times, key=instant)
        if instant(end) - instant(start) < timedelta(milliseconds=1):
            start, end = "2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z"
        query["from"], query["to"] = start, end


def sign_whole(case, names) -> None:
    """A signature comes with what it is over, or not at all."""
    path = case.operation.path
    if path.endswith("/keys/rotate"):
        return
    if path in REGISTRATIONS:
        needed = {"x-lucid-timestamp", "x-lucid-nonce"}
    else:
        needed = set() if path.endswith("/wallet") else {"x-lucid-sequence"}
    if not needed <= names.keys() and "x-lucid-signature" in names:
        del case.headers[names.pop("x-lucid-signature")]
    # A key comes with a signature by it.
    if "x-lucid-signature" not in names and isinstance(case.body, dict):
        case.body.pop("public_key", None)


def address_whole(case) -> None:
    """Address and port come together, or not at all."""
    if case.operation.path == "/api/v1/nodes/register" and isinstance(case.body, dict):
        if (case.body.get("ip_address") is None) != (case.body.get("port") is None):
            case.body.pop("ip_address", None)
            case.body.pop("port", None)
