//! Nodes with keys of their own, registered and proven, and their signed reports.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use lucid_model::{
    fleet::statement,
    id::{Digest, NodeId},
    time::TimeMs,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    rate::CONNECTIONS,
    service::{Service, now, token},
    wire::{Wire, address, request, request_with},
};

/// Whose all nodes are.
const OWNER: &str = "fleet";

/// Where all of them are paid.
const WALLET: &str = "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC";

/// A node as its agent knows it.
pub struct Node {
    pub id: NodeId,
    key: SigningKey,
    token: String,
    sequence: u64,
}

/// One sample as a node writes it.
pub fn sample(number: u64) -> Value {
    json!({
        "cpu_usage": 20 + number % 50, "memory_usage": 41.25, "disk_usage": 10.5, "active_sessions": 1, "uptime": 30 * number,
        "network_usage": { "bytes_sent": 1_500 * number, "bytes_received": 9_000 * number, "packets_sent": 3 * number, "packets_received": 8 * number },
    })
}

impl Node {
    /// The next report's number, and its signature in base64.
    fn signed(&mut self, kind: &str, body: &str) -> (u64, String) {
        self.sequence += 1;
        let statement =
            statement::report(kind, self.id, self.sequence, Digest::of(body.as_bytes()));
        (self.sequence, STANDARD.encode(self.key.sign(&statement).to_bytes()))
    }

    /// A report as a request.
    pub fn report(&mut self, body: &str) -> Vec<u8> {
        self.request("metrics", body)
    }

    /// A session that it worked in so far, as a request.
    pub fn observe(&mut self, session: Uuid, start: TimeMs) -> Vec<u8> {
        let observation = json!({ "session_id": session.to_string(), "start_time": start.to_string(), "end_time": now().to_string(), "quality_score": 0.9 });
        self.request("observations", &json!({ "observations": [observation] }).to_string())
    }

    fn request(&mut self, kind: &str, body: &str) -> Vec<u8> {
        let (sequence, signature) = self.signed(kind, body);
        let headers = format!("x-lucid-sequence: {sequence}\r\nx-lucid-signature: {signature}\r\n");
        request_with(
            "POST",
            &format!("/api/v1/nodes/{}/{kind}", self.id),
            &self.token,
            body,
            &headers,
        )
    }

    /// Proves its key again, before its token is too old.
    pub async fn renew(&mut self, wire: &mut Wire) {
        self.token = prove(wire, self.id, &self.key).await;
    }

    /// A report as a gateway carries it.
    pub fn carried(&mut self, body: &str) -> Value {
        let (sequence, signature) = self.signed("metrics", body);
        json!({ "node_id": self.id.to_string(), "report": body, "sequence": sequence, "signature": signature })
    }
}

/// What a gateway sends.
pub fn batch(reports: &[Value]) -> Vec<u8> {
    request(
        "POST",
        "/api/v1/metrics:batch",
        &token(OWNER, "node_operator"),
        &json!({ "reports": reports }).to_string(),
    )
}

async fn ask(wire: &mut Wire, path: &str, token: &str, body: &Value) -> Value {
    let answer = wire.ask(&request("POST", path, token, &body.to_string())).await;
    assert!(
        answer.status < 300,
        "{path}: {} {}",
        answer.status,
        String::from_utf8_lossy(answer.body)
    );
    serde_json::from_slice(answer.body).unwrap()
}

/// A new token for a node's key.
async fn prove(wire: &mut Wire, id: NodeId, key: &SigningKey) -> String {
    let owner = token(OWNER, "node_operator");
    let given =
        ask(wire, "/api/v1/auth/challenge", &owner, &json!({ "node_id": id.to_string() })).await;
    let challenge = given["challenge"].as_str().unwrap();
    let signature = STANDARD.encode(key.sign(&statement::challenge(id, challenge)).to_bytes());
    let proof =
        json!({ "node_id": id.to_string(), "challenge": challenge, "signature": signature });
    ask(wire, "/api/v1/auth/token", &owner, &proof).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Registers a node, and proves its key.
async fn register(wire: &mut Wire, owner: &str, number: u32) -> Node {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    let key = SigningKey::from_bytes(&seed);
    let [_, b, c, d] = number.to_be_bytes();
    let public_key = STANDARD.encode(key.verifying_key().to_bytes());
    let body =
        json!({ "name": format!("worker {number}"), "ip_address": format!("10.{b}.{c}.{d}"), "port": 9000, "public_key": public_key, "wallet_address": WALLET }).to_string();
    let (nonce, timestamp) = (Uuid::now_v7().to_string(), now().0);
    let signed = statement::registration(
        "POST",
        "/api/v1/nodes",
        Digest::of(body.as_bytes()),
        timestamp,
        &nonce,
    );
    let signature = STANDARD.encode(key.sign(&signed).to_bytes());
    let headers = format!(
        "x-lucid-timestamp: {timestamp}\r\nx-lucid-nonce: {nonce}\r\nx-lucid-signature: {signature}\r\n"
    );
    let answer = wire.ask(&request_with("POST", "/api/v1/nodes", owner, &body, &headers)).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(answer.body));
    let node: Value = serde_json::from_slice(answer.body).unwrap();
    let id: NodeId = node["node_id"].as_str().unwrap().parse().unwrap();

    let token = prove(wire, id, &key).await;
    Node { id, key, token, sequence: 0 }
}

/// A fleet of so many nodes, each of which has reported once and is active.
pub async fn fleet(service: &Service, count: u32) -> Vec<Node> {
    let (owner, address, next) =
        (token(OWNER, "node_operator"), address(&service.base), Arc::new(AtomicU32::new(0)));
    let mut registering = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (owner, next) = (owner.clone(), Arc::clone(&next));
        registering.spawn(async move {
            let (mut wire, mut nodes) = (Wire::connect(address).await, Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return nodes;
                }
                let mut node = register(&mut wire, &owner, number).await;
                let first = node.report(&sample(0).to_string());
                assert_eq!(wire.ask(&first).await.status, 200);
                nodes.push(node);
            }
        });
    }
    registering.join_all().await.into_iter().flatten().collect()
}
