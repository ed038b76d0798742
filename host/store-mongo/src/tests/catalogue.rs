//! What the database has: collections and indices, as a page that a test compares with the code.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use crate::index::{self, Partial};

/// A collection and what it holds.
struct Holding {
    collection: &'static str,
    holds: &'static str,
}

const fn holding(collection: &'static str, holds: &'static str) -> Holding {
    Holding { collection, holds }
}

/// All collections, by what they are about.
const COLLECTIONS: &[Holding] = &[
    holding(
        "meta",
        "the schema's number; what the store was made for (the stamp); the greatest fence of a payer; the mark of a copy that is not finished; what replicas write to see that writing works",
    ),
    holding(
        "nodes",
        "a node each, live or gone, with its places under caps and its slot in a pool; blocks of slots",
    ),
    holding("pools", "a pool each; removed ones stay without a name that counts"),
    holding("enrolments", "an enrolment token each, by its digest"),
    holding("requests", "a request with an idempotency key each, for a day: claim and answer"),
    holding("policy_versions", "a bundle each, without its component"),
    holding("policy_chunks", "components in pieces of 8 MiB, by digest and place"),
    holding("activations", "the activations of one call each, by the revision they are based on"),
    holding("policy_reports", "what the gate found, the newest 256, by id, which grows with time"),
    holding("imports", "files of the watched folder that were looked at, by digest"),
    holding(
        "live",
        "what is newest of a node, and what is not yet in buckets or sessions; one each",
    ),
    holding("samples", "buckets of samples, packed"),
    holding(
        "rollups",
        "an hour of a node each: rolled up as a whole, and in five minutes until those are forgotten",
    ),
    holding("presence", "stretches in which a node was witnessed"),
    holding("sessions", "an observation session each"),
    holding("frames", "the name of an epoch's frame: what was known when it was scored"),
    holding("frame_chunks", "the frames' rows, packed"),
    holding("epochs", "an epoch each, being closed or closed"),
    holding("chunks", "an epoch's scores as they were hashed"),
    holding("scores", "a score each, by epoch and node"),
    holding("latest_scores", "the newest score of each node"),
    holding("on_demand", "receipts of scores that were asked for"),
    holding("votes", "a vote each, with what became of it"),
    holding("vote_lists", "an epoch's votes while it is being closed"),
    holding("ledger", "an entry each, with balances after it; insert-only"),
    holding("adjustments", "a receipt each that adjusts a score of a closed epoch"),
    holding(
        "proposals",
        "what a treasurer says became of a payout, or of several, or about a balance, each",
    ),
    holding("payments_switch", "whether payments are frozen; one document"),
    holding("shadows", "a policy version each that runs beside the active one"),
    holding("shadow_results", "what a shadow said about a period each"),
    holding("settlements", "a settled period each"),
    holding(
        "distributions",
        "the name of how a period is shared, which was kept before anything of it was booked",
    ),
    holding("distribution_pieces", "how a period is shared, packed, until it is settled"),
    holding("runs", "a payout run each"),
    holding("payouts", "a payout each"),
    holding(
        "alerts",
        "an alert about a node each, active or over; those that are over for a while",
    ),
    holding("webhooks", "an endpoint each; removed ones stay without address and secret"),
    holding(
        "deliveries",
        "an event on its way to a webhook each, and what became of it; for a week",
    ),
    holding("audit", "the audit log's entries with their places"),
    holding("audit_links", "the links of the audit log's chains"),
    holding("audit_seals", "the audit log's seals"),
];

/// The page, in Markdown.
fn page() -> String {
    let mut page = String::from(HEAD);
    for Holding { collection, holds } in COLLECTIONS {
        let _ = write!(page, "\n## {collection}\n\n{holds}\n");
        let mut indices = index::all().filter(|index| index.collection == *collection).peekable();
        if indices.peek().is_some() {
            page.push_str("\n| index | keys | | of documents with | what it keeps apart or serves |\n|---|---|---|---|---|\n");
        }
        for index in indices {
            let keys: Vec<_> = index
                .keys
                .iter()
                .map(|(key, way)| if *way < 0 { format!("−{key}") } else { (*key).to_owned() })
                .collect();
            let unique = if index.unique { "unique" } else { "" };
            let partial = match index.partial {
                Some(Partial::Where(filter)) => format!("`{}`", filter()),
                Some(Partial::Sparse) => "a value of its keys".to_owned(),
                None => String::new(),
            };
            let _ = writeln!(
                page,
                "| {} | {} | {unique} | {partial} | {} |",
                index.name,
                keys.join(", "),
                index.why
            );
        }
    }
    page
}

const HEAD: &str = "# The MongoDB database

Written from `src/mongo` by `UPDATE_GOLDEN=1 cargo test -p lucid-store catalogue`; a test compares. Every collection has the index on
`_id` besides. All indices are made at the start of the service, and `lucid doctor` looks for them; more may be added by hand, none may be
missing: the unique ones are what keeps two replicas apart. Why it is so: [decisions 11](../../docs/adr/0011-mongodb.md) and
[12](../../docs/adr/0012-mongodb-epochs-and-money.md).
";

#[test]
fn the_page_about_the_database_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("MONGODB.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page(),
        "{} is not what the code says: UPDATE_GOLDEN=1 cargo test -p lucid-store catalogue",
        path.display()
    );
}

#[test]
fn every_index_is_of_a_collection_that_is_listed_and_has_a_name_of_its_own_there() {
    let mut seen = BTreeSet::new();
    for index in index::all() {
        assert!(
            COLLECTIONS.iter().any(|holding| holding.collection == index.collection),
            "{}",
            index.collection
        );
        assert!(seen.insert((index.collection, index.name)), "{}.{}", index.collection, index.name);
        assert!(!index.why.is_empty());
    }
}
