use lucid_model::{
    epochs::{epoch::EpochRecord, receipt::epoch_root},
    id::PoolScope,
};
use lucid_ports::{Attempt, EpochStore, ScoreStore};
use lucid_store::OpenError;
use lucid_store_conformance::examples::*;
use lucid_store_conformance::mongo_server::with_database;
use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};

use super::{fresh, open};
use crate::MongoStore;

async fn refusal(url: &str) -> OpenError {
    MongoStore::open(url).await.err().unwrap()
}

#[tokio::test]
async fn a_url_that_makes_no_connection_is_refused_with_a_reason() {
    let refused = refusal("mongodb://host:notaport/").await;
    assert!(matches!(refused, OpenError::MongoUrl { .. }), "{refused:?}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = refusal(&format!("mongodb://{nobody}/x?serverSelectionTimeoutMS=200")).await;
    assert!(
        matches!(&refused, OpenError::MongoDatabase { database, .. } if database == "x"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_schema_is_left_alone() {
    let Some(url) = fresh() else { return };
    let store = open(&url);
    store
        .collection("meta")
        .update_one(doc! { "_id": "schema" }, doc! { "$set": { "schema": 99_i64 } })
        .await
        .unwrap();
    let refused = refusal(&url).await;
    assert!(
        matches!(refused, OpenError::MongoNewerSchema { found: 99, known: 6, .. }),
        "{refused:?}"
    );
}

/// Chunks that do not say between which nodes they are, of an epoch whose nodes do not have their
/// scores yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_score_is_found_in_what_an_earlier_version_staged() {
    let Some(url) = fresh() else { return };
    let (store, attempt) = (open(&url), Attempt::from_bytes([1; 12]));
    let chunks = vec![
        chunk(1, 0, PoolScope::Unassigned, vec![row(1, 10), row(3, 30)]),
        chunk(1, 1, PoolScope::Pool(pool_id(1)), vec![row(2, 20), row(4, 40)]),
    ];
    let record = EpochRecord { root: epoch_root(&chunks), ..epoch(1) };
    store.stage_chunks(period(1), attempt, chunks.clone()).await.unwrap();
    store.close_staged(record, attempt).await.unwrap().unwrap();
    let found = async || {
        for row in chunks.iter().flat_map(|chunk| &chunk.rows) {
            assert_eq!(
                store.score(HOUR, row.node).await.unwrap().map(|view| view.row),
                Some(row.clone())
            );
        }
        assert_eq!(store.score(HOUR, node_id(9)).await.unwrap(), None);
    };
    found().await;
    let forgotten = doc! { "$unset": { "node_min": "", "node_max": "" } };
    let told = store
        .database
        .collection::<Document>("chunks")
        .update_many(doc! { "node_max": { "$type": "binData" } }, forgotten)
        .await
        .unwrap();
    assert_eq!(told.modified_count, 2);
    found().await;
}

/// An index that nothing asks for any more makes each write dearer.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_an_earlier_version_is_taken_away() {
    let Some(url) = fresh() else { return };
    let live = open(&url).database.collection::<Document>("live");
    let options = IndexOptions::builder()
        .name("live_claims".to_owned())
        .partial_filter_expression(doc! { "claims.claim": { "$exists": true } });
    let earlier =
        IndexModel::builder().keys(doc! { "claims.claim": 1 }).options(options.build()).build();
    live.create_index(earlier).await.unwrap();
    assert!(live.list_index_names().await.unwrap().contains(&"live_claims".to_owned()));
    let found =
        open(&url).database.collection::<Document>("live").list_index_names().await.unwrap();
    assert!(
        !found.contains(&"live_claims".to_owned()) && found.contains(&"live_claimed".to_owned()),
        "{found:?}"
    );
}

#[test]
fn a_database_is_put_into_a_uri() {
    for (uri, expected) in [
        ("mongodb://a:1,b:2/?x=y", "mongodb://a:1,b:2/db?x=y"),
        ("mongodb://a", "mongodb://a/db"),
        ("mongodb+srv://u:p@a/other?x=y", "mongodb+srv://u:p@a/db?x=y"),
    ] {
        assert_eq!(with_database(uri, "db"), expected);
    }
}
