"""A scoring policy in Python: a node's multiplier is its uptime, and half of it where many share an address."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.scoring import Explanation, Scores
from wit_world.imports.types import Batch, Context, Description, Param, PolicyError

ONE = 1_000_000
FACTS = ["uptime-ppm", "nodes-same-ip"]
CROWDED = "too many nodes at one address"


def multiplier(uptime: int, neighbours: int, neighbours_max: int) -> int:
    """Whole numbers only: a float may differ in its last digit from one interpreter to the next."""
    return uptime // 2 if neighbours > neighbours_max else uptime


def rows(ctx: Context, nodes: Batch):
    (neighbours_max,) = ctx.params
    if len(nodes.columns) != len(FACTS):
        raise Err(PolicyError(1, f"was given {len(nodes.columns)} columns for {len(FACTS)} facts"))
    uptimes, neighbours = nodes.columns
    return [(multiplier(u, n, neighbours_max), n > neighbours_max) for u, n in zip(uptimes, neighbours)]


class Scoring(exports.Scoring):
    def describe(self) -> Description:
        doc = "Nodes at one address beyond which each gets half."
        return Description(FACTS, [Param("nodes-per-ip-max", "count", 4, 1, 1_000, doc)])

    def score(self, ctx: Context, nodes: Batch) -> Scores:
        found = rows(ctx, nodes)
        reasons = [1 if crowded else 0 for _, crowded in found]
        return Scores([value for value, _ in found], reasons, [CROWDED])

    def explain(self, ctx: Context, nodes: Batch) -> Explanation:
        return Explanation(["uptime-weight"], [[min(value, ONE) for value, _ in rows(ctx, nodes)]])
