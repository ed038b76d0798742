//! The end: what was taken in is finished, nothing else is.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Lucid, eventually, raw::Raw};

#[test]
fn an_upload_in_flight_at_sigterm_is_answered_and_idle_connections_are_not_waited_for() {
    let mut lucid = Lucid::serve();
    let token = lucid.token("alice", "node_operator");
    let body = json!({ "name": "late", "ip_address": "198.51.100.7", "port": 9001 }).to_string();
    let (first, rest) = body.split_at(10);
    let mut upload = Raw::connect(&lucid);
    upload.send(format!(
        "POST /api/v1/nodes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    assert_eq!(upload.answer().status, 100, "the service reads the body");
    upload.send(first);
    let mut idle = Raw::connect(&lucid);
    idle.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    let mut unfinished = Raw::connect(&lucid);
    unfinished.send("GET /livez HTTP/1.1\r\nhost: x\r\nx-unfinished: ");
    let mut fresh = Raw::connect(&lucid);
    eventually("all four to be taken in", || {
        (lucid.metric("lucid_http_connections") >= 5.0).then_some(())
    });
    lucid.process.terminate();
    let started = Instant::now();
    for (what, raw) in [("idle", &mut idle), ("unfinished", &mut unfinished), ("fresh", &mut fresh)]
    {
        let (_, after) = raw.until_closed();
        assert!(after < Duration::from_secs(4), "{what}: after {after:?}");
    }
    assert!(TcpStream::connect(lucid.address()).is_err(), "nothing new is taken in");
    upload.send(rest);
    let answer = upload.answer();
    assert_eq!(
        (answer.status, answer.json()["name"].as_str()),
        (201, Some("late")),
        "{}",
        answer.head
    );
    assert_eq!(lucid.process.output_code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(!lucid.process.log().contains("cut off"), "{}", lucid.process.log());
}

#[test]
fn an_upload_that_never_ends_is_cut_off_after_the_grace() {
    let mut lucid =
        Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_SERVER_SHUTDOWN_GRACE_S", "1")]);
    let token = lucid.token("alice", "node_operator");
    let mut upload = Raw::connect(&lucid);
    upload.send(format!(
        "POST /api/v1/nodes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\ncontent-length: 100\r\n\r\n"
    ));
    assert_eq!(upload.answer().status, 100);
    let mut events = Raw::connect(&lucid);
    events.send(format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
    ));
    assert_eq!(events.answer().status, 200);
    lucid.process.terminate();
    assert!(upload.until_closed().1 < Duration::from_secs(5));
    assert_eq!(lucid.process.output_code(), Some(0));
    assert!(lucid.process.log().contains("cut off"), "{}", lucid.process.log());
}
