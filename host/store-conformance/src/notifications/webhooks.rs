use lucid_model::{
    id::{DeliveryId, WebhookId},
    notifications::webhook::{Delivery, DeliveryState, KeptSecret, Webhook},
    time::TimeMs,
};
use lucid_ports::{DeliveryFilter, Order};
use uuid::Uuid;

use crate::{Backend, all, examples::*, fifty};

fn webhook_id(i: u32) -> WebhookId {
    WebhookId(Uuid::from_u128(u128::from(i)))
}

pub fn webhook(i: u32) -> Webhook {
    Webhook {
        id: webhook_id(i),
        url: format!("https://example.org/{i}"),
        description: Some("the desk".into()),
        events: vec!["node.".into(), "payout.completed".into()],
        node: Some(node_id(1)),
        pool: Some(pool_id(1)),
        secret: KeptSecret(format!("secret {i}")),
        enabled: false,
        disabled_reason: Some("nothing arrived".into()),
        created_at: TimeMs(i64::from(i)),
        updated_at: TimeMs(50),
        created_by: "alice".into(),
        version: 1,
    }
}

pub fn delivery(i: u32, webhook: u32) -> Delivery {
    Delivery {
        id: DeliveryId(Uuid::from_u128(u128::from(i))),
        webhook: webhook_id(webhook),
        event_id: format!("boot-{i}"),
        kind: "node.error".into(),
        body: "{\"id\":\"ä\"}".into(),
        created_at: TimeMs(i64::from(i) * 10),
        state: DeliveryState::Pending,
        attempts: 0,
        next_attempt_at: TimeMs(1_000),
        finished_at: None,
        status: None,
        error: None,
    }
}

pub async fn a_webhook_keeps_every_field_and_changes_by_version(backend: &mut dyn Backend) {
    let store = backend.store();
    assert!(store.add_webhook(webhook(2), audit("webhook.create")).await.unwrap());
    assert!(
        !store.add_webhook(webhook(2), audit("webhook.create")).await.unwrap(),
        "its id is there"
    );
    let bare = Webhook {
        description: None,
        events: vec![],
        node: None,
        pool: None,
        disabled_reason: None,
        enabled: true,
        ..webhook(1)
    };
    assert!(store.add_webhook(bare.clone(), audit("webhook.create")).await.unwrap());
    drop(store);
    backend.reopen();
    let store = backend.store();
    assert_eq!(store.webhooks().await.unwrap(), [bare.clone(), webhook(2)]);
    let changed = fifty(|i| {
        let (store, to) = (
            store.clone(),
            Webhook {
                url: format!("https://example.com/{i}"),
                secret: KeptSecret("sealed".into()),
                version: 2,
                ..webhook(1)
            },
        );
        async move { store.update_webhook(to, audit("webhook.update")).await.unwrap() }
    })
    .await;
    assert_eq!(changed.iter().filter(|done| **done).count(), 1);
    let found = store.webhooks().await.unwrap();
    assert_eq!(
        found[0],
        Webhook {
            url: found[0].url.clone(),
            version: 2,
            secret: KeptSecret("sealed".into()),
            ..webhook(1)
        }
    );
    assert!(
        !store.remove_webhook(webhook_id(1), Some(1), audit("webhook.delete")).await.unwrap(),
        "it has another version"
    );
    assert!(store.remove_webhook(webhook_id(1), Some(2), audit("webhook.delete")).await.unwrap());
    assert!(!store.remove_webhook(webhook_id(1), None, audit("webhook.delete")).await.unwrap());
    assert!(
        !store
            .update_webhook(Webhook { version: 3, ..webhook(1) }, audit("webhook.update"))
            .await
            .unwrap()
    );
    assert_eq!(store.webhooks().await.unwrap(), [webhook(2)]);
}

pub async fn a_delivery_is_due_until_it_arrived(backend: &mut dyn Backend) {
    let store = backend.store();
    let later = Delivery { next_attempt_at: TimeMs(2_000), ..delivery(2, 1) };
    store
        .add_deliveries(vec![delivery(1, 1), later.clone(), delivery(3, 1), delivery(4, 2)])
        .await
        .unwrap();
    store.add_deliveries(vec![Delivery { body: "else".into(), ..delivery(1, 1) }]).await.unwrap();
    drop(store);
    backend.reopen();
    let store = backend.store();
    let due =
        async |now, limit| store.due_deliveries(webhook_id(1), TimeMs(now), limit).await.unwrap();
    assert_eq!(due(999, 9).await, []);
    assert_eq!(due(1_000, 9).await, [delivery(1, 1), delivery(3, 1)]);
    assert_eq!(due(2_000, 2).await, [delivery(1, 1), delivery(3, 1)]);
    let failed = Delivery {
        attempts: 1,
        next_attempt_at: TimeMs(3_000),
        status: Some(503),
        error: Some("503".into()),
        ..delivery(1, 1)
    };
    let arrived = Delivery { attempts: 1, status: Some(204), ..delivery(3, 1) }.ended(
        DeliveryState::Delivered,
        TimeMs(1_500),
        None,
    );
    let told = Delivery { body: "never changed".into(), ..failed.clone() };
    store.update_deliveries(vec![told, arrived.clone()]).await.unwrap();
    assert_eq!(due(3_000, 9).await, [later, failed]);
    let found = store.deliveries(
        DeliveryFilter { webhook: webhook_id(1), state: Some(DeliveryState::Delivered) },
        all((), Order::Descending),
    );
    assert_eq!(found.await.unwrap().items, [arrived]);
}

pub async fn deliveries_are_listed_by_creation_and_forgotten(backend: &mut dyn Backend) {
    let store = backend.store();
    store
        .add_deliveries((1..=5).map(|i| delivery(i, 1)).chain([delivery(6, 2)]).collect())
        .await
        .unwrap();
    store.add_deliveries(vec![]).await.unwrap();
    let listed = async |webhook, state, order| {
        let page = store
            .deliveries(DeliveryFilter { webhook: webhook_id(webhook), state }, all((), order))
            .await
            .unwrap();
        page.items.into_iter().map(|delivery| delivery.id.0.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(listed(1, None, Order::Descending).await, [5, 4, 3, 2, 1]);
    assert_eq!(listed(1, Some(DeliveryState::Pending), Order::Ascending).await, [1, 2, 3, 4, 5]);
    assert_eq!(listed(1, Some(DeliveryState::Dropped), Order::Ascending).await, []);
    assert_eq!(store.forget_deliveries(TimeMs(30), 1).await.unwrap(), 1);
    assert_eq!(
        store.forget_deliveries(TimeMs(30), 9).await.unwrap(),
        1,
        "that of exactly then stays"
    );
    assert_eq!(listed(1, None, Order::Ascending).await, [3, 4, 5]);
    assert_eq!(listed(2, None, Order::Ascending).await, [6]);
}
