use mongodb::bson::doc;

use super::{fresh, open, server::with_database};
use crate::{MongoStore, OpenError};

async fn refusal(url: &str) -> OpenError {
    MongoStore::open(url).await.err().unwrap()
}

#[tokio::test]
async fn a_url_that_makes_no_connection_is_refused_with_a_reason() {
    let refused = refusal("mongodb://host:notaport/").await;
    assert!(matches!(refused, OpenError::MongoUrl { .. }), "{refused:?}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = refusal(&format!("mongodb://{nobody}/x?serverSelectionTimeoutMS=200")).await;
    assert!(matches!(&refused, OpenError::MongoDatabase { database, .. } if database == "x"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_schema_is_left_alone() {
    let Some(url) = fresh() else { return };
    let store = open(&url);
    store.collection("meta").update_one(doc! { "_id": "schema" }, doc! { "$set": { "schema": 99_i64 } }).await.unwrap();
    let refused = refusal(&url).await;
    assert!(matches!(refused, OpenError::MongoNewerSchema { found: 99, known: 4, .. }), "{refused:?}");
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
