//! Versions that run beside the active ones: asked about every period, deciding nothing.

use lucid_engine::read_bundle;
use lucid_model::{
    id::ShadowId,
    money::MicroUsdt,
    policies::{Findings, ParamValues, PolicyKind, PolicyVersion, Shadow, ShadowResult, Standing},
    review::simulation::Compared as _,
    telemetry::credit::Interval,
};
use lucid_ports::{Order, PageRequest};
use lucid_service::{Actor, NewShadow, Role, ServiceError, Simulated, VersionFilter};
use serde_json::json;
use uuid::Uuid;

use crate::{
    support::{
        Lucid, SHORT, block_on, money,
        node::{TestNode, work_until},
        root,
    },
    telemetry::cheats::{Scene, id, session},
};

const BUDGET: MicroUsdt = MicroUsdt(9_000_000);

fn scene() -> Scene {
    let mut config = money::config();
    config.money.budget = Some(BUDGET);
    let scene = Scene::with(&["observation-only", "hardware-and-identity", "proportional"], config);
    block_on(scene.service.money.fund_treasury(
        &Actor::system(),
        "test",
        MicroUsdt(100_000_000),
        "test",
    ))
    .unwrap();
    scene
}

fn version(scene: &Scene, name: &str) -> PolicyVersion {
    let bundle = read_bundle(&root().join(format!("policies/{name}/1.0.0"))).unwrap();
    block_on(scene.service.policies.stage(&Actor::system(), bundle, "test")).unwrap();
    let found =
        block_on(scene.service.policies.policy_versions(&VersionFilter {
            name: Some(name.into()),
            ..VersionFilter::default()
        }))
        .unwrap();
    found[0].version.clone()
}

fn begin(scene: &Scene, name: &str) -> Result<Shadow, Box<ServiceError>> {
    let new = NewShadow { params: ParamValues::new(), pool: None, reason: "to see".into() };
    block_on(scene.service.review.begin_shadow(&Actor::system(), &version(scene, name), new))
        .map_err(Box::new)
}

/// The first works all of ten minutes, the second half of them. Then the epoch, which is a
/// settlement period too, ends.
fn epoch(scene: &Scene, i: u64) {
    let from = scene.service.clock.now();
    for half_minute in 0..20 {
        scene.report(1);
        if half_minute < 10 {
            scene.report(2);
        }
        scene.pass(30_000);
    }
    scene.report(1);
    for node in [1, 2] {
        scene.observe(
            node,
            session(i * 10 + u64::from(node)),
            Interval { from, to: scene.service.clock.now() },
        );
    }
    scene.pass(3_600_000 - 600_000 + 1);
    while block_on(scene.service.epochs.close_due_epoch()).unwrap().is_some() {}
    while block_on(scene.service.money.settle_due_period()).unwrap().is_some() {}
}

fn ask(scene: &Scene) -> u32 {
    let mut steps = 0;
    while block_on(scene.service.review.ask_shadows()).unwrap() {
        steps += 1;
    }
    steps
}

fn said(scene: &Scene, shadow: &Shadow) -> Vec<ShadowResult> {
    let all = PageRequest { page: 1, limit: 100, sort: (), order: Order::Ascending };
    block_on(scene.service.review.shadow_results(shadow.id, all)).unwrap().1.items
}

#[test]
fn a_shadow_says_of_each_epoch_what_it_would_have_scored() {
    let scene = scene();
    let shadow = begin(&scene, "observation-weighted").unwrap();
    assert_eq!(ask(&scene), 0, "nothing is over");
    let standing = |name: &str| {
        block_on(scene.service.policies.policy_version(PolicyKind::Scoring, name, "1.0.0"))
            .unwrap()
            .standing
    };
    assert_eq!(
        [standing("observation-weighted"), standing("observation-only")],
        [Standing::Shadow, Standing::Active]
    );
    for i in 1..=2 {
        epoch(&scene, i);
        assert_eq!(ask(&scene), 1, "once a period");
    }
    let results = said(&scene, &shadow);
    assert_eq!(
        results.iter().map(|result| result.period.start_s).collect::<Vec<_>>(),
        [scene.epoch.start_s, scene.epoch.start_s + 3_600]
    );
    // The first says what a simulation of that epoch says: nothing of its own came before.
    let range = scene.epoch.interval();
    let simulated = block_on(scene.service.review.simulate(
        &Actor::system(),
        &version(&scene, "observation-weighted"),
        &ParamValues::new(),
        (range, None),
    ))
    .unwrap();
    let (_, Simulated::Scores(simulation)) = simulated else { panic!("scores") };
    assert_eq!(results[0].findings, Findings::Scores(simulation.summary(20)));
    let Findings::Scores(found) = &results[0].findings else { panic!("{results:?}") };
    assert!(
        found.nodes == 2
            && found.total.before != found.total.after
            && found.total.difference() != 0,
        "{found:?}"
    );
    // What is active decided: rows are as without it.
    let row = block_on(scene.store.score(scene.epoch.start_s, id(1))).unwrap().unwrap();
    assert_eq!((row.header.policy.name.as_str(), row.row.observed_s), ("observation-only", 600));

    let ended =
        block_on(scene.service.review.end_shadow(&Actor::system(), shadow.id, "seen".into()))
            .unwrap();
    assert_eq!(ended.ended.as_ref().unwrap().reason, "seen");
    epoch(&scene, 3);
    assert_eq!(
        (ask(&scene), said(&scene, &shadow).len(), standing("observation-weighted")),
        (0, 2, Standing::Checked)
    );
}

#[test]
fn a_shadow_of_a_payout_policy_says_in_usdt_who_would_have_got_what() {
    let scene = scene();
    let shadow = begin(&scene, "held-amount").unwrap();
    let tiers = begin(&scene, "capped-tiers").unwrap();
    epoch(&scene, 1);
    epoch(&scene, 2);
    ask(&scene);
    for shadow in [&shadow, &tiers] {
        let results = said(&scene, shadow);
        assert_eq!(results.len(), 2, "{results:?}");
        for result in &results {
            let Findings::Money(found) = &result.findings else { panic!("{result:?}") };
            assert_eq!((found.nodes, found.total.before), (2, BUDGET), "what was booked");
            assert!(found.total.after <= BUDGET, "a policy cannot overspend: {found:?}");
        }
    }
    // The recorded period says the same.
    let range = Interval { from: scene.epoch.start(), to: scene.epoch.end() };
    let simulated = block_on(scene.service.review.simulate(
        &Actor::system(),
        &version(&scene, "capped-tiers"),
        &ParamValues::new(),
        (range, None),
    ))
    .unwrap();
    let (_, Simulated::Money(simulation)) = simulated else { panic!("money") };
    assert_eq!(said(&scene, &tiers)[0].findings, Findings::Money(simulation.summary(20)));
    assert_eq!(simulation.csv().lines().count(), 3);
    // What is active changes nothing.
    let same = block_on(scene.service.review.simulate(
        &Actor::system(),
        &version(&scene, "proportional"),
        &ParamValues::new(),
        (range, None),
    ))
    .unwrap();
    let (_, Simulated::Money(same)) = same else { panic!("money") };
    assert_eq!((same.changed(), same.periods), (0, 1));
}

#[test]
fn what_cannot_run_as_a_shadow_is_refused_with_its_reason() {
    let scene = scene();
    begin(&scene, "observation-weighted").unwrap();
    assert!(
        matches!(begin(&scene, "observation-weighted"), Err(refused) if matches!(*refused, ServiceError::IsShadow { .. }))
    );
    assert!(
        matches!(begin(&scene, "hardware-and-identity"), Err(refused) if matches!(&*refused, ServiceError::Invalid { field, .. } if field == "kind"))
    );
    let new = |params: &[(&str, i64)]| NewShadow {
        params: params.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        pool: None,
        reason: String::new(),
    };
    let version = version(&scene, "new-node-ramp");
    let begin_with = |actor: &Actor, params: &[(&str, i64)]| {
        block_on(scene.service.review.begin_shadow(actor, &version, new(params))).map_err(Box::new)
    };
    assert!(
        matches!(begin_with(&Actor::system(), &[("nonsense", 1)]), Err(refused) if matches!(*refused, ServiceError::BundleRefused { .. }))
    );
    let viewer = Actor { roles: vec![Role::Viewer], ..Actor::system() };
    assert!(
        matches!(begin_with(&viewer, &[]), Err(refused) if matches!(*refused, ServiceError::Forbidden { .. }))
    );
    // A version that is retired meanwhile is not asked any more.
    let shadow = begin_with(&Actor::system(), &[]).unwrap();
    let standing = block_on(scene.service.policies.policy_version(
        PolicyKind::Scoring,
        "new-node-ramp",
        "1.0.0",
    ))
    .unwrap();
    block_on(scene.service.policies.retire(&Actor::system(), standing, "old".into())).unwrap();
    epoch(&scene, 1);
    ask(&scene);
    let over = block_on(scene.service.review.shadow(shadow.id)).unwrap();
    assert_eq!((over.ended.unwrap().by.as_str(), said(&scene, &shadow).len()), ("system", 0));
    assert!(
        matches!(begin_with(&Actor::system(), &[]), Err(refused) if matches!(*refused, ServiceError::Retired { .. }))
    );
}

#[test]
fn a_shadow_that_cannot_be_loaded_says_so_and_holds_up_no_other() {
    let scene = scene();
    let sound = begin(&scene, "observation-weighted").unwrap();
    // As one would be whose version this process does not load any more. Asked before the other.
    let params = ParamValues::from([("nonsense".to_owned(), 1)]);
    let broken = Shadow { id: ShadowId(Uuid::from_u128(1)), params, ..sound.clone() };
    assert!(
        block_on(scene.store.add_shadow(broken.clone(), money::audit("policy.shadow"))).unwrap()
    );
    epoch(&scene, 1);
    ask(&scene);
    let [told] = said(&scene, &broken).try_into().unwrap();
    assert!(
        matches!(&told.findings, Findings::Failed(reason) if reason.contains("nonsense")),
        "{told:?}"
    );
    assert!(matches!(said(&scene, &sound)[0].findings, Findings::Scores(_)));
}

#[test]
fn an_author_runs_a_shadow_over_http() {
    let lucid = Lucid::serve_with(&SHORT);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let author = lucid.token("bob", "policy-author");
    let path = "/api/v1/policies/scoring/observation-only/1.0.0/shadow";
    assert_eq!(
        lucid.call("POST", path, Some(&lucid.token("alice", "node_operator")), Some(&json!({}))).0,
        403
    );
    assert_eq!(lucid.call("POST", path, Some(&author), Some(&json!({ "pool_id": "x" }))).0, 400);
    let (status, shadow) =
        lucid.call("POST", path, Some(&author), Some(&json!({ "reason": "to see" })));
    assert_eq!((status, &shadow["state"]), (201, &json!("running")), "{shadow}");
    assert_eq!(lucid.call("POST", path, Some(&author), Some(&json!({}))).0, 409);
    let one = format!("/api/v1/policies/shadows/{}", shadow["shadow_id"].as_str().unwrap());
    assert_eq!(lucid.get(&one), shadow);
    let results = format!("{one}/results");
    let told = work_until(&lucid, &mut node, "what the shadow says of an epoch", || {
        let told = lucid.get(&results);
        (told["results"][0]["nodes"].as_u64() >= Some(1)).then_some(told)
    });
    assert!(told["results"][0]["scores"]["after"]["mean_score"].is_number(), "{told}");
    let (_, csv) = lucid.call(
        "GET",
        &format!("{results}?format=csv"),
        Some(&lucid.token("carol", "admin")),
        None,
    );
    assert!(csv.as_str().unwrap().starts_with("period,nodes,nodes_changed,"), "{csv}");
    assert_eq!(lucid.get("/api/v1/policies/shadows")["pagination"]["total"], 1);
    assert_eq!(
        lucid.get("/api/v1/policies?state=shadow")["policies"][0]["policy"]["name"],
        "observation-only"
    );
    assert_eq!(
        lucid.call("POST", &format!("{one}/end"), Some(&author), Some(&json!({}))).0,
        400,
        "why?"
    );
    let (status, ended) = lucid.call(
        "POST",
        &format!("{one}/end"),
        Some(&author),
        Some(&json!({ "reason": "seen" })),
    );
    assert_eq!(
        (status, &ended["state"], &ended["end_reason"]),
        (200, &json!("ended"), &json!("seen")),
        "{ended}"
    );
    assert_eq!(
        lucid.call("GET", "/api/v1/policies/shadows/x", Some(&author), None).0,
        403,
        "fleet rights"
    );
}
