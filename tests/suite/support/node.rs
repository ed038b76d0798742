//! A node of a test: its key, its signatures, its place in the sequence.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use lucid_model::{
    fleet::statement,
    id::{Digest, NodeId},
    time::TimeMs,
};
use serde_json::{Value, json};

use super::{Lucid, block_on, client, eventually, now_ms};

pub const WALLET: &str = "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC";

pub struct TestNode {
    pub id: NodeId,
    pub key: SigningKey,
    pub token: String,
    pub sequence: u64,
    pub session: uuid::Uuid,
    pub started_ms: i64,
}

/// The key of a number.
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// A registration's body.
pub fn registration(key: &SigningKey, port: u16) -> Value {
    json!({
        "name": format!("node {port}"), "ip_address": "192.0.2.7", "port": port, "wallet_address": WALLET,
        "public_key": STANDARD.encode(key.verifying_key().to_bytes()),
        "hardware": { "cpu_cores": 4, "memory_bytes": 8_000_000_000_u64, "storage_bytes": 100_000_000_000_u64 },
    })
}

/// The headers that sign a registration.
pub fn registration_headers(
    key: &SigningKey,
    body: &[u8],
    timestamp_ms: i64,
    nonce: &str,
) -> Vec<(&'static str, String)> {
    let signed =
        statement::registration("POST", "/api/v1/nodes", Digest::of(body), timestamp_ms, nonce);
    vec![
        ("x-lucid-timestamp", timestamp_ms.to_string()),
        ("x-lucid-nonce", nonce.to_owned()),
        ("x-lucid-signature", STANDARD.encode(key.sign(&signed).to_bytes())),
    ]
}

impl TestNode {
    /// Registers a node for `owner` and proves its key.
    pub fn register(lucid: &Lucid, owner: &str, number: u8) -> Self {
        Self::register_with(lucid, owner, number, |_| {})
    }

    /// The same with another body.
    pub fn register_with(
        lucid: &Lucid,
        owner: &str,
        number: u8,
        edit: impl FnOnce(&mut Value),
    ) -> Self {
        let key = key(number);
        let mut body = registration(&key, 9000 + u16::from(number));
        edit(&mut body);
        let body = serde_json::to_vec(&body).unwrap();
        let headers =
            registration_headers(&key, &body, now_ms(), &uuid::Uuid::now_v7().to_string());
        let (status, node) = lucid.send(
            "POST",
            "/api/v1/nodes",
            Some(&lucid.token(owner, "node_operator")),
            Some(body),
            &headers,
        );
        assert_eq!((status, node["status"].as_str()), (201, Some("pending")), "{node}");
        let mut made = Self::take_over(&node, number);
        made.prove(lucid);
        made
    }

    /// A node that was registered otherwise, with the key of a number.
    pub fn take_over(node: &Value, number: u8) -> Self {
        let id = node["node_id"].as_str().unwrap().parse().unwrap();
        Self {
            id,
            key: key(number),
            token: String::new(),
            sequence: 0,
            session: uuid::Uuid::now_v7(),
            started_ms: now_ms(),
        }
    }

    /// Gets a token by challenge.
    pub fn prove(&mut self, lucid: &Lucid) {
        let (status, token) = self.answer(lucid, &self.challenge(lucid));
        assert_eq!(status, 200, "{token}");
        self.token = token["access_token"].as_str().unwrap().to_owned();
    }

    /// Asks for a challenge.
    pub fn challenge(&self, lucid: &Lucid) -> String {
        let whose = json!({ "node_id": self.id.to_string() });
        let (status, given) = lucid.call("POST", "/api/v1/auth/challenge", None, Some(&whose));
        assert_eq!(status, 200, "{given}");
        given["challenge"].as_str().unwrap().to_owned()
    }

    /// Answers a challenge.
    pub fn answer(&self, lucid: &Lucid, challenge: &str) -> (u16, Value) {
        let signature =
            STANDARD.encode(self.key.sign(&statement::challenge(self.id, challenge)).to_bytes());
        let answer = json!({ "node_id": self.id.to_string(), "challenge": challenge, "signature": signature });
        lucid.call("POST", "/api/v1/auth/token", None, Some(&answer))
    }

    /// Sends a signed report with the next number.
    pub fn report(&mut self, lucid: &Lucid, kind: &str, body: &Value) -> (u16, Value) {
        self.sequence += 1;
        self.report_as(lucid, kind, self.sequence, body)
    }

    /// Sends a signed report with a number.
    pub fn report_as(
        &self,
        lucid: &Lucid,
        kind: &str,
        sequence: u64,
        body: &Value,
    ) -> (u16, Value) {
        let (bytes, headers) = self.signed(kind, sequence, body);
        lucid.send(
            "POST",
            &format!("/api/v1/nodes/{}/{kind}", self.id),
            Some(&self.token),
            Some(bytes),
            &headers,
        )
    }

    /// Sends a signed report of samples to a service that may be killed meanwhile: the status, if
    /// an answer came.
    pub fn try_report(&self, lucid: &Lucid, sequence: u64, body: &Value) -> Option<u16> {
        let (bytes, headers) = self.signed("metrics", sequence, body);
        let request = client()
            .post(format!("{}/api/v1/nodes/{}/metrics", lucid.base, self.id))
            .bearer_auth(&self.token);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let request = request.header("content-type", "application/json").body(bytes);
        block_on(async {
            let answer = request.send().await.ok()?;
            let status = answer.status().as_u16();
            answer.bytes().await.ok().map(|_| status)
        })
    }

    /// A report's bytes, and the headers that sign it.
    pub fn signed(
        &self,
        kind: &str,
        sequence: u64,
        body: &Value,
    ) -> (Vec<u8>, [(&'static str, String); 2]) {
        let bytes = serde_json::to_vec(body).unwrap();
        let signature =
            self.key.sign(&statement::report(kind, self.id, sequence, Digest::of(&bytes)));
        (
            bytes,
            [
                ("x-lucid-sequence", sequence.to_string()),
                ("x-lucid-signature", STANDARD.encode(signature.to_bytes())),
            ],
        )
    }

    /// A sample and the observation session so far.
    pub fn work(&mut self, lucid: &Lucid) {
        let (number, sample) = self.next_sample();
        let (status, answer) = self.report_as(lucid, "metrics", number, &sample);
        assert_eq!(status, 200, "{answer}");
        let (status, answer) = self.report(
            lucid,
            "observations",
            &json!({ "observations": [self.session_until(now_ms())] }),
        );
        assert_eq!(status, 200, "{answer}");
    }

    /// A sample as a report that may have to be sent again, byte for byte: its number and its body.
    pub fn next_sample(&mut self) -> (u64, Value) {
        self.sequence += 1;
        let sample = json!({
            "cpu_usage": 25.5, "memory_usage": 40, "disk_usage": 10, "active_sessions": 1, "uptime": 1000,
            "network_usage": { "bytes_sent": 10 * self.sequence, "bytes_received": 5, "packets_sent": 1, "packets_received": 1 },
        });
        (self.sequence, sample)
    }

    /// The session from the node's start to an end.
    pub fn session_until(&self, end_ms: i64) -> Value {
        json!({
            "session_id": self.session.to_string(), "start_time": TimeMs(self.started_ms).to_string(),
            "end_time": TimeMs(end_ms).to_string(), "quality_score": 0.9,
        })
    }
}

/// Reports, as often as a hurried node may, until something is there.
pub fn work_until<T>(
    lucid: &Lucid,
    node: &mut TestNode,
    what: &str,
    look: impl Fn() -> Option<T>,
) -> T {
    let mut next = std::time::Instant::now();
    eventually(what, || {
        if std::time::Instant::now() >= next {
            node.work(lucid);
            next += std::time::Duration::from_millis(500);
        }
        look()
    })
}
