//! What is asked often is found by an index. The queries are those of the ports; a server that
//! explains them otherwise than by an index names them here.

use std::io::Write;

use lucid_model::fleet::{node::NodeStatus, pool::PoolStatus};
use lucid_ports::NodeFilter;
use lucid_store_conformance::examples::*;
use mongodb::bson::{Bson, Document, doc};

use super::{fresh, open};
use crate::{MongoStore, fields::id, fleet::nodes::filtered};

/// A query that has to be found by an index.
struct Asked {
    what: &'static str,
    query: Document,
    /// By mongod: servers of its protocol that plan only the plainest questions read everything.
    by_mongod: bool,
}

fn find(what: &'static str, collection: &str, filter: Document, sort: Document) -> Asked {
    Asked {
        what,
        query: doc! { "find": collection, "filter": filter, "sort": sort },
        by_mongod: false,
    }
}

fn by_mongod(asked: Asked) -> Asked {
    Asked { by_mongod: true, ..asked }
}

fn asked_of_nodes() -> Vec<Asked> {
    let list = |what, filter: NodeFilter, key: &str| {
        find(what, "nodes", filtered(&filter), doc! { key: 1, "_id": 1 })
    };
    let owned = NodeFilter { owner: Some(owner_id(1)), ..NodeFilter::default() };
    let active = NodeFilter { status: Some(NodeStatus::Active), ..NodeFilter::default() };
    let pooled = NodeFilter { pool: Some(pool_id(1)), ..NodeFilter::default() };
    let mut asked = vec![
        list("a pool's nodes", pooled, "created_at"),
        find(
            "the fleet",
            "nodes",
            doc! { "live": true, "_id": { "$gt": id(node_id(1).0) } },
            doc! { "_id": 1 },
        ),
        by_mongod(find(
            "nodes at an address",
            "nodes",
            doc! { "live": true, "network": "v4:1.2.3", "ip": "1.2.3.4" },
            doc! {},
        )),
        by_mongod(find(
            "nodes that stand by",
            "nodes",
            doc! { "live": true, "status": "active", "pool": Bson::Null },
            doc! { "_id": 1 },
        )),
        find("nodes of a network", "nodes", doc! { "live": true, "network": "v4:1.2.3" }, doc! {}),
        find("nodes of a wallet", "nodes", doc! { "live": true, "wallet_address": "T" }, doc! {}),
        find(
            "counts of pools",
            "nodes",
            doc! { "live": true, "pool": { "$in": [id(pool_id(1).0), id(pool_id(2).0)] } },
            doc! {},
        ),
        find("all of an owner", "nodes", doc! { "owner": id(owner_id(1).0) }, doc! {}),
        by_mongod(find(
            "a node by its key",
            "nodes",
            doc! { "live": true, "public_key": Bson::Int32(1) },
            doc! {},
        )),
        by_mongod(find(
            "slots of a pool",
            "nodes",
            doc! { "pool": id(pool_id(1).0), "slot": { "$exists": true } },
            doc! {},
        )),
        by_mongod(find(
            "entries to drain",
            "nodes",
            doc! { "audit.id": { "$exists": true } },
            doc! {},
        )),
    ];
    for key in ["created_at", "updated_at", "score", "name"] {
        asked.extend([
            list("nodes", NodeFilter::default(), key),
            list("an owner's", owned.clone(), key),
            list("active ones", active.clone(), key),
        ]);
    }
    asked
}

fn asked_of_the_rest() -> Vec<Asked> {
    let node = id(node_id(1).0);
    let range = |to: &str, from: &str| doc! { "node": { "$in": [node.clone()] }, to: { "$gte": 0_i64 }, from: { "$lt": 9_i64 } };
    let mut asked = vec![
        find(
            "active pools",
            "pools",
            doc! { "live": true, "status": PoolStatus::Active.name() },
            doc! { "created_at": 1, "_id": 1 },
        ),
        by_mongod(find(
            "newer activations",
            "activations",
            doc! { "_id": { "$gte": 3_i64 } },
            doc! { "_id": 1 },
        )),
        find(
            "requests to forget",
            "requests",
            doc! { "expires_at": { "$lte": 3_i64 } },
            doc! { "expires_at": 1 },
        ),
        by_mongod(find(
            "buckets of a range",
            "samples",
            range("last_at", "first_at"),
            doc! { "node": 1, "number": 1 },
        )),
        by_mongod(find("presence of a range", "presence", range("to_ms", "from_ms"), doc! {})),
        by_mongod(find(
            "sessions of a range",
            "sessions",
            range("to_ms", "from_ms"),
            doc! { "node": 1, "from_ms": 1, "_id": 1 },
        )),
        find("the last closed epoch", "epochs", doc! { "state": "closed" }, doc! { "_id": -1 }),
        find(
            "a node's scores",
            "scores",
            doc! { "node": &node },
            doc! { "calculated_at": 1, "epoch_start_s": 1 },
        ),
        find(
            "a head of the ledger",
            "ledger",
            doc! { "stream": "treasury" },
            doc! { "stream": 1, "seq": -1 },
        ),
        find(
            "the outbox",
            "payouts",
            doc! { "closed": false },
            doc! { "next_attempt_at": 1, "created_at": 1, "_id": 1 },
        ),
        find(
            "an owner's payouts",
            "payouts",
            doc! { "owner": &node },
            doc! { "created_at": 1, "_id": 1 },
        ),
        by_mongod(find(
            "payments of nodes",
            "payouts",
            doc! { "node": { "$in": [node.clone()] }, "state": "confirmed", "processed_at": { "$gte": 0_i64, "$lt": 9_i64 } },
            doc! { "node": 1, "processed_at": 1 },
        )),
        find(
            "active alerts",
            "alerts",
            doc! { "active": true, "_id": { "$gt": &node } },
            doc! { "_id": 1 },
        ),
        find(
            "a node's active alerts",
            "alerts",
            doc! { "node": &node, "active": true },
            doc! { "raised_at": 1, "_id": 1 },
        ),
        find(
            "a node's alerts",
            "alerts",
            doc! { "node": &node },
            doc! { "raised_at": 1, "_id": 1 },
        ),
        find(
            "alerts to forget",
            "alerts",
            doc! { "cleared_at": { "$lt": 9_i64 } },
            doc! { "cleared_at": 1 },
        ),
        by_mongod(find(
            "deliveries that are due",
            "deliveries",
            doc! { "webhook": &node, "state": "pending", "next_attempt_at": { "$lte": 9_i64 } },
            doc! { "next_attempt_at": 1, "_id": 1 },
        )),
        find(
            "a webhook's deliveries",
            "deliveries",
            doc! { "webhook": &node },
            doc! { "created_at": 1, "_id": 1 },
        ),
        find(
            "deliveries to forget",
            "deliveries",
            doc! { "created_at": { "$lt": 9_i64 } },
            doc! { "created_at": 1 },
        ),
        by_mongod(find(
            "buckets to roll up",
            "samples",
            doc! { "node": { "$in": [node.clone()] }, "rolled": Bson::Null },
            doc! {},
        )),
        by_mongod(find(
            "rollups of nodes",
            "rollups",
            doc! { "node": { "$in": [node.clone()] }, "hour": { "$gte": 0_i64, "$lt": 9_i64 } },
            doc! {},
        )),
        by_mongod(find(
            "buckets to forget",
            "samples",
            doc! { "node": { "$in": [node.clone()] }, "last_at": { "$lt": 9_i64 }, "rolled": true },
            doc! {},
        )),
        find("a frame's chunks", "frame_chunks", doc! { "staged": "x" }, doc! { "idx": 1 }),
        find(
            "how a period is shared",
            "distribution_pieces",
            doc! { "staged": "x" },
            doc! { "idx": 1 },
        ),
        find(
            "open runs",
            "runs",
            doc! { "state": { "$in": ["planned", "approved"] } },
            doc! { "created_at": 1, "_id": 1 },
        ),
        find(
            "votes that are due",
            "votes",
            doc! { "state": "pending", "epoch_start_s": { "$in": [1_i64] } },
            doc! { "epoch_start_s": 1, "node": 1 },
        ),
        find("the end of a chain", "audit_links", doc! { "writer": &node }, doc! { "seq": -1 }),
        find("links of entries", "audit_links", doc! { "ids": { "$in": [node.clone()] } }, doc! {}),
        find("links to list", "audit_links", doc! { "unlisted": true }, doc! {}),
        find(
            "a chain's entries",
            "audit",
            doc! { "writer": &node, "place": { "$gt": 3_i64 } },
            doc! { "place": 1 },
        ),
        find("claims to fold", "live", doc! { "claims.claim": { "$exists": true } }, doc! {}),
    ];
    for word in ["actor", "action", "subject"] {
        asked.push(find("the log of one", "audit", doc! { word: "x" }, doc! { "at": 1, "_id": 1 }));
    }
    asked
}

/// Whether the plan that wins reads a whole collection.
fn scans(plan: &Document) -> bool {
    plan.get_str("stage").is_ok_and(|stage| stage == "COLLSCAN")
        || plan.get_document("inputStage").is_ok_and(scans)
        || plan.get_document("queryPlan").is_ok_and(scans)
        || plan
            .get_array("inputStages")
            .is_ok_and(|stages| stages.iter().filter_map(Bson::as_document).any(scans))
}

async fn explained(store: &MongoStore, query: &Document) -> Option<bool> {
    let told = store
        .database
        .run_command(doc! { "explain": query.clone(), "verbosity": "queryPlanner" })
        .await
        .ok()?;
    Some(scans(told.get_document("queryPlanner").ok()?.get_document("winningPlan").ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_often_is_found_by_an_index() {
    let Some(url) = fresh() else { return };
    let store = open(&url);
    let asked: Vec<_> = asked_of_nodes().into_iter().chain(asked_of_the_rest()).collect();
    let mut scanned = Vec::new();
    let mut skipped = 0;
    // Whether it is one shows the plainest question that only mongod answers by an index: one whose
    // filter asks for `$exists`.
    let key = asked
        .iter()
        .find(|asked| asked.what == "a node by its key")
        .map(|asked| asked.query.clone())
        .unwrap_or_default();
    let plans_all = explained(&store, &key).await == Some(false);
    for Asked { what, query, by_mongod } in &asked {
        match explained(&store, query).await {
            Some(true) if !by_mongod || plans_all => scanned.push(format!("{what}: {query}")),
            None | Some(true) => skipped += 1,
            Some(false) => {}
        }
    }
    if skipped > 0 {
        writeln!(
            std::io::stderr(),
            "skipped: {skipped} of {} plans: this server does not explain them, or plans them worse than mongod does",
            asked.len()
        )
        .unwrap();
    }
    assert!(scanned.is_empty(), "{scanned:#?}");
    assert!(skipped < asked.len(), "a server that explains nothing is none to test with");
}
