//! Every operation of several writes, cut at every one of its commands, both ways and at both ends:
//! what a fresh store finds is whole, asking again completes it, and nothing is doubled or lost.

mod fleet;
mod money;
mod records;

use lucid_model::{
    audit::{AuditEntry, verify::Trust},
    id::{AuditId, Digest},
};
use lucid_ports::{AuditFilter, AuditLog, Order, StoreError};
use lucid_service::verify_audit;
use lucid_store_conformance::{all, examples::audit};
use uuid::Uuid;

use super::{
    MongoStore, fresh,
    wire::{Lost, Process, Wire},
};
use crate::connect;

/// More commands than any operation has.
const COMMANDS_MAX: u32 = 200;

/// `mongodb://host:port/…` with another place; none if the URL has no single one.
fn through(url: &str, place: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("mongodb://")?;
    let (server, path) = rest.split_once('/')?;
    (!server.contains(',') && !server.contains('@'))
        .then(|| (server.to_owned(), format!("mongodb://{place}/{path}")))
}

/// Runs an operation again and again, each time with another number and cut at another command,
/// until it has no more of them. `check` gets a store that was opened after that, and what the
/// operation answered: nothing if its process ended.
async fn at_every_command<T>(
    prepare: impl AsyncFn(&MongoStore, u32),
    operate: impl AsyncFn(&MongoStore, u32) -> Result<T, StoreError>,
    check: impl AsyncFn(&MongoStore, u32, Option<T>),
) {
    // A command that is lost while the process goes on is sent again by the driver: nothing
    // happened.
    let ways = [
        (Lost::Command, Process::Ends),
        (Lost::Answer, Process::Ends),
        (Lost::Answer, Process::GoesOn),
    ];
    let (prepare, operate, check) = (&prepare, &operate, &check);
    futures::future::join_all(ways.map(|(lost, process)| async move {
        let Some(url) = fresh() else { return };
        let Some((server, _)) = through(&url, "") else {
            println!("skipped: a server that is not one host cannot be cut off");
            return;
        };
        let direct = MongoStore::open(&url).await.unwrap();
        for n in 1..=COMMANDS_MAX {
            prepare(&direct, n).await;
            let wire = Wire::to(&server).await;
            let store = again(&through(&url, &wire.address).unwrap().1).await;
            wire.cut_at(n, lost, process);
            let outcome = tokio::select! {
                outcome = operate(&store, n) => Some(outcome),
                () = wire.process_ended() => None,
            };
            let was_cut = wire.was_cut();
            drop((store, wire));
            let answered = match outcome {
                Some(Err(error)) => {
                    assert!(
                        was_cut && matches!(error, StoreError::Unavailable { .. }),
                        "{lost:?} {n}: {error}"
                    );
                    None
                }
                Some(Ok(answer)) => Some(answer),
                None => None,
            };
            check(&again(&url).await, n, answered).await;
            if !was_cut {
                assert!(n > 1, "it says nothing");
                println!("{process:?}, {lost:?} lost: cut {} times", n - 1);
                break;
            }
            assert!(n < COMMANDS_MAX, "it never ends");
        }
        let found = verify_audit(&direct, &Trust::default(), &mut |_| {}).await.unwrap();
        assert_eq!(found.flaw, None);
    }))
    .await;
}

/// A store as a process has it that starts over a database which is not new.
async fn again(url: &str) -> MongoStore {
    MongoStore::over(connect(url).await.unwrap()).await.unwrap()
}

/// How often the log tells of an action on a subject.
async fn told(store: &MongoStore, action: &str, subject: &str) -> u64 {
    let filter = AuditFilter {
        action: Some(action.into()),
        subject: Some(subject.into()),
        ..AuditFilter::default()
    };
    store.audit(&filter, all((), Order::Ascending)).await.unwrap().total
}

fn entry(action: &str, number: u32) -> AuditEntry {
    let id = AuditId(Uuid::from_u128(
        0x7000_0000_0000
            + u128::from(Digest::of(action.as_bytes()).0[0]) * 0x1_0000
            + u128::from(number),
    ));
    AuditEntry { id, subject: format!("{number}"), ..audit(action) }
}
