//! What somebody with the file in hand can do, and how it is noticed.

use std::{path::Path, sync::Arc, time::Duration};

use ed25519_dalek::{Signer, SigningKey};
use lucid_model::{
    audit::{
        chain::LinkDraft,
        seal::{Seal, SealStatement},
        verify::{Flaw, Trust},
    },
    fleet::node::PublicKey,
    id::{Digest, FamilyId},
    time::TimeMs,
};
use lucid_ports::{AuditStore, NodeStore, StoreError};
use lucid_service::{AuditVerified, verify_audit};
use lucid_store::OpenError;
use lucid_store_conformance::examples::*;
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    CORE, SqliteStore,
    audit::{add, close_link, open_audit_log},
    fault::Fault,
    writer::{Pace, Writer},
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

async fn seal(store: &dyn AuditStore, seed: u8) {
    let last = store.last_audit_seal().await.unwrap();
    let statement = SealStatement {
        family: FamilyId(uuid::Uuid::from_u128(3)),
        seq: last.as_ref().map_or(0, |seal| seal.statement.seq) + 1,
        previous: last.as_ref().map_or(Digest::default(), Seal::digest),
        at: TimeMs(6_000),
        key: PublicKey(key(seed).verifying_key().to_bytes()),
        heads: store.audit_heads().await.unwrap(),
    };
    let signature = key(seed).sign(&statement.bytes()).to_bytes();
    assert!(store.add_audit_seal(Seal { statement, signature }).await.unwrap());
}

/// Six entries in six links; a seal after the fourth and after the last.
async fn filled() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    for i in 1..=6 {
        store.register_node(registration(node(i))).await.unwrap();
        if [4, 6].contains(&i) {
            seal(&store, 7).await;
        }
    }
    dir
}

/// Does to the closed file what no program of ours would.
fn tamper(dir: &Path, sql: &str) {
    let connection = Connection::open(dir.join("core.db")).unwrap();
    for table in ["audit_is", "audit_links_are", "audit_seals_are"] {
        connection
            .execute_batch(&format!(
                "DROP TRIGGER {table}_never_updated; DROP TRIGGER {table}_never_deleted"
            ))
            .unwrap();
    }
    connection.execute_batch(sql).unwrap();
}

async fn verified(dir: &Path) -> AuditVerified {
    let log = open_audit_log(dir).unwrap();
    let trust = Trust { keys: vec![PublicKey(key(7).verifying_key().to_bytes())], seal: None };
    verify_audit(&*log, &trust, &mut |_| {}).await.unwrap()
}

async fn flaw_after(sql: &str) -> Option<Flaw> {
    let dir = filled().await;
    tamper(dir.path(), sql);
    verified(dir.path()).await.flaw
}

#[tokio::test]
async fn an_untouched_log_is_intact_and_sealed() {
    let dir = filled().await;
    let found = verified(dir.path()).await;
    assert_eq!(
        (
            found.flaw,
            found.progress.links,
            found.progress.entries,
            found.progress.seals,
            found.entries_unsealed
        ),
        (None, 6, 6, 2, 0)
    );
}

#[tokio::test]
async fn no_statement_of_ours_changes_the_log() {
    let dir = filled().await;
    let store = SqliteStore::open(dir.path()).unwrap();
    for table in ["audit", "audit_links", "audit_seals", "audit_writer"] {
        let column = if table == "audit_writer" {
            "id"
        } else if table == "audit" {
            "actor"
        } else {
            "seq"
        };
        for sql in
            [format!("UPDATE {table} SET {column} = {column}"), format!("DELETE FROM {table}")]
        {
            let refused: Result<(), StoreError> =
                store.core.write(move |c| c.execute_batch(&sql).map_err(Fault::from)).await;
            assert!(refused.unwrap_err().to_string().contains("insert-only"), "{table}");
        }
    }
}

#[tokio::test]
async fn a_changed_removed_inserted_or_moved_entry_is_named() {
    let changed = |flaw: Option<Flaw>| match flaw {
        Some(Flaw::EntriesChanged { link, first, last, .. }) => (link, first, last),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        changed(flaw_after("UPDATE audit SET actor = 'mallory' WHERE number = 3").await),
        (3, 3, 3)
    );
    assert_eq!(
        changed(flaw_after("UPDATE audit SET before = NULL WHERE number = 3").await),
        (3, 3, 3)
    );
    let swap = "UPDATE audit SET number = 99 WHERE number = 3; UPDATE audit SET number = 3, link = 3 WHERE number = 4; \
                UPDATE audit SET number = 4, link = 4 WHERE number = 99";
    assert_eq!(changed(flaw_after(swap).await), (3, 3, 3));
    let missing =
        |flaw: Option<Flaw>| matches!(flaw, Some(Flaw::EntryMissing { link: 3, place: 3, .. }));
    assert!(missing(flaw_after("DELETE FROM audit WHERE number = 3").await));
    let insert = "INSERT INTO audit SELECT 7, 7, at + 1, id, 'mallory', action, subject, detail, request_id, before, after FROM audit WHERE number = 1";
    assert!(matches!(flaw_after(insert).await, Some(Flaw::EntryUnlinked { place: 7, .. })));
    let hidden = "PRAGMA ignore_check_constraints = 1; \
                  INSERT INTO audit SELECT -5, 1, at - 1, id, 'mallory', action, subject, detail, request_id, before, after FROM audit WHERE number = 1";
    assert_eq!(flaw_after(hidden).await, Some(Flaw::StrayEntries { found: 7, chained: 6 }));
    assert!(matches!(
        flaw_after("UPDATE audit SET link = 2 WHERE number = 3").await,
        Some(Flaw::EntryMoved { place: 3, says: 2, .. })
    ));
}

#[tokio::test]
async fn a_link_that_is_changed_or_cut_off_is_named() {
    let flaw = flaw_after("UPDATE audit_links SET entries = randomblob(32) WHERE seq = 3").await;
    assert!(matches!(flaw, Some(Flaw::EntriesChanged { link: 3, .. })), "{flaw:?}");
    let flaw = flaw_after("DELETE FROM audit_links WHERE seq = 3").await;
    assert!(matches!(flaw, Some(Flaw::LinkMissing { seq: 3, .. })), "{flaw:?}");
    let flaw =
        flaw_after("DELETE FROM audit_links WHERE seq > 4; DELETE FROM audit WHERE number > 4")
            .await;
    assert!(matches!(flaw, Some(Flaw::SealedLinkMissing { seal: 2, link: 6, .. })), "{flaw:?}");
    let flaw = flaw_after("DELETE FROM audit_links WHERE seq = 6").await;
    assert!(matches!(flaw, Some(Flaw::EntryUnlinked { place: 6, .. })), "{flaw:?}");
}

#[tokio::test]
async fn what_no_seal_covers_yet_can_be_cut_off() {
    let dir = filled().await;
    let store = SqliteStore::open(dir.path()).unwrap();
    store.add_audit(audit("unsealed")).await.unwrap();
    drop(store);
    assert_eq!(verified(dir.path()).await.entries_unsealed, 1);
    tamper(dir.path(), "DELETE FROM audit_links WHERE seq > 6; DELETE FROM audit WHERE number > 6");
    let found = verified(dir.path()).await;
    assert_eq!(
        (found.flaw, found.entries_unsealed),
        (None, 0),
        "the price of sealing once a minute, and not with every write"
    );
}

#[tokio::test]
async fn a_seal_that_is_forged_removed_or_another_keys_is_named() {
    let flaw = flaw_after("UPDATE audit_seals SET signature = randomblob(64) WHERE seq = 2").await;
    assert!(matches!(flaw, Some(Flaw::SealForged { seq: 2, .. })), "{flaw:?}");
    assert_eq!(
        flaw_after("DELETE FROM audit_seals WHERE seq = 1").await,
        Some(Flaw::SealMissing { seq: 1 })
    );
    let dir = filled().await;
    let store = SqliteStore::open(dir.path()).unwrap();
    store.add_audit(audit("more")).await.unwrap();
    seal(&store, 8).await;
    drop(store);
    let foreign = PublicKey(key(8).verifying_key().to_bytes());
    assert_eq!(
        verified(dir.path()).await.flaw,
        Some(Flaw::SealKeyUnknown { seq: 3, key: foreign })
    );
}

/// The whole log made anew around a changed entry: every link fits, and the seals say that it is
/// another one.
#[tokio::test]
async fn a_log_that_is_made_anew_is_not_the_one_that_was_sealed() {
    let dir = filled().await;
    tamper(
        dir.path(),
        "UPDATE audit SET actor = 'mallory' WHERE number = 2; DELETE FROM audit_links",
    );
    let connection = Connection::open(dir.path().join("core.db")).unwrap();
    close_link(&connection).unwrap_err();
    connection.execute_batch("UPDATE audit SET link = 1").unwrap();
    close_link(&connection).unwrap();
    let found = verified(dir.path()).await;
    assert!(
        matches!(found.flaw, Some(Flaw::SealedLinkMissing { seal: 1, link: 4, .. })),
        "{:?}",
        found.flaw
    );
}

#[tokio::test]
async fn entries_from_before_the_chain_are_its_first_link() {
    let dir = tempfile::tempdir().unwrap();
    let connection = Connection::open(dir.path().join("core.db")).unwrap();
    connection.execute_batch(CORE[0]).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    for i in 0..3_u8 {
        let sql = "INSERT INTO audit (at, id, actor, action, subject, detail, request_id) VALUES (?, ?, 'alice', 'old', 'it', 'why', NULL)";
        connection.execute(sql, rusqlite::params![9 - i, [i; 16]]).unwrap();
    }
    drop(connection);
    assert!(
        matches!(open_audit_log(dir.path()).err().unwrap(), OpenError::OlderSchema { found: 1, known, .. } if known == i64::try_from(CORE.len()).unwrap())
    );
    let store = SqliteStore::open(dir.path()).unwrap();
    store.add_audit(audit("new")).await.unwrap();
    drop(store);
    let found = verified(dir.path()).await;
    assert_eq!((found.flaw, found.progress.links, found.progress.entries), (None, 2, 4));
    let log = open_audit_log(dir.path()).unwrap();
    let first = &log.audit_links(found.heads[0].writer, 0, 9).await.unwrap()[0];
    let entries = log.audit_entries(found.heads[0].writer, 0, 9).await.unwrap();
    let mut draft = LinkDraft::default();
    entries[..3].iter().for_each(|entry| draft.add(&entry.entry));
    assert_eq!((first.count, first.at, draft.count()), (3, TimeMs(9), 3));
    assert_eq!(entries.iter().map(|entry| entry.entry.at.0).collect::<Vec<_>>(), [7, 8, 9, 5_000]);
    assert_eq!(found.heads[0].writer.0.get_version_num(), 4);
}

#[tokio::test]
async fn the_log_is_read_beside_its_writer() {
    let dir = filled().await;
    let store = SqliteStore::open(dir.path()).unwrap();
    let log = open_audit_log(dir.path()).unwrap();
    store.add_audit(audit("more")).await.unwrap();
    let (trust, mut told) = (Trust::default(), |_| {});
    let (found, ()) = tokio::join!(verify_audit(&*log, &trust, &mut told), async {
        for _ in 0..20 {
            store.add_audit(audit("meanwhile")).await.unwrap();
        }
    });
    assert_eq!(found.unwrap().flaw, None);
    assert_eq!(verified(dir.path()).await.progress.entries, 27);
    assert!(matches!(open_audit_log(&dir.path().join("nowhere")), Err(OpenError::Database { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_has_one_link_and_one_without_entries_has_none() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    let connection = Connection::open(dir.path().join("core.db")).unwrap();
    // Time is not what ends this transaction.
    let writer = Writer::start(
        "core",
        connection,
        Pace { time_max: Duration::from_secs(3600), ..Pace::AT_ONCE },
        Some(close_link),
        Arc::default(),
    )
    .unwrap();
    let (all_wait, go) = std::sync::mpsc::channel();
    let mut first = Box::pin(writer.run(move |connection| {
        go.recv().map_err(|error| Fault::Bad(error.to_string()))?;
        add(connection, &audit("first"))
    }));
    let mut failing = Box::pin(writer.run(|connection| {
        add(connection, &audit("failing"))?;
        Err::<(), _>(Fault::Bad("taken back".into()))
    }));
    let mut second = Box::pin(writer.run(|connection| add(connection, &audit("second"))));
    for job in
        [&mut first as &mut (dyn Future<Output = _> + Unpin + Send), &mut failing, &mut second]
    {
        let mut job = std::pin::Pin::new(job);
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(job.as_mut().poll(context).is_pending())
        })
        .await;
    }
    all_wait.send(()).unwrap();
    first.await.unwrap();
    failing.await.unwrap_err();
    second.await.unwrap();
    writer.run(|_| Ok(())).await.unwrap();
    let log = open_audit_log(dir.path()).unwrap();
    let head = log.audit_heads().await.unwrap()[0];
    assert_eq!((head.seq, head.total), (1, 2));
    writer.run(|connection| add(connection, &audit("third"))).await.unwrap();
    assert_eq!(
        verify_audit(&*log, &Trust::default(), &mut |_| {}).await.unwrap().progress.links,
        2
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Jobs that share a transaction share a link, whichever of them fail.
    #[test]
    fn whatever_a_batch_is_made_of_its_chain_verifies(batches in prop::collection::vec(prop::collection::vec(0_u8..3, 1..12), 1..6)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        let kept = runtime.block_on(async {
            let mut kept = 0;
            for batch in &batches {
                let jobs = batch.iter().map(|fate| {
                    let (fate, entries) = (*fate, vec![audit("one"), audit("two")]);
                    store.core.write(move |connection| {
                        entries.iter().try_for_each(|entry| add(connection, entry))?;
                        match fate {
                            0 => Err(Fault::Bad("taken back".into())),
                            1 => panic!("a fault of ours"),
                            _ => Ok(()),
                        }
                    })
                });
                // All are in the queue before the first is waited for.
                for done in futures::future::join_all(jobs).await {
                    kept += if done.is_ok() { 2 } else { 0 };
                }
            }
            kept
        });
        let found = runtime.block_on(verify_audit(&store, &Trust::default(), &mut |_| {})).unwrap();
        prop_assert_eq!((found.flaw, found.progress.entries), (None, kept));
        prop_assert!(found.progress.links <= kept / 2);
    }
}
