//! A sandbox on a free port with a folder of its own, and a client that hides nothing.

use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use lucid_sandbox::{Sandbox, SandboxConfig};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

pub type Outcome = Result<(), Box<dyn Error>>;
pub type Fallible<T> = Result<T, Box<dyn Error>>;

pub const ADDRESS: &str = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";
pub const HASH: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
const DEADLINE: Duration = Duration::from_secs(20);
const NEVER: Duration = Duration::from_secs(3_600);

pub struct Rig {
    pub sandbox: Sandbox,
    pub client: Client,
    pub dir: TempDir,
}

#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub body: Value,
}

impl Told {
    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }
}

pub fn config(data_dir: &Path, confirm_delay: Duration) -> Fallible<SandboxConfig> {
    Ok(SandboxConfig {
        listen: "127.0.0.1:0".parse()?,
        data_dir: data_dir.to_owned(),
        confirm_delay,
        block_interval: Duration::from_secs(3),
        faults_allowed: true,
    })
}

pub fn client() -> Fallible<Client> {
    // Whichever test comes first installs it; the others find it there.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE)
        .build()?)
}

impl Rig {
    pub fn new() -> Fallible<Self> {
        Self::confirming_after(NEVER)
    }

    pub fn confirming_after(confirm_delay: Duration) -> Fallible<Self> {
        let dir = tempfile::tempdir()?;
        Self::on(dir, confirm_delay)
    }

    pub fn on(dir: TempDir, confirm_delay: Duration) -> Fallible<Self> {
        let sandbox = Sandbox::start(config(dir.path(), confirm_delay)?)?;
        Ok(Self { sandbox, client: client()?, dir })
    }

    /// The same folder under a new instance.
    pub async fn restarted(self, confirm_delay: Duration) -> Fallible<Self> {
        self.sandbox.shutdown().await;
        Self::on(self.dir, confirm_delay)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.sandbox.url()))
    }

    pub fn paying(&self, key: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, "/api/v1/payouts").header("Idempotency-Key", key).json(body)
    }

    pub async fn pay(&self, key: &str, body: &Value) -> Fallible<Told> {
        told(self.paying(key, body)).await
    }

    pub async fn vote(&self, body: &Value) -> Fallible<Told> {
        told(self.request(Method::POST, "/api/v1/consensus/vote").json(body)).await
    }

    pub async fn get(&self, path: &str) -> Fallible<Told> {
        told(self.request(Method::GET, path)).await
    }

    pub async fn misbehave(&self, plan: Value) -> Outcome {
        let told = told(self.request(Method::PUT, "/api/v1/sandbox/faults").json(&plan)).await?;
        if told.status == 200 { Ok(()) } else { Err(format!("plan refused: {told:?}").into()) }
    }

    pub async fn transfers(&self) -> Fallible<Vec<Value>> {
        rows(self.get("/api/v1/sandbox/transfers?limit=1000").await?, "transfers")
    }

    pub async fn votes(&self) -> Fallible<Vec<Value>> {
        rows(self.get("/api/v1/sandbox/votes?limit=1000").await?, "votes")
    }

    /// Asks again until the answer fits; an answer that never does is the error.
    pub async fn eventually(&self, path: &str, fits: impl Fn(&Told) -> bool) -> Fallible<Told> {
        let start = Instant::now();
        loop {
            let told = self.get(path).await?;
            if fits(&told) {
                return Ok(told);
            }
            if start.elapsed() > DEADLINE {
                return Err(format!("{path} never fitted: {told:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Every answer read this way has to carry both marks.
pub async fn told(request: RequestBuilder) -> Fallible<Told> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let marked = response.headers().get("x-lucid-sandbox").is_some_and(|mark| mark == "1");
    let body: Value = serde_json::from_slice(&response.bytes().await?)?;
    if !marked || body.get("sandbox") != Some(&Value::Bool(true)) {
        return Err(format!("answer does not say sandbox: {status} {body}").into());
    }
    Ok(Told { status, body })
}

fn rows(told: Told, field: &str) -> Fallible<Vec<Value>> {
    let rows = told.body.get(field).and_then(Value::as_array).ok_or("no rows")?;
    Ok(rows.clone())
}

pub fn payout(id: &str, amount: &str) -> Value {
    json!({
        "payout_id": id,
        "reference": format!("ref-{id}"),
        "metadata": { "reference": format!("ref-{id}") },
        "node_id": "node-1",
        "user_id": "user-1",
        "recipient_address": ADDRESS,
        "wallet_address": ADDRESS,
        "amount": amount,
        "currency": "USDT",
    })
}

pub fn vote(node_id: &str, block_id: &str, score: &str) -> Value {
    json!({
        "node_id": node_id,
        "score": score,
        "block_id": block_id,
        "block_hash": HASH,
        "vote": "approve",
        "timestamp": "2026-01-01T00:00:00Z",
        "merkle_root": HASH,
        "signature": "c2lnbmF0dXJl",
    })
}
