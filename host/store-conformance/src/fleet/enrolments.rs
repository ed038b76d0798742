use lucid_model::{
    fleet::enrolment::{Enrolment, EnrolmentScope},
    id::{Digest, EnrolmentId},
    time::TimeMs,
};
use lucid_ports::{EnrolmentFilter, Order, PageRequest, Registered, Registration};
use uuid::Uuid;

use crate::{Backend, all, examples::*, fifty};

pub fn enrolment(i: u32) -> Enrolment {
    Enrolment {
        id: EnrolmentId(Uuid::from_u128(u128::from(i))),
        digest: Digest::of(&i.to_le_bytes()),
        owner: owner_id(i),
        name: "rack 7".into(),
        scope: EnrolmentScope::Approve,
        pool: Some(pool_id(1)),
        uses_max: 3,
        uses: 0,
        expires_at: TimeMs(50_000),
        revoked_at: None,
        created_at: TimeMs(1_000),
        created_by: "alice".into(),
    }
}

fn with(token: &Enrolment, node: u32) -> Registration {
    Registration { enrolment: Some(token.id), ..registration(crate::examples::node(node)) }
}

pub async fn an_enrolment_keeps_every_field(backend: &mut dyn Backend) {
    let store = backend.store();
    let token = enrolment(1);
    assert!(store.create_enrolment(token.clone(), audit("enrolment.create")).await.unwrap());
    assert!(
        !store.create_enrolment(token.clone(), audit("enrolment.create")).await.unwrap(),
        "its id is there"
    );
    assert_eq!(store.enrolment(token.id).await.unwrap(), Some(token.clone()));
    assert_eq!(store.enrolment_by_digest(token.digest).await.unwrap(), Some(token.clone()));
    assert_eq!(store.enrolment_by_digest(Digest::of(b"else")).await.unwrap(), None);
    assert!(store.revoke_enrolment(token.id, TimeMs(9), audit("enrolment.revoke")).await.unwrap());
    assert!(
        !store.revoke_enrolment(token.id, TimeMs(10), audit("enrolment.revoke")).await.unwrap()
    );
    assert_eq!(store.enrolment(token.id).await.unwrap().unwrap().revoked_at, Some(TimeMs(9)));
}

pub async fn one_use_is_had_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let token = enrolment(1);
    store.create_enrolment(token.clone(), audit("enrolment.create")).await.unwrap();
    let outcomes = fifty(|i| {
        let (store, registration) = (store.clone(), with(&token, i));
        async move { store.register_node(registration).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Registered::Done(_))).count(), 3);
    assert_eq!(outcomes.iter().filter(|o| **o == Registered::EnrolmentSpent).count(), 47);
    assert_eq!(store.enrolment(token.id).await.unwrap().unwrap().uses, 3);
}

pub async fn a_token_that_is_not_good_registers_nothing(backend: &mut dyn Backend) {
    let store = backend.store();
    let (expired, revoked, good) =
        (Enrolment { expires_at: TimeMs(1_000), ..enrolment(1) }, enrolment(2), enrolment(3));
    for token in [&expired, &revoked, &good] {
        store.create_enrolment(token.clone(), audit("enrolment.create")).await.unwrap();
    }
    store.revoke_enrolment(revoked.id, TimeMs(9), audit("enrolment.revoke")).await.unwrap();
    assert_eq!(store.register_node(with(&expired, 1)).await.unwrap(), Registered::EnrolmentSpent);
    assert_eq!(store.register_node(with(&revoked, 1)).await.unwrap(), Registered::EnrolmentSpent);
    assert_eq!(store.node(node_id(1)).await.unwrap(), None);
    assert!(matches!(store.register_node(with(&good, 1)).await.unwrap(), Registered::Done(_)));
    let conflict = Registration {
        node: lucid_model::fleet::node::Node { address: node(1).address, ..node(2) },
        ..with(&good, 2)
    };
    assert!(matches!(store.register_node(conflict).await.unwrap(), Registered::Conflict(_)));
    assert_eq!(
        store.enrolment(good.id).await.unwrap().unwrap().uses,
        1,
        "a refusal uses nothing up"
    );
}

pub async fn enrolments_are_listed_by_creation(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=5 {
        let token = Enrolment {
            owner: owner_id(i % 2),
            created_at: TimeMs(i64::from(i / 2)),
            ..enrolment(i)
        };
        store.create_enrolment(token, audit("enrolment.create")).await.unwrap();
    }
    let newest =
        store.enrolments(EnrolmentFilter::default(), all((), Order::Descending)).await.unwrap();
    assert_eq!(newest.items.iter().map(|e| e.id.0.as_u128()).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    let own = EnrolmentFilter { owner: Some(owner_id(1)) };
    let second = store
        .enrolments(own, PageRequest { page: 2, limit: 2, sort: (), order: Order::Ascending })
        .await
        .unwrap();
    assert_eq!((second.total, second.items.len(), second.items[0].id.0.as_u128()), (3, 1, 5));
    store.revoke_enrolment(enrolment(3).id, TimeMs(100), audit("enrolment.revoke")).await.unwrap();
    assert_eq!(
        store.forget_enrolments(TimeMs(100), 10).await.unwrap(),
        0,
        "over at that instant is not before it"
    );
    assert_eq!(store.forget_enrolments(TimeMs(101), 10).await.unwrap(), 1);
    assert_eq!(store.forget_enrolments(TimeMs(50_001), 3).await.unwrap(), 3, "expired");
    assert_eq!(
        store
            .enrolments(EnrolmentFilter::default(), all((), Order::Ascending))
            .await
            .unwrap()
            .total,
        1
    );
}
