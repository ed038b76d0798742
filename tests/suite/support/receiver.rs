//! An endpoint of webhooks: a little HTTP server of a test's own that answers as it is told and
//! keeps what it got.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread,
};

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    headers: Vec<(String, String)>,
    pub body: String,
    /// The same, whatever it is.
    pub bytes: Vec<u8>,
    /// What it was answered with.
    pub answered: u16,
}

impl Arrived {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether it is signed with a secret, by another implementation than the service's.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let message = format!(
            "{}.{}.{}",
            self.header("lucid-webhook-id"),
            self.header("lucid-webhook-timestamp"),
            self.body
        );
        let code = jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &EncodingKey::from_secret(secret.as_bytes()),
            Algorithm::HS256,
        )
        .unwrap();
        let code = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, code)
            .unwrap();
        self.header("lucid-webhook-signature") == format!("v1={}", hex::encode(code))
    }
}

pub struct Receiver {
    pub url: String,
    address: SocketAddr,
    status: Arc<AtomicU16>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    ended: Arc<AtomicBool>,
}

impl Receiver {
    /// Answers everything with a status.
    pub fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self {
            url: format!("http://{address}/hook"),
            address,
            status: Arc::new(AtomicU16::new(status)),
            arrived: Arc::default(),
            ended: Arc::default(),
        };
        let (status, arrived, ended) = (
            Arc::clone(&receiver.status),
            Arc::clone(&receiver.arrived),
            Arc::clone(&receiver.ended),
        );
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                // A client that was killed is no failure of the endpoint.
                if let Ok(request) = take(&connection, status.load(Ordering::SeqCst)) {
                    arrived.lock().unwrap().push(request);
                }
            }
        });
        receiver
    }

    pub fn set(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn take(connection: &TcpStream, status: u16) -> std::io::Result<Arrived> {
    let mut reader = BufReader::new(connection);
    let (mut headers, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        line.clear();
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let location =
        if (300..400).contains(&status) { "location: http://127.0.0.1:1/\r\n" } else { "" };
    let mut writer = connection;
    write!(
        writer,
        "HTTP/1.1 {status} So\r\nconnection: close\r\n{location}content-length: 2\r\n\r\nok"
    )?;
    Ok(Arrived {
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        bytes: body,
        answered: status,
    })
}
