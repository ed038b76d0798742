//! The network's own blockchain service, in its shape, over real HTTP.

use std::time::Duration;

use lucid_chain::{ChainClient, ChainConfig, ChainProfile};
use lucid_egress::probe::Verdict;
use lucid_model::{
    consensus::{BlockRef, Vote, VoteChoice, VoteState},
    epochs::score::ScoreCenti,
    id::{Digest, NodeId},
    time::TimeMs,
};
use lucid_ports::{Chain, VoteAnswer};
use serde_json::json;

use crate::{
    doctor::{doctor, finding},
    support::{
        Lucid, SHORT, SandboxProcess, block_on,
        node::{TestNode, work_until},
    },
};

fn client(
    sandbox: &SandboxProcess,
    profile: ChainProfile,
    token: Option<&str>,
    api_key: Option<&str>,
) -> ChainClient {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base_url = if profile == ChainProfile::LUCID {
        sandbox.url.clone()
    } else {
        format!("{}/blockchain-core", sandbox.url)
    };
    let (token, api_key) = (token.map(str::to_owned), api_key.map(str::to_owned));
    ChainClient::new(ChainConfig {
        base_url,
        token: token.map(Into::into),
        api_key: api_key.map(Into::into),
        timeout: Duration::from_secs(3),
        egress: lucid_egress::Egress::default(),
        profile,
    })
    .unwrap()
}

fn core(sandbox: &SandboxProcess) -> ChainClient {
    client(sandbox, ChainProfile::BLOCKCHAIN_CORE, Some("a token"), Some("a key"))
}

pub fn vote(block: &BlockRef, choice: VoteChoice) -> Vote {
    Vote {
        node: NodeId(uuid::Uuid::now_v7()),
        epoch_start_s: 3_600,
        score: ScoreCenti(8_750),
        block: Some(block.clone()),
        choice,
        timestamp: TimeMs(7_200_000),
        merkle_root: Digest([7; 32]),
        state: VoteState::Pending,
        vote_id: None,
        answer: None,
        attempts: 0,
        next_attempt_at: TimeMs(0),
    }
}

#[test]
fn the_networks_chain_wants_a_token_and_a_key_and_names_its_newest_block() {
    let sandbox = SandboxProcess::start();
    for (token, key) in [(None, None), (Some("a token"), None), (None, Some("a key"))] {
        let refused =
            block_on(client(&sandbox, ChainProfile::BLOCKCHAIN_CORE, token, key).latest_block())
                .unwrap_err();
        assert!(refused.detail.contains("401"), "{refused}");
    }
    let block = block_on(core(&sandbox).latest_block()).unwrap();
    assert_eq!((block.hash.len(), block.id.is_empty()), (64, false), "{block:?}");
    let other = client(&sandbox, ChainProfile::LUCID, None, None);
    assert_eq!(
        block_on(other.latest_block()).unwrap().hash.len(),
        64,
        "and the default shape beside it"
    );
    sandbox.set_faults(&json!({ "block": [{ "answer": "html", "times": 1 }] }));
    assert!(block_on(core(&sandbox).latest_block()).is_err());
}

#[test]
fn a_vote_of_the_networks_chain_is_decided_by_its_answer_and_shares_its_id() {
    let sandbox = SandboxProcess::start();
    let chain = core(&sandbox);
    let block = block_on(chain.latest_block()).unwrap();
    assert!(
        chain.takes(VoteChoice::Approve)
            && chain.takes(VoteChoice::Reject)
            && !chain.takes(VoteChoice::Abstain)
    );
    let sent = |choice| block_on(chain.vote(&vote(&block, choice), &block, [7; 64])).unwrap();
    let ids: Vec<String> = (0..20)
        .map(|_| match sent(VoteChoice::Approve) {
            VoteAnswer::Accepted { vote_id, status } if status == "accepted" => vote_id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(ids.windows(2).any(|two| two[0] == two[1]), "ids are seconds: {ids:?}");
    assert_eq!(sandbox.get("/api/v1/sandbox/votes")["votes"].as_array().unwrap().len(), 20);
    sandbox
        .set_faults(&json!({ "vote": [{ "effect": { "late": { "ms": 60_000 } }, "times": 1 }] }));
    assert!(
        matches!(sent(VoteChoice::Reject), VoteAnswer::Accepted { ref status, .. } if status == "pending"),
        "nothing more will be said"
    );
    // Such a vote may be there from before the profile was set: it is not sent a second time.
    assert!(matches!(block_on(chain.look(&ids[0])).unwrap(), Some(VoteAnswer::Accepted { .. })));
    assert!(
        matches!(sent(VoteChoice::Abstain), VoteAnswer::Rejected { ref reason } if reason.contains("approve or reject")),
        "the chain has no such vote"
    );
    let misnamed = BlockRef { hash: "hash_12345".into(), ..block.clone() };
    let refused =
        block_on(chain.vote(&vote(&misnamed, VoteChoice::Approve), &misnamed, [7; 64])).unwrap();
    assert!(
        matches!(refused, VoteAnswer::Rejected { ref reason } if reason.contains("422")),
        "{refused:?}"
    );
}

#[test]
fn a_chain_is_tried_on_the_route_of_its_profile() {
    let sandbox = SandboxProcess::start();
    let fits = |client: ChainClient| block_on(client.probe()).unwrap().verdict;
    assert!(matches!(fits(core(&sandbox)), Verdict::Fits(_)));
    assert!(matches!(fits(client(&sandbox, ChainProfile::LUCID, None, None)), Verdict::Fits(_)));
    assert!(matches!(
        fits(client(&sandbox, ChainProfile::BLOCKCHAIN_CORE, Some("a token"), None)),
        Verdict::Refused(_)
    ));
}

/// The settings of a service at the network's chain; the folder holds its secrets.
fn settings(sandbox: &SandboxProcess, dir: &std::path::Path) -> Vec<(&'static str, String)> {
    let written = |name: &str, text: &str| {
        let file = dir.join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    vec![
        ("TRON_PAYMENT_URL", sandbox.url.clone()),
        ("BLOCKCHAIN_URL", format!("{}/blockchain-core", sandbox.url)),
        ("BLOCKCHAIN_PROFILE", "blockchain-core".to_owned()),
        ("BLOCKCHAIN_TOKEN_FILE", written("token", "a token\n")),
        ("BLOCKCHAIN_API_KEY_FILE", written("key", "a key\n")),
    ]
}

#[test]
fn a_service_votes_at_the_networks_chain_and_doctor_says_whether_it_can() {
    let (sandbox, dir) = (SandboxProcess::start(), tempfile::tempdir().unwrap());
    let settings = settings(&sandbox, dir.path());
    let all: Vec<(&str, &str)> = SHORT
        .into_iter()
        .chain(settings.iter().map(|(name, value)| (*name, value.as_str())))
        .collect();
    let service = Lucid::serve_with(&all);
    let mut node = TestNode::register(&service, "alice", 1);
    let accepted = work_until(&service, &mut node, "an accepted vote", || {
        let votes = service.get("/api/v1/consensus/votes?state=accepted");
        votes["votes"].as_array().unwrap().first().cloned()
    });
    assert!(accepted["vote_id"].as_str().is_some_and(|id| id.starts_with("vote_")), "{accepted}");
    let sent = sandbox.get("/api/v1/sandbox/votes");
    assert!(
        sent["votes"].as_array().unwrap().iter().any(|vote| vote["node_id"] == accepted["node_id"]),
        "{sent}"
    );

    let of = |without: &[&str], changed: &[(&'static str, &str)]| {
        let kept =
            all.iter().copied().filter(|(name, _)| !without.contains(name) && *name != "RAIL");
        let (code, findings) = doctor(
            &dir.path().join("data"),
            &kept.chain(changed.iter().copied()).collect::<Vec<_>>(),
        );
        let found = finding(&findings, "blockchain service").clone();
        (
            code,
            found["level"].as_str().unwrap().to_owned(),
            format!("{} {}", found["found"], found["todo"]),
        )
    };
    let (code, level, found) = of(&[], &[]);
    assert!(level == "ok" && found.contains("blockchain-core"), "{code:?} {found}");
    let (code, level, found) = of(&["BLOCKCHAIN_API_KEY_FILE"], &[]);
    assert!(
        (code, level.as_str()) == (Some(1), "fail")
            && found.contains("401")
            && found.contains("BLOCKCHAIN_API_KEY_FILE"),
        "{found}"
    );
    let (code, level, found) = of(&["BLOCKCHAIN_PROFILE"], &[]);
    assert!(
        (code, level.as_str()) == (Some(1), "fail") && found.contains("BLOCKCHAIN_PROFILE"),
        "{found}"
    );
    let (_, findings) = doctor(dir.path(), &[("BLOCKCHAIN_PROFILE", "another")]);
    let found = finding(&findings, "blockchain service");
    assert!(
        found["found"]
            .as_str()
            .unwrap()
            .contains("\"another\" is not one of lucid, blockchain-core"),
        "{found}"
    );
    let (code, findings) = doctor(dir.path(), &[("BLOCKCHAIN_TOKEN_FILE", "/nowhere")]);
    assert_eq!(code, Some(1));
    assert!(
        finding(&findings, "configuration")["found"].as_str().unwrap().contains("/nowhere"),
        "{findings:?}"
    );
}
