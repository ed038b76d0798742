//! The lightest client that speaks HTTP/1.1 with keep-alive: what is measured is the service, not
//! the client.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Where a service listens.
pub fn address(base: &str) -> SocketAddr {
    base.strip_prefix("http://").unwrap().parse().unwrap()
}

/// One connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// An answer: status and body.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// A request's bytes.
pub fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    request_with(method, path, token, body, "")
}

/// The same with further headers, each with its end of line.
pub fn request_with(method: &str, path: &str, token: &str, body: &str, headers: &str) -> Vec<u8> {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
    };
    format!("{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n{headers}{length}\r\n{body}").into_bytes()
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, 256 * 1024).await
    }

    /// For answers of at most so many bytes, heads included.
    pub async fn connect_with(address: SocketAddr, answer_bytes_max: usize) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; answer_bytes_max], filled: 0 }
    }

    /// Sends a request and takes its answer.
    pub async fn ask(&mut self, request: &[u8]) -> Answer<'_> {
        self.stream.write_all(request).await.unwrap();
        self.filled = 0;
        let (head, length) = loop {
            self.fill().await;
            let known = &self.buffer[..self.filled];
            if let Some(head) = known.windows(4).position(|four| four == b"\r\n\r\n") {
                break (head + 4, content_length(&known[..head]));
            }
        };
        while self.filled < head + length {
            self.fill().await;
        }
        let status = std::str::from_utf8(&self.buffer[9..12]).unwrap().parse().unwrap();
        Answer { status, body: &self.buffer[head..head + length] }
    }

    async fn fill(&mut self) {
        let read = self.stream.read(&mut self.buffer[self.filled..]).await.unwrap();
        assert!(
            read > 0,
            "the service closed the connection, or the answer is larger than the buffer"
        );
        self.filled += read;
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap().to_ascii_lowercase();
    let line = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.map_or(0, |value| value.trim().parse().unwrap())
}
