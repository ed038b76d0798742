use lucid_foundation::{Actor, Role};
use lucid_model::{
    audit::request::{RequestKey, StoredAnswer},
    id::Digest,
};
use lucid_ports::{AuditLog as _, Begun};

use crate::Ground;

#[tokio::test]
async fn a_seal_is_made_only_when_a_chain_moved_and_names_its_end() {
    let ground = Ground::empty();
    let audit = ground.audit();
    let add = async |action: &str| {
        audit.add(audit.entry(&Actor::system(), action, 1, "because")).await.unwrap();
    };
    assert!(!audit.seal_audit().await.unwrap(), "there is nothing to seal");
    add("test.first").await;
    assert!(audit.seal_audit().await.unwrap());
    assert!(!audit.seal_audit().await.unwrap(), "nothing moved since");
    ground.set.pass_ms(5_000);
    add("test.second").await;
    assert!(audit.seal_audit().await.unwrap());
    let seal = ground.store.last_audit_seal().await.unwrap().unwrap();
    let heads = ground.store.audit_heads().await.unwrap();
    assert_eq!((seal.statement.seq, seal.statement.at), (2, ground.clock.now()));
    assert_eq!(seal.statement.heads, heads);
    assert_eq!(audit.newest_record().await.unwrap(), Some(ground.clock.now()));
}

#[tokio::test]
async fn a_request_is_run_once_answered_again_and_forgotten_in_time() {
    let ground = Ground::empty();
    let audit = ground.audit();
    let key = || RequestKey { subject: "alice".into(), key: "k-1".into() };
    let begin = async |body: &[u8]| audit.begin_request(key(), Digest::of(body)).await.unwrap();
    let Begun::Run(first) = begin(b"a").await else { panic!("nobody was there before") };
    assert_eq!(begin(b"a").await, Begun::InProgress);
    assert_eq!(begin(b"b").await, Begun::OtherRequest);
    ground.set.pass_ms(10_001);
    assert_eq!(
        begin(b"a").await,
        Begun::Run(first),
        "a lease that is over is taken over, with its id"
    );
    let answer = StoredAnswer { status: 201, headers: Vec::new(), body: b"made".to_vec() };
    audit.end_request(key(), Some(answer.clone())).await.unwrap();
    assert_eq!(begin(b"a").await, Begun::Answered(answer));
    ground.set.pass_ms(60_001);
    audit.forget_requests().await.unwrap();
    assert!(matches!(begin(b"b").await, Begun::Run(_)), "the key is free again");
}

#[tokio::test]
async fn the_log_is_for_those_who_see_everybody() {
    let audit = Ground::empty().audit();
    let owner = Actor { roles: vec![Role::Owner], ..Actor::system() };
    assert!(audit.audit_heads(&owner).await.is_err());
    assert!(audit.audit_heads(&Actor::system()).await.is_ok());
}
