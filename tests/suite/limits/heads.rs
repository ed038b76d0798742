//! Slow, long and many: what comes before a body.

use std::time::Duration;

use reqwest::Version;
use serde_json::Value;

use crate::support::{Lucid, block_on, eventually, raw::Raw};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

fn error(answer: &Value) -> (&str, &str, &str) {
    let error = &answer["error"];
    (
        error["code"].as_str().unwrap_or_default(),
        error["details"]["field"].as_str().unwrap_or_default(),
        error["message"].as_str().unwrap_or_default(),
    )
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("LUCID_SERVER_HEAD_TIME_MAX_S", "1"),
        ("LUCID_SERVER_IDLE_TIME_MAX_S", "3"),
    ]);
    let headers_begun: &[u8] = &[PREFACE, &SETTINGS, &[0, 1, 0, 1, 0, 0, 0, 0, 1]].concat();
    let http2_idle: &[u8] = &[PREFACE, &SETTINGS].concat();
    let second_request = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    for (what, first, piece) in [
        ("silence", &b""[..], &b""[..]),
        ("half a request line, then nothing", b"GET /live", b""),
        ("a header line every 50 ms", b"GET /livez HTTP/1.1\r\n", b"x-more: of it\r\n"),
        ("half of HTTP/2's beginning", b"PRI * HTTP", b""),
        ("HTTP/2 and no request", http2_idle, b""),
        ("HTTP/2 and half a request", headers_begun, b""),
        ("a second request that does not come", second_request, b""),
    ] {
        let mut raw = Raw::connect(&lucid);
        raw.send(first);
        let (_, after) = raw.trickle_until_closed(piece, Duration::from_millis(50));
        let least = Duration::from_millis(if first == second_request { 2_900 } else { 900 });
        assert!((least..Duration::from_secs(10)).contains(&after), "{what}: after {after:?}");
    }
    assert_eq!(lucid.call("GET", "/livez", None, None).0, 200);
}

#[test]
fn headers_have_limits_that_the_answer_names() {
    let lucid = Lucid::serve();
    let many: Vec<(String, String)> =
        (0..65).map(|number| (format!("x-{number}"), "1".into())).collect();
    let large = vec![("x-large".to_owned(), "a".repeat(17 * 1024))];
    for (headers, limit) in [(many, "64"), (large, "16384")] {
        let headers: Vec<(&str, String)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let (status, answer) = lucid.send("GET", "/api/v1/nodes", None, None, &headers);
        assert_eq!((status, error(&answer).0), (431, "LUCID_ERR_4310"), "{answer}");
        assert!(error(&answer).2.contains(limit), "{answer}");
    }
    // Far beyond, the HTTP library ends it; the service lives on.
    for bomb in ["x: 1\r\n".repeat(50_000), format!("x: {}\r\n", "a".repeat(4 << 20))] {
        let mut raw = Raw::connect(&lucid);
        raw.send_while_taken(format!("GET /livez HTTP/1.1\r\nhost: x\r\n{bomb}\r\n"));
        let (came, _) = raw.until_closed();
        assert!(
            came.is_empty() || came.starts_with(b"HTTP/1.1 431"),
            "{}",
            String::from_utf8_lossy(&came)
        );
    }
    assert_eq!(lucid.call("GET", "/livez", None, None).0, 200);
}

#[test]
fn a_url_has_a_limit_that_the_answer_names() {
    let lucid = Lucid::serve();
    for path in
        [format!("/api/v1/nodes?status={}", "a".repeat(5_000)), format!("/{}", "a/".repeat(5_000))]
    {
        let (status, answer) = lucid.call("GET", &path, None, None);
        let (code, field, message) = error(&answer);
        assert_eq!((status, code, field), (414, "LUCID_ERR_4140", "url"), "{answer}");
        assert!(message.contains("4096"), "{message}");
    }
    let mut raw = Raw::connect(&lucid);
    raw.send_while_taken(format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(4 << 20)));
    let (came, _) = raw.until_closed();
    assert!(
        came.is_empty() || came.starts_with(b"HTTP/1.1 4"),
        "{}",
        String::from_utf8_lossy(&came)
    );
    assert_eq!(lucid.call("GET", "/livez", None, None).0, 200);
}

#[test]
fn http2_without_tls_has_the_same_answers_and_limits() {
    let lucid = Lucid::serve();
    let client = crate::support::http().tls_certs_only([]).http2_prior_knowledge().build().unwrap();
    let get = |path: &str, header: Option<String>| {
        let mut request = client.get(format!("{}{path}", lucid.base));
        if let Some(value) = header {
            request = request.header("x-large", value);
        }
        block_on(async {
            let response = request.send().await.unwrap();
            assert_eq!(response.version(), Version::HTTP_2);
            (response.status().as_u16(), response.text().await.unwrap())
        })
    };
    assert_eq!(get("/livez", None), (200, "ok".into()));
    assert!(get("/api/v1/nodes", None).1.contains("LUCID_ERR_4010"));
    let (status, text) = get("/livez", Some("a".repeat(17 * 1024)));
    assert!(status == 431 && text.contains("LUCID_ERR_4310"), "{status} {text}");
    let (status, text) = get(&format!("/{}", "a".repeat(5_000)), None);
    assert!(status == 414 && text.contains("\"field\":\"url\""), "{status} {text}");
}

#[test]
fn streams_that_are_opened_and_cancelled_at_once_end_their_connection() {
    let lucid = Lucid::serve();
    let mut raw = Raw::connect(&lucid);
    let mut attack = [PREFACE, &SETTINGS].concat();
    for stream in (1_u32..).step_by(2).take(2_000) {
        // GET http :path / and an authority, all from the static table or as literals; then
        // RST_STREAM.
        let block = [0x82, 0x86, 0x84, 0x41, 0x01, b'x'];
        attack.extend([0, 0, 6, 1, 5]);
        attack.extend(stream.to_be_bytes());
        attack.extend(block);
        attack.extend([0, 0, 4, 3, 0]);
        attack.extend(stream.to_be_bytes());
        attack.extend(8_u32.to_be_bytes());
    }
    raw.send_while_taken(&attack);
    let (_, after) = raw.until_closed();
    assert!(
        after < Duration::from_secs(10),
        "long before an idle connection ends: after {after:?}"
    );
    assert_eq!(lucid.call("GET", "/livez", None, None).0, 200);
}

#[test]
fn a_client_that_does_not_read_what_it_asked_for_is_let_go() {
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("LUCID_SERVER_HEAD_TIME_MAX_S", "3"),
        ("LUCID_SERVER_STALL_TIME_MAX_S", "1"),
    ]);
    let (_, document) = lucid.call("GET", "/openapi.json", None, None);
    let mut reader = Raw::connect(&lucid);
    reader.send("GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(3));
    let mut greedy = Raw::connect(&lucid);
    // More than the kernel's buffers of both ends hold.
    greedy.send_while_taken("GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500));
    // HTTP/2, whose client opens no window: SETTINGS_INITIAL_WINDOW_SIZE = 0, GET /openapi.json as
    // stream 1.
    let mut windowless = Raw::connect(&lucid);
    let path = b"/openapi.json";
    let block = [&[0x82, 0x86, 0x41, 0x01, b'x', 0x04, path.len() as u8], &path[..]].concat();
    windowless.send(PREFACE);
    windowless.send([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    windowless.send([&[0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1], &block[..]].concat());
    let (came, after) = windowless.until_closed();
    assert!(
        came.len() > 30 && after < Duration::from_secs(10),
        "{} bytes came, after {after:?}",
        came.len()
    );
    eventually("the greedy one to be let go", || {
        (lucid.metric("lucid_http_connections") < 2.5).then_some(())
    });
    for _ in 0..3 {
        assert_eq!(reader.answer().json(), document, "who reads stays, and gets all of it");
    }
}
