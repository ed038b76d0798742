//! Many connections, too many, and a machine that has no room for them.

use std::time::{Duration, Instant};

use crate::support::{Lucid, eventually, raw::Raw};

/// Idle connections that have to be possible.
const IDLE: u64 = 10_000;
/// Files of the test and of the service that are no such connections.
const OTHER_FILES: u64 = 400;
/// Memory that an idle connection may take.
const BYTES_EACH_MAX: u64 = 24 * 1024;

#[test]
fn ten_thousand_idle_connections_leave_the_service_prompt_and_small() {
    let possible =
        rlimit::increase_nofile_limit(u64::MAX).unwrap().saturating_sub(OTHER_FILES).min(IDLE);
    if possible < IDLE {
        println!(
            "skipped: {IDLE} idle connections; the hard limit of open files allows {possible}, which are tried"
        );
    }
    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_SERVER_HEAD_TIME_MAX_S", "600")]);
    let prompt = || {
        let started = Instant::now();
        assert_eq!(
            lucid.call("GET", "/api/v1/nodes", Some(&lucid.token("root", "admin")), None).0,
            200
        );
        started.elapsed()
    };
    prompt();
    let before = lucid.process.resident_bytes();
    let mut held = Vec::new();
    for number in 0..possible {
        let mut raw = Raw::connect(&lucid);
        if number % 2 == 0 {
            raw.send("GET /livez HTTP/1.1\r\nhost: x\r\nx-unfinished: ");
        }
        held.push(raw);
    }
    eventually("all of them to be taken in", || {
        (lucid.metric("lucid_http_connections") > possible as f64).then_some(())
    });
    let took = prompt();
    let each = lucid.process.resident_bytes().saturating_sub(before) / possible;
    println!("{possible} idle connections: {each} bytes each, a request took {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(each < BYTES_EACH_MAX, "{each} bytes each");
    for raw in held.iter_mut().step_by(2_000) {
        raw.send("x\r\n\r\n");
        assert_eq!(raw.answer().status, 200, "they were held, not dropped");
    }
}

#[test]
fn connections_beyond_the_most_are_closed_and_that_is_said_once() {
    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_SERVER_CONNECTIONS_MAX", "3")]);
    let request = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut held: Vec<Raw> = (0..3).map(|_| Raw::connect(&lucid)).collect();
    for raw in &mut held {
        raw.send(request);
        assert_eq!(raw.answer().status, 200);
    }
    for _ in 0..5 {
        let mut beyond = Raw::connect(&lucid);
        beyond.send_while_taken(request);
        let (came, after) = beyond.until_closed();
        assert!(came.is_empty() && after < Duration::from_secs(5), "{came:?} after {after:?}");
    }
    held[0].send(request);
    assert_eq!(held[0].answer().status, 200, "those that are in stay in");
    held.truncate(1);
    eventually("a place", || {
        let mut raw = Raw::connect(&lucid);
        let token = lucid.token("monitoring", "viewer");
        raw.send_while_taken(format!("GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"));
        let came = String::from_utf8(raw.until_closed().0).unwrap();
        came.lines()
            .find_map(|line| {
                line.strip_prefix("lucid_http_connections_refused_total ")?.parse::<u64>().ok()
            })
            .filter(|refused| *refused >= 5)
    });
    let said = lucid.process.log().matches("server.connections_max allows").count();
    assert_eq!(said, 1, "{}", lucid.process.log());
}

#[test]
fn a_machine_without_file_descriptors_neither_ends_nor_spins_the_service() {
    let mut lucid = Lucid::serve();
    let open =
        || std::fs::read_dir(format!("/proc/{}/fd", lucid.process.id())).unwrap().count() as u64;
    let pid = i32::try_from(lucid.process.id()).unwrap();
    let (_, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap();
    let mut limit = (open() + 8, hard);
    rlimit::prlimit(pid, rlimit::Resource::NOFILE, Some(limit), None).unwrap();
    let held: Vec<Raw> = (0..40).map(|_| Raw::connect(&lucid)).collect();
    lucid.process.wait_for(|line| line.contains("no connection can be accepted").then_some(()));
    limit.0 = hard;
    rlimit::prlimit(pid, rlimit::Resource::NOFILE, Some(limit), None).unwrap();
    let errors = lucid.metric("lucid_http_accept_errors_total");
    drop(held);
    assert!((1.0..600.0).contains(&errors), "at most ten tries a second, not {errors}");
    assert_eq!(lucid.process.log().matches("no connection can be accepted").count(), 1);
}
