use lucid_model::{
    fleet::alert::{Alert, AlertKind, Measured},
    id::AlertId,
    time::TimeMs,
};
use lucid_ports::Order;
use uuid::Uuid;

use crate::{Backend, all, examples::*, fifty};

pub fn alert(i: u32, node: u32, kind: AlertKind) -> Alert {
    Alert {
        id: AlertId(Uuid::from_u128(u128::from(i))),
        node: node_id(node),
        kind,
        raised_at: TimeMs(i64::from(i) * 100),
        cleared_at: None,
        message: "95.00 % used".into(),
        measured: Some(Measured { value: 9_500, limit: 8_000 }),
    }
}

pub async fn an_alert_keeps_every_field(backend: &mut dyn Backend) {
    let store = backend.store();
    let (cpu, suspended) = (
        alert(1, 1, AlertKind::Cpu),
        Alert { measured: None, ..alert(2, 1, AlertKind::Suspended) },
    );
    for raised in [&cpu, &suspended] {
        assert!(store.raise_alert(raised.clone()).await.unwrap());
    }
    let cleared = Alert { cleared_at: Some(TimeMs(900)), ..cpu.clone() };
    assert_eq!(
        store.clear_alert(node_id(1), AlertKind::Cpu, TimeMs(900)).await.unwrap(),
        Some(cleared.clone())
    );
    assert_eq!(
        store.clear_alert(node_id(1), AlertKind::Cpu, TimeMs(901)).await.unwrap(),
        None,
        "it is over"
    );
    drop(store);
    backend.reopen();
    let store = backend.store();
    assert_eq!(
        store.alerts(node_id(1), all((), Order::Descending)).await.unwrap().items,
        [suspended.clone(), cleared]
    );
    let active = store.active_alerts(node_id(1)).await.unwrap();
    assert_eq!(store.active_alerts(node_id(2)).await.unwrap(), []);
    assert_eq!(store.active_alerts_after(None, 10).await.unwrap(), active);
    assert_eq!(active, [suspended]);
}

pub async fn one_of_fifty_alerts_of_a_node_and_kind_is_active(backend: &mut dyn Backend) {
    let store = backend.store();
    for round in 0..2 {
        let raised =
            fifty(|i| {
                let store = store.clone();
                async move {
                    store.raise_alert(alert(round * 100 + i, 1, AlertKind::Cpu)).await.unwrap()
                }
            })
            .await;
        assert_eq!(raised.iter().filter(|done| **done).count(), 1);
        assert!(
            store.raise_alert(alert(round * 100 + 60, 1, AlertKind::Disk)).await.unwrap(),
            "another kind"
        );
        assert!(
            store.raise_alert(alert(round * 100 + 61, 2, AlertKind::Cpu)).await.unwrap(),
            "another node"
        );
        let cleared =
            fifty(|_| {
                let store = store.clone();
                async move {
                    store.clear_alert(node_id(1), AlertKind::Cpu, TimeMs(90_000)).await.unwrap()
                }
            })
            .await;
        assert_eq!(cleared.iter().flatten().count(), 1);
        for (node, kind) in [(1, AlertKind::Disk), (2, AlertKind::Cpu)] {
            assert!(
                store.clear_alert(node_id(node), kind, TimeMs(90_000)).await.unwrap().is_some()
            );
        }
    }
    assert_eq!(store.alerts(node_id(1), all((), Order::Ascending)).await.unwrap().total, 4);
}

pub async fn alerts_are_walked_and_forgotten_once_they_are_over(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=5 {
        assert!(store.raise_alert(alert(i, i, AlertKind::Silent)).await.unwrap());
    }
    for i in 1..=3 {
        store
            .clear_alert(node_id(i), AlertKind::Silent, TimeMs(i64::from(i) * 1_000))
            .await
            .unwrap();
    }
    let first = store.active_alerts_after(None, 1).await.unwrap();
    assert_eq!(first, [alert(4, 4, AlertKind::Silent)]);
    assert_eq!(
        store.active_alerts_after(Some(first[0].id), 9).await.unwrap(),
        [alert(5, 5, AlertKind::Silent)]
    );
    assert_eq!(store.forget_alerts(TimeMs(3_000), 1).await.unwrap(), 1);
    assert_eq!(
        store.forget_alerts(TimeMs(3_000), 9).await.unwrap(),
        1,
        "that of exactly then stays"
    );
    assert_eq!(store.forget_alerts(TimeMs(i64::MAX), 9).await.unwrap(), 1, "active ones stay");
    assert_eq!(store.active_alerts_after(None, 9).await.unwrap().len(), 2);
    assert_eq!(store.alerts(node_id(1), all((), Order::Ascending)).await.unwrap().total, 0);
}
