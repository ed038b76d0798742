// Uses the client that is generated from the document as its user would; the exit code says whether it works.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Node = components["schemas"]["NodeBody"];
type UpdateNode = components["schemas"]["UpdateNodeRequest"];

const { LUCID_URL: baseUrl, LUCID_TOKEN: token } = process.env;
assert(baseUrl && token, "LUCID_URL and LUCID_TOKEN are needed");
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const registered = await client.POST("/api/v1/nodes", {
  body: { name: "typed", ip_address: "198.51.100.77", port: 9077, configuration: { max_sessions: 5 } },
});
assert.equal(registered.response.status, 201, JSON.stringify(registered.error));
const node: Node | undefined = registered.data;
assert(node, "a registration answers with the node");
assert.equal(registered.response.headers.get("location"), `/api/v1/nodes/${node.node_id}`);
const path = { id: node.node_id };

const listed = await client.GET("/api/v1/nodes", { params: { query: { sort: "name", order: "asc", limit: 100 } } });
assert(listed.data, "a list");
assert(listed.data.nodes.some((one) => one.node_id === node.node_id), "the list has the node");
const total: number = listed.data.pagination.total;
assert(total >= 1);

const read = await client.GET("/api/v1/nodes/{id}", { params: { path } });
assert.equal(read.data?.configuration.max_sessions, 5);
assert.equal(read.data.pool_id ?? "none", "none", "what has no value is left out");

const change: UpdateNode = { description: "changed", configuration: { resource_limits: { max_cpu_usage: 70 } } };
const updated = await client.PUT("/api/v1/nodes/{id}", { params: { path }, body: change });
assert.equal(updated.data?.description, "changed");
assert.equal(updated.data.configuration.resource_limits.max_cpu_usage, 70);
assert.equal(updated.data.configuration.max_sessions, 5, "what an update does not name stays");

// What was sent and not answered is sent again: it is carried out once.
const keyed = {
  params: { header: { "Idempotency-Key": `check-${node.node_id}` } },
  body: { name: "typed, repeated", ip_address: "198.51.100.78", port: 9078 },
};
const first = await client.POST("/api/v1/nodes", keyed);
const again = await client.POST("/api/v1/nodes", keyed);
assert.equal(first.response.status, 201, JSON.stringify(first.error));
assert.equal(again.response.status, 201, JSON.stringify(again.error));
assert.equal(again.data?.node_id, first.data?.node_id, "a repeat under one key has the same node");
assert.equal(first.response.headers.get("idempotency-replayed"), null);
assert.equal(again.response.headers.get("idempotency-replayed"), "true");
const other = await client.POST("/api/v1/nodes", { ...keyed, body: { ...keyed.body, port: 9079 } });
assert.equal(other.response.status, 422, "a key stands for one request");
assert(first.data);
await client.DELETE("/api/v1/nodes/{id}", { params: { path: { id: first.data.node_id } } });

// The tag of the first reading is stale since the update above; the newest one is not.
const stale = read.response.headers.get("etag");
const newest = updated.response.headers.get("etag");
assert(stale && newest && stale !== newest, "answers have tags, and a change has another one");
const rename = (tag: string) =>
  client.PUT("/api/v1/nodes/{id}", { params: { path, header: { "If-Match": tag } }, body: { name: "renamed" } });
const tooLate = await rename(stale);
assert.equal(tooLate.response.status, 412, JSON.stringify(tooLate.error));
const inTime = await rename(newest);
assert.equal(inTime.data?.name, "renamed", JSON.stringify(inTime.error));
const current = inTime.response.headers.get("etag");
assert(current);
const unchanged = await client.GET("/api/v1/nodes/{id}", { params: { path, header: { "If-None-Match": current } } });
assert.equal(unchanged.response.status, 304);

const refused = await client.PUT("/api/v1/nodes/{id}", { params: { path }, body: { configuration: { max_sessions: 101 } } });
assert.equal(refused.response.status, 400);
assert(refused.error && "error" in refused.error, "an error has the contract's form");
assert.equal(refused.error.error.code, "LUCID_ERR_4001" satisfies components["schemas"]["ErrorCode"]);
assert.equal(refused.error.error.details["field"], "configuration.max_sessions");

const deleted = await client.DELETE("/api/v1/nodes/{id}", { params: { path } });
assert.equal(deleted.response.status, 204);
// @ts-expect-error: a status that no node has is an error of the compiler.
const wrong = await client.GET("/api/v1/nodes", { params: { query: { status: "asleep" } } });
assert.equal(wrong.response.status, 400);
console.log(`client: registered, repeated, listed, read, updated, refused and deleted ${node.node_id}`);
