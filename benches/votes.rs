//! Measures how fast votes that waited for a chain are sent: 10,000 nodes, four epochs, a store on
//! the disk, and the sandbox's chain as a process of its own, which makes every vote durable before
//! it answers: `make bench`, or `votes LUCID [NODES]`.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made stops and says where")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_model::{consensus::VoteState, policies::Revision};
use lucid_ports::{Order, PageRequest, VoteFilter};
use lucid_service::Ports;
use lucid_testkit::{fleet, sandbox};

const NODES: u32 = 10_000;
const EPOCHS: u32 = 4;
const DAYS_MS: i64 = 10 * 86_400_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let lucid = args.next().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let nodes = args.next().map_or(NODES, |text| text.parse().unwrap());
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(&lucid, nodes));
}

async fn run(lucid: &str, nodes: u32) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().display());
    let store = lucid_testkit::STORES.open(&url).await.unwrap();
    fleet::register(&store, nodes).await;
    fleet::activate(store.as_ref(), Path::new("policies/observation-weighted/1.0.0"), Revision(0))
        .await;
    for epoch in 1..=EPOCHS {
        fleet::work(&store, nodes, epoch).await;
    }
    let (_process, chain) =
        sandbox::start(lucid, &dir.path().join("sandbox"), &["--block-ms", "100"]);
    let chain = lucid_chain::ChainClient::new(lucid_chain::ChainConfig {
        base_url: chain,
        token: None,
        api_key: None,
        timeout: Duration::from_secs(5),
        egress: lucid_egress::Egress::default(),
        profile: lucid_chain::ChainProfile::LUCID,
    })
    .unwrap();
    let now = fleet::epoch(EPOCHS).end().plus_ms(45_000);
    let mut config = fleet::config(2);
    config.consensus.votes_age_max_ms = DAYS_MS;
    config.consensus.votes_in_flight_max = 16;
    let ports = Ports {
        chain: Some(Arc::new(chain)),
        ..fleet::ports(&store, &dir.path().join("cache"), now, 2)
    };
    let service = fleet::service_on(ports, config).await;
    while service.epochs.close_due_epoch().await.unwrap().is_some() {}
    let count = async |state| {
        let filter = VoteFilter { state, ..VoteFilter::default() };
        store
            .votes(&filter, PageRequest { page: 1, limit: 1, sort: (), order: Order::Ascending })
            .await
            .unwrap()
            .total
    };
    let started = Instant::now();
    // The next block is what is waited for when nothing is to be done.
    while service.consensus.send_votes().await.unwrap() > 0
        || !store.epochs_without_block().await.unwrap().is_empty()
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = started.elapsed();
    let (all, accepted) = (count(None).await, count(Some(VoteState::Accepted)).await);
    assert_eq!((all > 0, accepted), (true, all), "every vote is accepted");
    let a_second = u128::from(accepted) * 1_000_000 / took.as_micros().max(1);
    println!(
        "{accepted} votes of {nodes} nodes and {EPOCHS} epochs in {:.1} s: {a_second} votes/s",
        took.as_secs_f64()
    );
}
