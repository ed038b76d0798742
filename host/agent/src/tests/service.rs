//! A stand-in for the service, behind a line that can be cut: it checks what the real one would.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use lucid_api_types::{
    ErrorKind,
    error::DETAIL_HIGHEST_SEQUENCE,
    fleet::auth::{ChallengeRequest, RegistrationSignature, ReportSignature, TokenRequest},
    parse,
    telemetry::report::{MetricsRequest, ObservationsRequest},
};
use lucid_model::{
    fleet::{node::PublicKey, statement},
    id::{Digest, NodeId},
    time::TimeMs,
};
use serde_json::{Map, Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};

/// The node that the service makes of whoever registers.
pub(super) const NODE: NodeId =
    NodeId(uuid::Uuid::from_u128(0x0192_f0c1_2b3c_7d4e_8f90_1234_5678_9abc));

/// What the service has seen and how it behaves.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) registrations: u32,
    pub(super) taken: bool,
    pub(super) key: Option<PublicKey>,
    pub(super) status: &'static str,
    pub(super) logins: u32,
    tokens: HashSet<String>,
    /// Sequence numbers with the digest of their body and the answer.
    pub(super) reports: BTreeMap<u64, (Digest, String)>,
    pub(super) highest: u64,
    pub(super) repeated: u32,
    pub(super) samples: Vec<TimeMs>,
    pub(super) sessions: Vec<(String, TimeMs)>,
    /// What the agent should never have done.
    pub(super) violations: Vec<String>,
    /// The next report is stored, and its answer never comes.
    pub(super) swallow: bool,
    /// Reports are not taken for a second.
    pub(super) busy: bool,
    /// What a proxy answers in the service's place.
    pub(super) proxy: Option<u16>,
}

#[derive(Clone)]
pub(super) struct Service {
    seen: Arc<Mutex<Seen>>,
    line: Arc<watch::Sender<bool>>,
    pub(super) swallowed: Arc<Notify>,
    pub(super) address: SocketAddr,
}

impl Service {
    pub(super) async fn start() -> Self {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let seen = Seen { status: "active", ..Seen::default() };
        let service = Self {
            seen: Arc::new(Mutex::new(seen)),
            line: Arc::new(watch::channel(true).0),
            swallowed: Arc::default(),
            address: outer.local_addr().unwrap(),
        };
        let routes = Router::new()
            .route("/api/v1/nodes", post(register))
            .route("/api/v1/auth/challenge", post(challenge))
            .route("/api/v1/auth/token", post(token))
            .route("/api/v1/nodes/{id}/{kind}", post(report))
            .with_state(service.clone());
        let (to, line) = (inner.local_addr().unwrap(), service.line.subscribe());
        tokio::spawn(async move { axum::serve(inner, routes).await });
        tokio::spawn(forward(outer, to, line));
        service
    }
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
    /// Cuts the line, or mends it.
    pub(super) fn set_up(&self, up: bool) {
        self.line.send_replace(up);
    }
    /// The service forgets every token.
    pub(super) fn revoke_tokens(&self) {
        self.seen().tokens.clear();
    }
}

async fn forward(listener: TcpListener, to: SocketAddr, line: watch::Receiver<bool>) {
    while let Ok((mut from, _)) = listener.accept().await {
        let mut line = line.clone();
        tokio::spawn(async move {
            if !*line.borrow() {
                return;
            }
            let mut onward = TcpStream::connect(to).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut from, &mut onward) => {}
                _ = line.wait_for(|up| !up) => {}
            }
        });
    }
}

fn refuse(kind: ErrorKind, details: Map<String, Value>) -> Response {
    let body = kind.body(kind.title(), details, "request", TimeMs(0));
    (StatusCode::from_u16(kind.status()).unwrap(), Json(body)).into_response()
}

fn header<'a>(headers: &'a HeaderMap) -> impl Fn(&str) -> Option<&'a str> {
    move |name| headers.get(name)?.to_str().ok()
}

async fn register(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> Response {
    let mut seen = service.seen();
    if headers.get("authorization").is_none_or(|value| value != "Bearer owner") {
        return refuse(ErrorKind::NotAuthenticated, Map::new());
    }
    if seen.taken {
        return refuse(ErrorKind::NodeExists, Map::new());
    }
    let registration = parse::<lucid_api_types::fleet::node::RegisterNodeRequest>(&body).unwrap();
    let key = registration.public_key.unwrap();
    let signed = RegistrationSignature::read(header(&headers)).unwrap().unwrap();
    let statement = statement::registration(
        "POST",
        "/api/v1/nodes",
        Digest::of(&body),
        signed.timestamp_ms,
        &signed.nonce,
    );
    if !statement::verify(key, &statement, &signed.signature) {
        seen.violations.push("registration is not signed".into());
    }
    seen.registrations += 1;
    seen.key = Some(key);
    let answer = json!({
        "node_id": NODE.to_string(), "user_id": "", "name": registration.name, "status": "pending", "ip_address": registration.address.map(|a| a.ip.to_string()),
        "port": registration.address.map(|a| a.port), "created_at": "", "updated_at": "", "total_observation_time": 0, "payable": false,
        "configuration": {"max_sessions": 10, "auto_scaling": false, "monitoring_enabled": true, "resource_limits":
            {"max_cpu_usage": 80, "max_memory_usage": 80, "max_disk_usage": 90, "max_network_bandwidth": 1}},
    });
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn challenge(body: Bytes) -> Response {
    assert_eq!(parse::<ChallengeRequest>(&body), Ok(NODE));
    Json(json!({"challenge": "sign me", "expires_at": ""})).into_response()
}

async fn token(State(service): State<Service>, body: Bytes) -> Response {
    let request = parse::<TokenRequest>(&body).unwrap();
    let mut seen = service.seen();
    let statement = statement::challenge(NODE, &request.challenge);
    if !seen.key.is_some_and(|key| statement::verify(key, &statement, &request.signature)) {
        return refuse(ErrorKind::NotAuthenticated, Map::new());
    }
    seen.logins += 1;
    let token = format!("token-{}", seen.logins);
    seen.tokens.insert(format!("Bearer {token}"));
    Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": 900})).into_response()
}

async fn report(
    State(service): State<Service>,
    Path((id, kind)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = {
        let mut seen = service.seen();
        if let Some(status) = seen.proxy {
            let page = [("content-type", "text/html"), ("location", "http://127.0.0.1:9/login")];
            return (
                StatusCode::from_u16(status).unwrap(),
                page,
                "<html>Sign in to the network</html>",
            )
                .into_response();
        }
        if !header(&headers)("authorization").is_some_and(|value| seen.tokens.contains(value)) {
            return refuse(ErrorKind::NotAuthenticated, Map::new());
        }
        if seen.busy {
            let mut refusal = refuse(ErrorKind::RateLimited, Map::new());
            refusal.headers_mut().insert("retry-after", "1".parse().unwrap());
            return refusal;
        }
        match seen.store(&id, &kind, &headers, &body) {
            Ok(_) if seen.swallow => {
                seen.swallow = false;
                service.swallowed.notify_one();
                None
            }
            Ok(answer) => Some(([("content-type", "application/json")], answer).into_response()),
            Err(refusal) => Some(*refusal),
        }
    };
    match answer {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}

impl Seen {
    fn store(
        &mut self,
        id: &str,
        kind: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<String, Box<Response>> {
        let signed = ReportSignature::read(header(headers)).unwrap().unwrap();
        let (digest, sequence) = (Digest::of(body), signed.sequence);
        let statement = statement::report(kind, NODE, sequence, digest);
        if id != NODE.to_string()
            || !self.key.is_some_and(|key| statement::verify(key, &statement, &signed.signature))
        {
            self.violations.push(format!("report {sequence} is not signed"));
        }
        match self.reports.get(&sequence) {
            Some((stored, answer)) if *stored == digest => {
                self.repeated += 1;
                return Ok(answer.clone());
            }
            Some(_) => self.violations.push(format!("report {sequence} has two bodies")),
            None => {}
        }
        if sequence <= self.highest {
            return Err(Box::new(refuse(
                ErrorKind::Conflict,
                Map::from_iter([(DETAIL_HIGHEST_SEQUENCE.to_owned(), self.highest.into())]),
            )));
        }
        self.highest = sequence;
        let answer = if kind == "metrics" {
            let samples = parse::<MetricsRequest>(body).unwrap();
            self.samples.extend(samples.iter().filter_map(|sample| sample.at));
            json!({"accepted": samples.len(), "repeated": false, "status": self.status, "last_heartbeat": crate::now().plus_ms(600_000).to_string()})
        } else {
            let sessions = parse::<ObservationsRequest>(body).unwrap();
            self.sessions.extend(
                sessions.iter().map(|claimed| (claimed.session.to_string(), claimed.span.to)),
            );
            let verdicts: Vec<_> = sessions.iter().map(|claimed| json!({"session_id": claimed.session.to_string(), "verdict": "accepted"})).collect();
            json!({"observations": verdicts})
        };
        self.reports.insert(sequence, (digest, answer.to_string()));
        Ok(answer.to_string())
    }
}
