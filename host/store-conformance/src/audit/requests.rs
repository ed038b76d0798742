use lucid_model::{
    audit::request::{RequestKey, StoredAnswer},
    id::{Digest, IntendedId},
    time::TimeMs,
};
use lucid_ports::{Begun, NewRequest};
use uuid::Uuid;

use crate::{Backend, fifty};

pub fn key(name: &str) -> RequestKey {
    RequestKey { subject: "alice".into(), key: name.into() }
}

pub fn request(name: &str, creates: u128, at: i64) -> NewRequest {
    NewRequest {
        key: key(name),
        fingerprint: Digest::of(b"POST /nodes"),
        creates: IntendedId(Uuid::from_u128(creates)),
        at: TimeMs(at),
        lease_until: TimeMs(at + 100),
        expires_at: TimeMs(at + 1_000),
    }
}

fn run(id: u128) -> Begun {
    Begun::Run(IntendedId(Uuid::from_u128(id)))
}

pub fn answer() -> StoredAnswer {
    StoredAnswer {
        status: 201,
        headers: vec![("location".into(), "/api/v1/nodes/7".into())],
        body: b"{}\xff".to_vec(),
    }
}

pub async fn a_request_is_carried_out_once(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.begin_request(request("k", 1, 0)).await.unwrap(), run(1));
    assert_eq!(store.begin_request(request("k", 2, 50)).await.unwrap(), Begun::InProgress);
    let of_another = NewRequest {
        key: RequestKey { subject: "bob".into(), key: "k".into() },
        ..request("k", 3, 50)
    };
    assert_eq!(
        store.begin_request(of_another).await.unwrap(),
        run(3),
        "a key is its subject's own"
    );
    store.answer_request(key("k"), answer()).await.unwrap();
    let other = NewRequest { fingerprint: Digest::of(b"else"), ..request("k", 4, 60) };
    assert_eq!(store.begin_request(other).await.unwrap(), Begun::OtherRequest);
    drop(store);
    backend.reopen();
    assert_eq!(
        backend.store().begin_request(request("k", 5, 999)).await.unwrap(),
        Begun::Answered(answer())
    );
}

pub async fn a_request_that_was_left_is_tried_again_with_its_id(backend: &mut dyn Backend) {
    let store = backend.store();
    for (name, at) in [("lease over", 100), ("released", 1)] {
        assert_eq!(store.begin_request(request(name, 1, 0)).await.unwrap(), run(1));
        if name == "released" {
            store.release_request(key(name)).await.unwrap();
        }
        assert_eq!(store.begin_request(request(name, 2, at)).await.unwrap(), run(1), "{name}");
        assert_eq!(
            store.begin_request(request(name, 2, at + 1)).await.unwrap(),
            Begun::InProgress,
            "{name}"
        );
    }
    store.begin_request(request("killed", 1, 0)).await.unwrap();
    drop(store);
    backend.reopen();
    let again = backend.store().begin_request(request("killed", 2, 200)).await.unwrap();
    assert_eq!(again, run(1));
}

pub async fn a_key_expires(backend: &mut dyn Backend) {
    let store = backend.store();
    for (name, at) in [("old", 0), ("new", 500)] {
        store.begin_request(request(name, 1, at)).await.unwrap();
        store.answer_request(key(name), answer()).await.unwrap();
    }
    let other = NewRequest { fingerprint: Digest::of(b"else"), ..request("old", 2, 1_000) };
    assert_eq!(store.begin_request(other).await.unwrap(), run(2), "an expired key is a new one");
    assert_eq!(store.forget_requests(TimeMs(1_499), 10).await.unwrap(), 0);
    assert_eq!(store.forget_requests(TimeMs(9_999), 1).await.unwrap(), 1);
    assert_eq!(store.forget_requests(TimeMs(9_999), 10).await.unwrap(), 1);
    assert_eq!(store.begin_request(request("new", 3, 600)).await.unwrap(), run(3));
}

pub async fn one_of_fifty_requests_runs(backend: &mut dyn Backend) {
    let store = backend.store();
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move { store.begin_request(request("k", u128::from(i), 0)).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Begun::Run(_))).count(), 1);
    assert_eq!(outcomes.iter().filter(|o| **o == Begun::InProgress).count(), 49);
}
