//! Composition: the only place that names concrete backends.

mod features;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use lucid_api::{
    Api, ApiLimits, Authenticator, ConnectionLimits, Edge, EdgeSettings, HeadLimits,
    KeyringSettings, RoleMap, SECRET_BYTES_MIN, TlsFiles, TokenSecrets, TokenSettings,
};
use lucid_coordination::{
    LocalCoordinator, LocalLimiter, LocalUsedOnce, Quotas, RedisCoordinator, RedisSettings,
};
use lucid_engine::{EngineConfig, PolicyEngine};
use lucid_gateway::GatewayClient;
use lucid_model::{epochs::score::Ppm, id::FamilyId, money::MicroUsdt};
use lucid_ports::{
    Chain, Coordinator, Environment, GatewayKeys, PaymentRail, RateLimiter, Stamp, Store, UsedOnce,
};
use lucid_sandbox::{Sandbox, SandboxConfig};
use lucid_service::{Actor, Ports, Service};
use lucid_store::OpenError;
use lucid_webhooks::WebhookClient;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio_util::sync::CancellationToken;

use crate::{
    callers,
    clients::{self, Credentials},
    clock::ClockNotes,
    config::{Config, ConfigError, RailKind},
    family::{self, Begun},
    import::Importer,
    measurements, open_files,
    ports::{ServiceKey, SystemClock, SystemEntropy},
    secrets::{self, watched::SecretFiles},
    stamp,
    stores::STORES,
    trust,
};

/// Upper bounds of latency buckets, in seconds.
const LATENCY_BUCKETS: [f64; 12] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
/// From one block of the sandbox's chain to the next.
const SANDBOX_BLOCK_INTERVAL: Duration = Duration::from_secs(3);

/// Everything that was put together and runs nothing yet.
pub struct App {
    /// The use cases.
    pub service: Arc<Service>,
    /// The HTTP API.
    pub api: Arc<Api>,
    /// What it agrees on with other replicas.
    pub coordinator: Arc<dyn Coordinator>,
    /// How it is reached.
    pub edge: Edge,
    /// The policies folder, looked at once.
    pub importer: Importer,
    /// The stand-in, if it is used.
    pub sandbox: Option<Sandbox>,
    /// What tokens are signed with, unless only the gateway signs them.
    pub jwt_secret: Option<String>,
    /// Secrets that are read again when their files change.
    pub files: Arc<SecretFiles>,
    /// Whether the store was there before.
    pub begun: Begun,
}

/// Where to listen.
pub fn address(config: &Config) -> SocketAddr {
    SocketAddr::new(config.server.bind, config.server.port)
}

/// Where measurements are, if they have a port of their own.
pub fn metrics_address(config: &Config) -> Option<SocketAddr> {
    (config.server.metrics_port != 0)
        .then(|| SocketAddr::new(config.server.bind, config.server.metrics_port))
}

/// Puts the service together.
pub async fn compose(config: &Config) -> Result<App> {
    let data = config.data_dir().to_owned();
    // Before anything is created: a wrong secret or amount is the operator's to mend.
    let service_config = features::service_config(config)?;
    let edge = edge(config)?;
    let token_secrets = secrets::jwt::secrets(config, &data)?;
    let jwt_secret = token_secrets.shared.first().cloned();
    let challenge_keys = secrets::jwt::challenge_keys(&token_secrets);
    let auth = authenticator(config, token_secrets)?;
    let credentials = Credentials::read(config)?;
    secrets::configured_seal_keys(config)?;
    in_memory_for_the_sandbox(config)?;
    let store =
        STORES.open_with(&config.store.url, config.store.cache_mib).await.map_err(unusable)?;
    let sandbox = sandbox(config, data.join("sandbox"))?;
    let (rail, environment) = rail(config, &credentials, sandbox.as_ref())?;
    let (family, begun) = stamped(config, store.as_ref(), environment, rail.as_deref()).await?;
    // A replica is called like its stream of events.
    let stream = uuid::Uuid::now_v7().simple().to_string();
    let Coordination { coordinator, limiter, used_once } = coordination(config, family, &stream)?;
    let ports = Ports {
        store,
        policies: engine(config, data.join("cache"))?,
        chain: chain(config, &credentials, sandbox.as_ref())?,
        rail,
        webhooks: Arc::new(WebhookClient::new(
            Duration::from_millis(u64::from(config.webhooks.timeout_ms)),
            config.webhooks.inside,
            config.egress.build()?,
        )),
        signer: Arc::new(ServiceKey(secrets::service_key(&data.join("secrets"))?)),
        sealer: Arc::new(secrets::seal_keys(config)?),
        clock: Arc::new(SystemClock::start()),
        entropy: Arc::new(SystemEntropy),
        challenge_key: challenge_keys
            .first()
            .cloned()
            .context("there is no secret for tokens of nodes")?,
        used_once,
    };
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &LATENCY_BUCKETS)?
        .install_recorder()
        .context("cannot install the metrics recorder")?;
    measurements::begin();
    let service = Service::new(ports, service_config, family);
    service.fleet.replace_challenge_keys(challenge_keys);
    let api = Api {
        service: Arc::clone(&service),
        auth,
        limiter,
        limits: ApiLimits {
            body_bytes_max: config.server.body_bytes_max,
            request_time_max: Duration::from_secs(config.server.request_time_max_s),
        },
        metrics,
        scraping: callers::scraping(config)?,
        feed: lucid_api::Feed::new(&stream),
        streams: lucid_api::Streams::default(),
        uploads: lucid_api::Uploads::default(),
        stream,
        stopping: CancellationToken::new(),
        environment: environment.name(),
    };
    let importer = Importer::new(Arc::clone(&service), config.policies.dir.clone());
    let api = Arc::new(api);
    let files = SecretFiles::new(
        credentials
            .watched()
            .chain(secrets::jwt::watched(&config.auth, &api))
            .chain(callers::watched(config, &api.scraping))
            .collect(),
    );
    Ok(App { service, api, coordinator, edge, importer, sandbox, jwt_secret, files, begun })
}

/// Whether [`compose`] could, as far as the configuration and the files that it names say: nothing
/// is created, opened or called.
pub fn check(config: &Config) -> Result<()> {
    config.check_tokens()?;
    features::service_config(config)?;
    edge(config)?;
    callers::scraping(config)?;
    // Without a secret of the operator's there is one of the service's own, which is made when it
    // starts.
    let token_secrets = if config.auth.jwt_secret.is_some() || config.auth.jwt_secret_file.is_some()
    {
        secrets::jwt::secrets(config, config.data_dir())?
    } else {
        TokenSecrets { shared: Vec::new(), nodes: vec!["0".repeat(SECRET_BYTES_MIN)] }
    };
    authenticator(config, token_secrets)?;
    let credentials = Credentials::read(config)?;
    secrets::configured_seal_keys(config)?;
    in_memory_for_the_sandbox(config)?;
    STORES.check_url(&config.store.url).map_err(unusable)?;
    rail(config, &credentials, None)?;
    chain(config, &credentials, None)?;
    coordination(config, FamilyId(uuid::Uuid::nil()), "check").map(|_| ())
}

fn in_memory_for_the_sandbox(config: &Config) -> Result<()> {
    if config.is_in_memory() && config.rail.kind != RailKind::Sandbox {
        bail!(ConfigError("store.url: what is in memory is gone when the process ends: memory:// is for RAIL=sandbox only".into()));
    }
    Ok(())
}

/// What has to be done before anything runs: policies, the sandbox's funds, presence. What a crash
/// left of payouts is taken up by whoever becomes the payer.
pub async fn begin(config: &Config, service: &Service, importer: &mut Importer) -> Result<()> {
    service.vitals.await_store_check();
    // Before anything is dated.
    let notes = ClockNotes::of(config.data_dir());
    service.watch_clock(&notes.boot, notes.read().as_ref()).await?;
    service.money.enter_store().await?;
    let sealed = service.notifications.seal_webhooks().await?;
    if sealed > 0 {
        tracing::info!(sealed, "webhook secrets were sealed with the key outside the store");
    }
    importer.start().await?;
    let funds =
        maybe_money("payouts.sandbox_funds_usdt", config.payouts.sandbox_funds_usdt.as_ref())?;
    if let (Some(funds), RailKind::Sandbox) = (funds, config.rail.kind) {
        service
            .money
            .fund_treasury(&Actor::system(), "sandbox", funds, "funds of the sandbox")
            .await?;
    }
    Ok(service.fleet.watch_fleet().await?)
}

/// A store that is there already.
pub async fn existing(url: &str) -> Result<Arc<dyn Store>> {
    if !url.starts_with("mongodb") {
        lucid_store_sqlite::inspect(url, Duration::ZERO).map_err(unusable)?;
    }
    STORES.open(url).await.map_err(unusable)
}

/// A URL that is wrong, or a store that a newer binary has written, is the operator's to mend.
fn unusable(error: OpenError) -> anyhow::Error {
    let wrong = matches!(
        error,
        OpenError::NotAUrl { .. }
            | OpenError::Scheme { .. }
            | OpenError::MongoUrl { .. }
            | OpenError::NewerSchema { .. }
            | OpenError::MongoNewerSchema { .. }
            | OpenError::HalfCopied
    );
    let error = anyhow::Error::from(error);
    if wrong { ConfigError(format!("{error:#}")).into() } else { error }
}

/// The serving edge. The limit of open files is raised with it: connections are most of them.
fn edge(config: &Config) -> Result<Edge> {
    let server = &config.server;
    let settings = EdgeSettings {
        head: HeadLimits {
            url_bytes_max: server.url_bytes_max,
            headers_max: server.headers_max,
            header_bytes_max: server.header_bytes_max,
        },
        connections: ConnectionLimits {
            connections_max: open_files::connections(
                server.connections_max,
                open_files::raise_limit()?,
            ),
            head_time_max: Duration::from_secs(server.head_time_max_s),
            idle_time_max: Duration::from_secs(server.idle_time_max_s),
            stall_time_max: Duration::from_secs(server.stall_time_max_s),
            handshake_time_max: Duration::from_secs(server.tls_handshake_time_max_s),
            http2_streams_max: server.http2_streams_max,
            shutdown_grace: Duration::from_secs(server.shutdown_grace_s),
        },
        trusted_proxies: server.trusted_proxies.clone(),
        cors_origins: server.cors_origins.clone(),
        tls: server
            .tls_cert_file
            .clone()
            .zip(server.tls_key_file.clone())
            .map(|(cert, key)| TlsFiles { cert, key }),
    };
    Ok(Edge::new(settings).map_err(|error| ConfigError(error.to_string()))?)
}

fn authenticator(config: &Config, secrets: TokenSecrets) -> Result<Authenticator> {
    let auth = &config.auth;
    let roles = RoleMap::with(&auth.role_map)
        .map_err(|error| ConfigError(format!("auth.role_map: {error}")))?;
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let gateway = match auth.jwks() {
        Some(url) => {
            let keys: Arc<dyn GatewayKeys> = Arc::new(GatewayClient::new(
                &config.egress.build()?,
                &url,
                Duration::from_millis(u64::from(auth.jwks_timeout_ms)),
            )?);
            let kept = KeyringSettings {
                refresh: seconds(auth.jwks_refresh_s),
                gap: seconds(auth.jwks_gap_s),
                age_max: seconds(auth.jwks_age_max_s),
            };
            Some((keys, kept))
        }
        None => None,
    };
    let settings = TokenSettings {
        secrets,
        audience: auth.jwt_audience.clone(),
        issuer: auth.jwt_issuer.clone(),
        node_token_s: auth.node_token_s,
        roles,
        roles_claim: callers::roles_claim(config)?,
        gateway,
    };
    Ok(Authenticator::new(settings)
        .map_err(|error| ConfigError(format!("auth.jwt_secret: {error}")))?)
}

fn quotas(config: &Config) -> Quotas {
    let limits = &config.limits;
    Quotas {
        admin_per_min: limits.admin_per_min,
        payouts_per_min: limits.payouts_per_min,
        poot_per_min: limits.poot_per_min,
        registrations_per_min: limits.registrations_per_min,
        registrations_burst: limits.registrations_burst,
        other_per_min: limits.other_per_min,
        parties_max: limits.parties_max,
    }
}

/// What replicas agree on by.
struct Coordination {
    coordinator: Arc<dyn Coordinator>,
    limiter: Arc<dyn RateLimiter>,
    used_once: Arc<dyn UsedOnce>,
}

/// Over Redis if it is named, else in this process. Everything in Redis is named after the store.
fn coordination(config: &Config, family: FamilyId, replica: &str) -> Result<Coordination> {
    let quotas = quotas(config);
    let Some(url) = &config.coordination.redis_url else {
        let (coordinator, limiter) =
            (Arc::new(LocalCoordinator::new(replica)), Arc::new(LocalLimiter::new(&quotas)));
        return Ok(Coordination {
            coordinator,
            limiter,
            used_once: Arc::new(LocalUsedOnce::default()),
        });
    };
    let settings = RedisSettings {
        url: url.clone(),
        ca_pem: config.coordination.ca_pem()?,
        namespace: format!("lucid:{}", family.0.simple()),
        replica: replica.to_owned(),
        timeout: Duration::from_millis(u64::from(config.coordination.timeout_ms)),
    };
    let redis = RedisCoordinator::new(settings)
        .map_err(|error| ConfigError(format!("coordination.redis_url (REDIS_URI): {error}")))?;
    let (limiter, used_once) = (Arc::new(redis.limiter(&quotas)), Arc::new(redis.used_once()));
    Ok(Coordination { coordinator: Arc::new(redis), limiter, used_once })
}

fn money(name: &str, text: &str) -> Result<MicroUsdt, ConfigError> {
    text.parse().map_err(|error| ConfigError(format!("{name} {text:?}: {error}")))
}

fn maybe_money(name: &str, text: Option<&String>) -> Result<Option<MicroUsdt>, ConfigError> {
    text.map(|text| money(name, text)).transpose()
}

/// The policy engine.
pub fn engine(config: &Config, cache: PathBuf) -> Result<Arc<PolicyEngine>> {
    let mut engine = EngineConfig::new(cache);
    if config.policies.threads > 0 {
        engine.guest_threads = config.policies.threads;
    }
    engine.deadline = Duration::from_millis(u64::from(config.policies.deadline_ms));
    engine.trust = trust::list(&config.policies)?;
    engine.multiplier_max = Ppm(config.scoring.policy_multiplier_max_ppm);
    Ok(PolicyEngine::new(engine)?)
}

/// Starts the stand-in, unless it is not wanted or runs somewhere else already.
fn sandbox(config: &Config, data_dir: PathBuf) -> Result<Option<Sandbox>> {
    if config.rail.kind != RailKind::Sandbox || config.rail.url.is_some() {
        return Ok(None);
    }
    let sandbox = Sandbox::start(SandboxConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data_dir,
        confirm_delay: Duration::from_millis(u64::from(config.rail.sandbox_confirm_ms)),
        block_interval: SANDBOX_BLOCK_INTERVAL,
        faults_allowed: false,
    })?;
    Ok(Some(sandbox))
}

fn rail(
    config: &Config,
    credentials: &Credentials,
    sandbox: Option<&Sandbox>,
) -> Result<(Option<Arc<dyn PaymentRail>>, Environment)> {
    let environment = match config.rail.kind {
        RailKind::Sandbox => Environment::Sandbox,
        RailKind::Auto => {
            stamp::profile(config)?;
            Environment::Live
        }
        RailKind::None => return Ok((None, Environment::Live)),
    };
    let Some(base_url) = config.rail.url.clone().or_else(|| sandbox.map(Sandbox::url)) else {
        return Ok((None, environment));
    };
    let timeout = Duration::from_millis(u64::from(config.rail.timeout_ms));
    Ok((Some(Arc::new(clients::payment(config, credentials, base_url, timeout)?)), environment))
}

fn chain(
    config: &Config,
    credentials: &Credentials,
    sandbox: Option<&Sandbox>,
) -> Result<Option<Arc<dyn Chain>>> {
    let shared = (config.rail.kind == RailKind::Sandbox).then(|| config.rail.url.clone()).flatten();
    let timeout = Duration::from_millis(u64::from(config.chain.timeout_ms));
    let chain = clients::chain(config, credentials, sandbox.map(Sandbox::url).or(shared), timeout)?;
    Ok(chain.map(|chain| Arc::new(chain) as Arc<dyn Chain>))
}

/// Sandbox and live never meet: what the store was made for must be what it is used for. Nor is
/// another store, or an empty one, ever taken for the one that belongs here.
async fn stamped(
    config: &Config,
    store: &dyn Store,
    environment: Environment,
    rail: Option<&dyn PaymentRail>,
) -> Result<(FamilyId, Begun)> {
    let rail = rail.map(PaymentRail::name);
    let known = store.known_stamp().await?;
    let pinned = family::pinned(config)?;
    family::check(config, pinned.as_ref(), known.as_ref().map(|stamp| stamp.family))?;
    let fresh = Stamp {
        environment,
        network: stamp::network(environment).into(),
        rail: rail.unwrap_or(environment.name()).to_owned(),
        family: FamilyId(uuid::Uuid::now_v7()),
    };
    let mine = fresh.family;
    let found = store.stamp_or(fresh).await?;
    if let Some(misfit) = stamp::misfit(&found, environment, rail) {
        return Err(ConfigError(misfit).into());
    }
    family::pin(config, found.family)?;
    Ok((found.family, if found.family == mine { Begun::Now } else { Begun::Before }))
}
