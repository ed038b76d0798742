//! A connection that writes what it likes, when it likes.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Lucid, PATIENCE};

pub struct Raw(TcpStream);

/// What came back: status, the whole head, the body.
pub struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl RawAnswer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            line.split_once(": ")
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        })
    }
}

impl Raw {
    pub fn connect(lucid: &Lucid) -> Self {
        let stream = TcpStream::connect(lucid.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).unwrap();
    }

    /// Writes more than the other side may be willing to read.
    pub fn send_while_taken(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.0.write_all(text.as_ref());
    }

    /// An answer with a `Content-Length`; the connection may stay open.
    pub fn answer(&mut self) -> RawAnswer {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            assert_eq!(
                self.0.read(&mut byte).unwrap(),
                1,
                "the connection ended in {:?}",
                String::from_utf8_lossy(&head)
            );
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        let mut answer = RawAnswer { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body).unwrap();
        answer
    }

    /// Waits for the other side to close, writing a piece every `pace` in the meantime; all that
    /// came, and after how long.
    pub fn trickle_until_closed(&mut self, piece: &[u8], pace: Duration) -> (Vec<u8>, Duration) {
        let started = Instant::now();
        self.0.set_read_timeout(Some(pace)).unwrap();
        let (mut came, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            assert!(
                started.elapsed() < PATIENCE,
                "still open, with {:?}",
                String::from_utf8_lossy(&came)
            );
            match self.0.read(&mut buffer) {
                Ok(0) => return (came, started.elapsed()),
                Ok(length) => came.extend_from_slice(&buffer[..length]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.send_while_taken(piece)
                }
                Err(_) => return (came, started.elapsed()),
            }
        }
    }

    /// Waits for the other side to close.
    pub fn until_closed(&mut self) -> (Vec<u8>, Duration) {
        self.trickle_until_closed(&[], Duration::from_millis(100))
    }
}
