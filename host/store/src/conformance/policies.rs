use lucid_model::{
    id::Digest,
    policy::{Activation, Bundle, BundleSignature, KeyId, ParamValues, PolicyKind, PolicyVersion, Revision, Scope, VersionState},
    time::TimeMs,
};
use lucid_ports::{Activated, AuditFilter, ImportRecord, Order, StoredBundle};

use super::{Backend, all, examples::*, fifty};

fn bundle(name: &str, at: i64) -> StoredBundle {
    StoredBundle {
        version: PolicyVersion {
            policy: policy(name),
            kind: PolicyKind::Scoring,
            abi: "lucid:policy/scoring@1.0.0".into(),
            state: VersionState::Rejected,
            reason: Some("golden: case 1".into()),
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

fn activation(name: &str, scope: Scope) -> Activation {
    Activation {
        revision: Revision(0),
        kind: PolicyKind::Scoring,
        scope,
        policy: policy(name),
        params: ParamValues::from([("weight".into(), -7)]),
        at: TimeMs(5),
        actor: "alice".into(),
        reason: "better".into(),
    }
}

pub(crate) async fn a_version_is_kept_once_with_its_bundle(backend: &mut dyn Backend) {
    let store = backend.store();
    let first = bundle("a", 1);
    assert!(store.add_version(first.clone(), audit("policy.add")).await.unwrap());
    let mut again = bundle("a", 9);
    again.version.state = VersionState::Checked;
    assert!(!store.add_version(again, audit("policy.add")).await.unwrap());
    assert_eq!(store.bundle(first.version.policy.digest).await.unwrap(), Some(first.clone()));
    assert_eq!(store.bundle(Digest::default()).await.unwrap(), None);
    assert!(store.add_version(bundle("b", 2), audit("policy.add")).await.unwrap());
    assert_eq!(store.versions().await.unwrap(), [bundle("b", 2).version, first.version]);
    assert_eq!(store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total, 2);
}

pub(crate) async fn a_versions_signatures_are_replaced(backend: &mut dyn Backend) {
    let store = backend.store();
    let mut kept = bundle("a", 1);
    let digest = kept.version.policy.digest;
    let signatures = vec![BundleSignature { key: KeyId([2; 8]), signature: [255; 64] }, BundleSignature { key: KeyId([3; 8]), signature: [0; 64] }];
    let signed_by = vec!["bob".to_owned(), "carol".to_owned()];
    let sign = || store.sign_version(digest, signatures.clone(), signed_by.clone(), audit("policy.sign"));
    assert!(!sign().await.unwrap(), "there is no such version");
    assert!(store.add_version(kept.clone(), audit("policy.add")).await.unwrap());
    assert!(sign().await.unwrap());
    (kept.bundle.signatures, kept.version.signed_by) = (signatures.clone(), signed_by.clone());
    assert_eq!(store.bundle(digest).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.versions().await.unwrap(), [kept.version]);
    assert_eq!(store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total, 2);
}

pub(crate) async fn one_of_fifty_activations_wins(backend: &mut dyn Backend) {
    let store = backend.store();
    let outcomes = fifty(|_| {
        let store = store.clone();
        let two = vec![activation("a", Scope::Default), activation("b", Scope::Pool(pool_id(1)))];
        async move { store.activate(Revision(0), two, vec![audit("policy.activate")]).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| **o == Activated::Done(Revision(2))).count(), 1);
    assert_eq!(outcomes.iter().filter(|o| **o == Activated::Conflict).count(), 49);
    assert_eq!(store.activations(10).await.unwrap().len(), 2);
}

pub(crate) async fn the_newest_activation_of_a_scope_is_in_force(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.active().await.unwrap(), (Revision(0), vec![]));
    let pool = Scope::Pool(pool_id(1));
    for (based_on, name, scope) in [(0, "a", Scope::Default), (1, "b", pool), (2, "c", Scope::Default)] {
        let done = store.activate(Revision(based_on), vec![activation(name, scope)], vec![]).await.unwrap();
        assert_eq!(done, Activated::Done(Revision(based_on + 1)));
    }
    let in_force =
        vec![Activation { revision: Revision(2), ..activation("b", pool) }, Activation { revision: Revision(3), ..activation("c", Scope::Default) }];
    assert_eq!(store.active().await.unwrap(), (Revision(3), in_force));
    let newest: Vec<_> = store.activations(2).await.unwrap().into_iter().map(|a| a.revision.0).collect();
    assert_eq!(newest, [3, 2]);
}

pub(crate) async fn an_import_is_remembered(backend: &mut dyn Backend) {
    let store = backend.store();
    let record = ImportRecord { digest: Digest::of(b"file"), outcome: "activated".into() };
    assert_eq!(store.import(record.digest).await.unwrap(), None);
    store.record_import(record.clone()).await.unwrap();
    assert_eq!(store.import(record.digest).await.unwrap(), Some(record));
}
