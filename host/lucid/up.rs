//! `lucid up`: the whole mission on this machine, with the sandbox in the place of money.

mod view;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use lucid_agent::{AgentConfig, AgentEvent};
use lucid_api::Listeners;
use lucid_api_types::notifications::event::EventBody;
use lucid_client::Credential;
use lucid_model::{fleet::commands::NewPool, id::Digest, money::tron::TronAddress};
use lucid_ports::{NodeFilter, NodeSort, Order, PageRequest, PoolFilter, PoolSort};
use lucid_service::{Actor, Service};
use tokio::{net::TcpListener, sync::broadcast::error::RecvError};
use tokio_util::sync::CancellationToken;
use view::View;

use crate::{
    callers,
    cli::{LINKS_END, out, out::Output},
    compose::{self, App},
    config::{Config, ignored_by_up, service_links},
    family, local, private,
    tasks::Tasks,
};

/// What a whole run has to show, in its order.
pub const PATH: [&str; 6] = [
    "node.registered",
    "node.assigned",
    "metrics.stored",
    "score.computed",
    "vote.accepted",
    "payout.completed",
];

/// The local agent's report interval: short, like all periods of `up`.
const AGENT_INTERVAL: Duration = Duration::from_secs(2);
/// Whose node the local agent is.
const LOCAL_OWNER: &str = "local-operator";
/// How long the admin token is good for.
const ADMIN_TOKEN_S: u64 = 24 * 3600;

/// Runs until told to stop, or for a time. The answer says whether the whole path was seen.
pub async fn run(config: &Config, time: Option<Duration>, output: Output) -> Result<bool> {
    let mut view = View::new(output, out::is_terminal() && std::env::var_os("NO_COLOR").is_none());
    view.title();
    for name in ignored_by_up() {
        view.note(&format!("{name} is set and ignored: `lucid up` always uses the sandbox"));
    }
    if let Some(text) = service_links() {
        view.note(&format!("{text}: {LINKS_END}"));
    }
    if let Some(loose) = private::loose(config.data_dir()) {
        view.note(&loose.to_string());
    }
    let interrupted = crate::cli::interrupted()?;
    let listeners = listen(config).await?;
    let port = listeners.api.local_addr()?.port();
    let App { service, api, coordinator, edge, mut importer, sandbox, jwt_secret, files, begun } =
        compose::compose(config).await?;
    let jwt_secret = jwt_secret.context("there is no secret to sign tokens with")?;
    let mut events = service.notifications.bus().subscribe();
    let mut seen = BTreeSet::new();
    view.stage("store", &config.store_shown());
    view.stage(
        "sandbox",
        &format!(
            "payments and chain at {}; no money moves",
            sandbox.as_ref().map(lucid_sandbox::Sandbox::url).unwrap_or_default()
        ),
    );
    compose::begin(config, &service, &mut importer).await?;
    for activation in service.policies.active_policies().await?.1 {
        view.stage("policy", &format!("{:<10} {}", activation.kind.name(), activation.policy));
    }
    prepare(&service, &mut view, &mut seen).await?;
    let tasks = Tasks::start(&service, &api, &coordinator, importer, &files, config);
    let death = tasks.death();
    family::tell(config, &service, begun);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let stream = api.stream.clone();
    let base = format!("{}://127.0.0.1:{port}", edge.scheme());
    let server =
        tokio::spawn(lucid_api::serve(
            listeners,
            api,
            edge,
            async move { stopped.cancelled().await },
        ));
    view.stage("api", &format!("{base}  (dashboard /, API /api/v1, described at /docs, /metrics)"));
    view.secret(
        "admin token, good for 24 h, shown once",
        &token(config, &jwt_secret, ("admin", "super_admin"), &service)?,
    );
    let owner_token = token(config, &jwt_secret, (LOCAL_OWNER, "node_operator"), &service)?;
    let agent = tokio::spawn(agent(agent_config(config, base, port, owner_token)?, stop.clone()));
    view.stage("agent", &format!("this machine, reporting every {} s", AGENT_INTERVAL.as_secs()));
    view.ready(&config.policies.dir);

    let deadline = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(deadline);
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => {
                    let body = EventBody::new(&event, &stream);
                    view.event(&body);
                    let before = whole(&seen);
                    seen.insert(body.kind);
                    if !before && whole(&seen) {
                        view.complete();
                    }
                }
                Err(RecvError::Lagged(lost)) => view.note(&format!("{lost} events were too many to show")),
                Err(RecvError::Closed) => break,
            },
            () = &mut deadline => break,
            () = &mut interrupted => break,
            () = death.happens() => break,
        }
    }
    stop.cancel();
    server.await?;
    tasks.stop().await;
    if let Ok(Err(error)) = agent.await {
        bail!("the local agent ended: {error}");
    }
    death.none()?;
    if let Some(sandbox) = sandbox {
        sandbox.shutdown().await;
    }
    let missing: Vec<_> = PATH.iter().filter(|step| !seen.contains(**step)).copied().collect();
    view.end(&missing);
    // Stopped by hand before the path was through is no failure.
    Ok(missing.is_empty() || time.is_none())
}

/// Whether every step of the path was seen.
fn whole(seen: &BTreeSet<String>) -> bool {
    PATH.iter().all(|step| seen.contains(*step))
}

/// A pool, and what an earlier run left behind.
async fn prepare(service: &Service, view: &mut View, seen: &mut BTreeSet<String>) -> Result<()> {
    let one = |sort| PageRequest { page: 1, limit: 1, sort, order: Order::Ascending };
    let pools = service
        .fleet
        .pools(
            PoolFilter::default(),
            PageRequest { page: 1, limit: 1, sort: PoolSort::CreatedAt, order: Order::Ascending },
        )
        .await?;
    if pools.total == 0 {
        let pool = NewPool {
            name: "default".into(),
            description: Some("made by lucid up".into()),
            max_nodes: 100,
            config: Default::default(),
        };
        service.fleet.create_pool(&Actor::system(), pool).await?;
    }
    view.stage("treasury", &format!("{} USDT of the sandbox", service.money.treasury().await?));
    let nodes = service
        .fleet
        .nodes(&Actor::system(), NodeFilter::default(), one(NodeSort::CreatedAt))
        .await?;
    if let Some(known) = nodes.items.first() {
        view.note(&format!(
            "this store knows node {} already; its registration is not repeated",
            known.node.id
        ));
        seen.insert("node.registered".into());
        if known.node.pool.is_some() {
            seen.insert("node.assigned".into());
        }
    }
    Ok(())
}

fn token(
    config: &Config,
    secret: &str,
    (subject, role): (&str, &str),
    service: &Service,
) -> Result<String> {
    Ok(lucid_api::issue_token_with(
        &callers::roles_claim(config)?,
        secret,
        subject,
        role,
        ADMIN_TOKEN_S,
        service.clock.now(),
    )?)
}

/// How the local agent works; over TLS it trusts the certificate that this process serves with.
fn agent_config(
    config: &Config,
    server: String,
    port: u16,
    owner_token: String,
) -> Result<AgentConfig> {
    let dir = config.data_dir().join("agent");
    let wallet = sandbox_wallet(&dir).to_string();
    let mut agent = AgentConfig::new(server, IpAddr::V4(Ipv4Addr::LOCALHOST), port, dir);
    agent.interval = AGENT_INTERVAL;
    agent.credential = Some(Credential::Bearer(owner_token));
    agent.wallet = Some(wallet);
    let read = |file: &PathBuf| {
        std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
    };
    agent.ca_pem = config.server.tls_cert_file.as_ref().map(read).transpose()?;
    Ok(agent)
}

async fn agent(config: AgentConfig, stop: CancellationToken) -> Result<()> {
    let told = |event: AgentEvent| match event {
        AgentEvent::Offline { reason, .. } => {
            tracing::warn!(reason, "the local agent cannot report")
        }
        AgentEvent::DiskFailing { reason } => {
            tracing::warn!(reason, "the local agent's disk does not keep what it should")
        }
        AgentEvent::Refused { reason } => {
            tracing::warn!(reason, "a report of the local agent was refused")
        }
        other => tracing::debug!(?other, "local agent"),
    };
    Ok(lucid_agent::run(config, stop, told).await?)
}

/// An address that looks like any other and that nobody has a key of: sandbox money has nowhere to
/// go.
fn sandbox_wallet(dir: &std::path::Path) -> TronAddress {
    let digest = Digest::of(format!("lucid sandbox wallet {}", dir.display()).as_bytes());
    let mut payload = [1; 20];
    payload.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
    // A hash of zeros is not to be had; the fallback keeps this total.
    TronAddress::from_payload(payload).unwrap_or_else(|| sandbox_wallet(&dir.join("x")))
}

/// Takes the ports before anything is created.
async fn listen(config: &Config) -> Result<Listeners> {
    let bound = async |address| {
        TcpListener::bind(address)
            .await
            .map_err(|error| anyhow::anyhow!(local::busy(address, &error)))
    };
    let api = bound(compose::address(config)).await?;
    let measurements = match compose::metrics_address(config) {
        Some(address) => Some(bound(address).await?),
        None => None,
    };
    Ok(Listeners { api, measurements })
}

pub async fn serve(config: &Config) -> Result<()> {
    let interrupted = crate::cli::interrupted()?;
    let listeners = listen(config).await?;
    let address = listeners.api.local_addr()?;
    let App { service, api, coordinator, edge, mut importer, sandbox, files, begun, .. } =
        compose::compose(config).await?;
    compose::begin(config, &service, &mut importer).await?;
    let tasks = Tasks::start(&service, &api, &coordinator, importer, &files, config);
    let death = tasks.death();
    family::tell(config, &service, begun);
    tracing::info!(%address, url = format!("{}://{address}", edge.scheme()), environment = api.environment, "lucid serves");
    let over = death.clone();
    let told = async move {
        tokio::select! {
            () = interrupted => {}
            () = over.happens() => {}
        }
    };
    lucid_api::serve(listeners, Arc::clone(&api), edge, told).await;
    tasks.stop().await;
    if let Some(sandbox) = sandbox {
        sandbox.shutdown().await;
    }
    death.none()?;
    tracing::info!("stopped");
    Ok(())
}
