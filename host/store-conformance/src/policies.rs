use lucid_model::{
    id::Digest,
    policies::{
        Activation, Bundle, BundleSignature, GOLDEN_BYTES_MAX, KeyId, ParamValues, PolicyKind,
        PolicyReport, PolicyVersion, ReportCause, ReportedCheck, Revision, Scope, VersionState,
    },
    time::TimeMs,
};
use lucid_ports::{Activated, AuditFilter, ImportRecord, Order, REPORTS_KEPT, StoredBundle};

use crate::{Backend, all, examples::*, fifty};

pub fn bundle(name: &str, at: i64) -> StoredBundle {
    StoredBundle {
        version: PolicyVersion {
            policy: policy(name),
            kind: PolicyKind::Scoring,
            abi: "lucid:policy/scoring@1.0.0".into(),
            state: VersionState::Checked,
            reason: None,
            uploaded_at: TimeMs(at),
            uploaded_by: "alice".into(),
            signed_by: vec!["alice".into()],
        },
        bundle: Bundle {
            manifest: "name = 'x'".into(),
            component: vec![0, 97, 115, 109, 255],
            golden: vec![("a.json".into(), "{}".into())],
            signatures: vec![BundleSignature { key: KeyId([1; 8]), signature: [7; 64] }],
        },
    }
}

pub fn activation(name: &str, scope: Scope) -> Activation {
    Activation {
        revision: Revision(0),
        kind: PolicyKind::Scoring,
        scope,
        policy: policy(name),
        params: ParamValues::from([("weight".into(), -7), ("a.b".into(), i64::MAX)]),
        from_s: 0,
        at: TimeMs(5),
        actor: "alice".into(),
        reason: "better".into(),
    }
}

pub async fn a_version_is_kept_once_with_its_bundle(backend: &mut dyn Backend) {
    let store = backend.store();
    let first = bundle("a", 1);
    assert!(store.add_version(first.clone(), audit("policy.add")).await.unwrap());
    assert!(!store.add_version(bundle("a", 9), audit("policy.add")).await.unwrap());
    assert_eq!(store.bundle(first.version.policy.digest).await.unwrap(), Some(first.clone()));
    assert_eq!(store.bundle(Digest::default()).await.unwrap(), None);
    assert!(store.add_version(bundle("b", 2), audit("policy.add")).await.unwrap());
    assert_eq!(store.versions().await.unwrap(), [bundle("b", 2).version, first.version]);
    assert_eq!(
        store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total,
        2
    );
    // Together more than some stores take in one piece.
    let mut large = bundle("c", 3);
    let text = "x".repeat(GOLDEN_BYTES_MAX);
    large.bundle.golden =
        (0..70).map(|number| (format!("{number:03}.json"), text.clone())).collect();
    assert!(store.add_version(large.clone(), audit("policy.add")).await.unwrap());
    assert!(
        store.bundle(large.version.policy.digest).await.unwrap() == Some(large.clone()),
        "its golden cases are others"
    );
    assert_eq!(store.versions().await.unwrap().first(), Some(&large.version));
}

pub async fn a_versions_signatures_are_replaced(backend: &mut dyn Backend) {
    let store = backend.store();
    let mut kept = bundle("a", 1);
    let digest = kept.version.policy.digest;
    let signatures = vec![
        BundleSignature { key: KeyId([2; 8]), signature: [255; 64] },
        BundleSignature { key: KeyId([3; 8]), signature: [0; 64] },
    ];
    let signed_by = vec!["bob".to_owned(), "carol".to_owned()];
    let sign =
        || store.sign_version(digest, signatures.clone(), signed_by.clone(), audit("policy.sign"));
    assert!(!sign().await.unwrap(), "there is no such version");
    assert!(store.add_version(kept.clone(), audit("policy.add")).await.unwrap());
    assert!(sign().await.unwrap());
    (kept.bundle.signatures, kept.version.signed_by) = (signatures.clone(), signed_by.clone());
    assert_eq!(store.bundle(digest).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.versions().await.unwrap(), [kept.version]);
    assert_eq!(
        store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total,
        2
    );
}

pub async fn one_of_fifty_activations_wins(backend: &mut dyn Backend) {
    let store = backend.store();
    let outcomes =
        fifty(|_| {
            let store = store.clone();
            let two =
                vec![activation("a", Scope::Default), activation("b", Scope::Pool(pool_id(1)))];
            async move {
                store.activate(Revision(0), two, vec![audit("policy.activate")]).await.unwrap()
            }
        })
        .await;
    assert_eq!(outcomes.iter().filter(|o| **o == Activated::Done(Revision(2))).count(), 1);
    assert_eq!(outcomes.iter().filter(|o| **o == Activated::Conflict).count(), 49);
    assert_eq!(store.activations(10).await.unwrap().len(), 2);
}

pub async fn the_newest_activation_of_a_scope_is_in_force(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.active().await.unwrap(), (Revision(0), vec![]));
    let pool = Scope::Pool(pool_id(1));
    for (based_on, name, scope) in
        [(0, "a", Scope::Default), (1, "b", pool), (2, "c", Scope::Default)]
    {
        let done = store
            .activate(Revision(based_on), vec![activation(name, scope)], vec![])
            .await
            .unwrap();
        assert_eq!(done, Activated::Done(Revision(based_on + 1)));
    }
    let in_force = vec![
        Activation { revision: Revision(2), ..activation("b", pool) },
        Activation { revision: Revision(3), ..activation("c", Scope::Default) },
    ];
    assert_eq!(store.active().await.unwrap(), (Revision(3), in_force));
    let newest: Vec<_> =
        store.activations(2).await.unwrap().into_iter().map(|a| a.revision.0).collect();
    assert_eq!(newest, [3, 2]);
}

pub async fn what_is_scheduled_stands_beside_what_is_in_force(backend: &mut dyn Backend) {
    let store = backend.store();
    let later = |name, from_s| Activation { from_s, ..activation(name, Scope::Default) };
    store.activate(Revision(0), vec![later("early", 60)], vec![]).await.unwrap();
    store
        .activate(
            Revision(1),
            vec![later("now", 0), later("noon", 7_200), later("night", 3_600)],
            vec![],
        )
        .await
        .unwrap();
    let (revision, in_force) = store.active().await.unwrap();
    let told: Vec<_> =
        in_force.iter().map(|a| (a.revision.0, a.policy.name.as_str(), a.from_s)).collect();
    assert_eq!(
        (revision, told),
        (Revision(4), vec![(2, "now", 0), (3, "noon", 7_200), (4, "night", 3_600)])
    );
    store.activate(Revision(4), vec![later("back", 0)], vec![]).await.unwrap();
    let (_, in_force) = store.active().await.unwrap();
    assert_eq!(in_force.iter().map(|a| a.policy.name.as_str()).collect::<Vec<_>>(), ["back"]);
}

pub async fn a_version_is_retired_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let kept = bundle("a", 1);
    let digest = kept.version.policy.digest;
    assert!(
        !store
            .retire_version(digest, "none is there".into(), audit("policy.retire"))
            .await
            .unwrap()
    );
    store.add_version(kept.clone(), audit("policy.add")).await.unwrap();
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move {
            store
                .retire_version(digest, format!("reason {i}"), audit("policy.retire"))
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|retired| **retired).count(), 1);
    let winner = outcomes.iter().position(|retired| *retired).unwrap();
    let found = store.bundle(digest).await.unwrap().unwrap();
    assert_eq!(
        (found.version.state, found.version.reason),
        (VersionState::Retired, Some(format!("reason {winner}")))
    );
    assert_eq!(found.bundle, kept.bundle, "it is kept for replays");
    assert_eq!(
        store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total,
        2
    );
}

pub fn report(number: u32, name: Option<&str>) -> PolicyReport {
    PolicyReport {
        id: uuid::Uuid::from_u128(u128::from(number)),
        at: TimeMs(i64::from(number)),
        actor: "alice".into(),
        cause: ReportCause::Activation,
        origin: "upload".into(),
        policy: name.map(policy),
        kind: name.map(|_| PolicyKind::Payout),
        params: ParamValues::from([("a.b".into(), 3)]),
        checks: vec![
            ReportedCheck { name: "manifest".into(), failure: None },
            ReportedCheck { name: "digest".into(), failure: Some("is another".into()) },
        ],
    }
}

pub async fn the_newest_reports_of_the_gate_are_kept(backend: &mut dyn Backend) {
    let store = backend.store();
    let named = report(1, Some("a"));
    store.add_report(named.clone()).await.unwrap();
    store.add_report(report(2, None)).await.unwrap();
    assert_eq!(store.reports(None, 10).await.unwrap(), [report(2, None), named.clone()]);
    assert_eq!(store.reports(Some(policy("a").digest), 10).await.unwrap(), [named]);
    assert_eq!(store.reports(None, 1).await.unwrap(), [report(2, None)]);
    assert_eq!(store.reports(Some(Digest::default()), 10).await.unwrap(), []);
    let more: Vec<_> =
        (3..=REPORTS_KEPT + 2).map(|number| store.add_report(report(number, None))).collect();
    for added in futures::future::join_all(more).await {
        added.unwrap();
    }
    let kept = store.reports(None, REPORTS_KEPT * 2).await.unwrap();
    let numbers: Vec<_> = kept.iter().map(|report| report.at.0).collect();
    let (newest, oldest) = (i64::from(REPORTS_KEPT) + 2, 3);
    assert_eq!(
        (numbers.len(), numbers.first(), numbers.last()),
        (REPORTS_KEPT as usize, Some(&newest), Some(&oldest))
    );
}

pub async fn an_import_is_remembered(backend: &mut dyn Backend) {
    let store = backend.store();
    let record = ImportRecord { digest: Digest::of(b"file"), outcome: "activated".into() };
    assert_eq!(store.import(record.digest).await.unwrap(), None);
    store.record_import(record.clone()).await.unwrap();
    assert_eq!(store.import(record.digest).await.unwrap(), Some(record));
}
