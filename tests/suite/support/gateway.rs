//! A gateway of a test: signs tokens, publishes its keys over real HTTP, or fails to, and counts
//! who asks for them.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};

use super::now_ms;

/// What the gateway does when it is asked for its keys.
#[derive(Clone)]
pub enum Answer {
    /// It publishes these.
    Keys(Vec<Value>),
    /// It answers so.
    Other { status: &'static str, headers: String, body: String },
    /// It hangs up.
    Nothing,
}

pub struct Gateway {
    pub url: String,
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Gateway {
    pub fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = Self {
            url: format!("http://{address}"),
            address,
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
            ended: Arc::default(),
        };
        let (answer, asked, ended) =
            (Arc::clone(&gateway.answer), Arc::clone(&gateway.asked), Arc::clone(&gateway.ended));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                // A client that hangs up first is no failure of the gateway.
                let _ = reply(connection, &answer);
            }
        });
        gateway
    }

    pub fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// How often it was asked for its keys.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn reply(connection: TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut lines = BufReader::new(&connection).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, headers, body) = match answer {
        Answer::Keys(keys) if first.starts_with("GET /.well-known/jwks.json ") => {
            ("200 OK", String::new(), json!({ "keys": keys }).to_string())
        }
        Answer::Keys(_) => ("404 Not Found", String::new(), first),
        Answer::Other { status, headers, body } => (*status, headers.clone(), body.clone()),
        Answer::Nothing => return Ok(()),
    };
    write!(
        &connection,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// A key of the gateway.
pub struct SigningKey {
    pub kid: &'static str,
    pub algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    pub fn rsa(kid: &'static str, pem: &[u8]) -> Self {
        Self { kid, algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_pem(pem).unwrap() }
    }

    pub fn ed25519(kid: &'static str, seed: u8) -> Self {
        // PKCS #8 around a seed is these bytes and the seed.
        let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        der.extend([seed; 32]);
        Self { kid, algorithm: Algorithm::EdDSA, key: EncodingKey::from_ed_der(&der) }
    }

    /// As it is published.
    pub fn jwk(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap())
                .unwrap();
        jwk["kid"] = self.kid.into();
        jwk["use"] = "sig".into();
        jwk
    }

    pub fn header(&self) -> Header {
        Header { kid: Some(self.kid.into()), ..Header::new(self.algorithm) }
    }

    pub fn sign(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key).unwrap()
    }

    /// An ordinary token.
    pub fn token(&self, subject: &str, role: &str) -> String {
        self.sign(&self.header(), &claims(subject, role))
    }
}

/// What the gateway says in a token.
pub fn claims(subject: &str, role: &str) -> Value {
    json!({ "user_id": subject, "role": role, "type": "access", "exp": now_ms() / 1000 + 600, "iss": "api-gateway", "aud": "lucid-blockchain" })
}
