"""Imports all of the client that openapi-python-client made, and uses it against a running service."""

import importlib
import os
import pkgutil

import lucid_client
from lucid_client import AuthenticatedClient
from lucid_client.api.nodes import delete_node, list_nodes, register_node
from lucid_client.api.telemetry import send_metrics
from lucid_client.models import MetricsRequest, NodeList, RegisterNodeRequest, SampleRequest

modules = [module.name for module in pkgutil.walk_packages(lucid_client.__path__, "lucid_client.")]
for name in modules:
    importlib.import_module(name)

client = AuthenticatedClient(base_url=os.environ["LUCID_URL"], token=os.environ["LUCID_TOKEN"])
wanted = RegisterNodeRequest(name="python", ip_address="198.51.100.99", port=9099)
node = register_node.sync_detailed(client=client, body=wanted)
assert node.status_code == 201, node.content
node_id = str(node.parsed.node_id)
listed = list_nodes.sync(client=client, limit=100)
assert isinstance(listed, NodeList) and node_id in [str(one.node_id) for one in listed.nodes], listed
sample = MetricsRequest(samples=[SampleRequest(cpu_usage=12.5, memory_usage=30.0)])
told = send_metrics.sync_detailed(node_id, client=client, body=sample)
assert told.status_code == 200 and told.parsed.accepted == 1, told.content
assert delete_node.sync_detailed(node_id, client=client).status_code == 204
print(f"openapi-python-client: {len(modules)} modules imported; registered, listed, measured and deleted {node_id}")
