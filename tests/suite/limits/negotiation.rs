//! What a client takes for an answer, and from which pages.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::support::{Lucid, raw::Raw};

fn get(lucid: &Lucid, path: &str, headers: &str) -> crate::support::raw::RawAnswer {
    let mut raw = Raw::connect(lucid);
    raw.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n"));
    raw.answer()
}

#[test]
fn a_client_that_takes_no_json_gets_406_from_the_api_alone() {
    let lucid = Lucid::serve();
    let token = lucid.token("root", "admin");
    let status = |path: &str, accept: &str| {
        let (status, answer) =
            lucid.send("GET", path, Some(&token), None, &[("accept", accept.to_owned())]);
        (
            status,
            answer["error"]["code"]
                .as_str()
                .or(answer["code"].as_str())
                .unwrap_or_default()
                .to_owned(),
        )
    };
    for accept in [
        "*/*",
        "application/*",
        "application/json",
        "application/problem+json",
        "text/csv, */*;q=0.1",
    ] {
        assert_eq!(status("/api/v1/nodes", accept).0, 200, "{accept}");
    }
    for accept in ["text/csv", "application/json;q=0", "text/*"] {
        assert_eq!(status("/api/v1/nodes", accept), (406, "LUCID_ERR_4060".into()), "{accept}");
    }
    for path in ["/", "/metrics", "/livez", "/openapi.json"] {
        assert_eq!(status(path, "text/html").0, 200, "{path}");
    }
    assert_eq!(status("/api/v1/nothing", "text/csv").0, 404);
    assert_eq!(get(&lucid, "/api/v1/nodes", "").status, 401, "no Accept at all is fine");
}

#[test]
fn long_answers_are_packed_for_clients_that_can_unpack_them() {
    let lucid = Lucid::serve();
    let plain = get(&lucid, "/openapi.json", "");
    assert_eq!(plain.header("content-encoding"), None);
    let mut raw = Raw::connect(&lucid);
    raw.send("GET /openapi.json HTTP/1.0\r\naccept-encoding: gzip\r\n\r\n");
    let (came, _) = raw.until_closed();
    let end = came.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8_lossy(&came[..end]).to_ascii_lowercase();
    assert!(
        head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"),
        "{head}"
    );
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = gzip.stdin.take().unwrap();
    let packed = came[end..].to_vec();
    assert!(packed.len() * 2 < plain.body.len(), "{} of {}", packed.len(), plain.body.len());
    let writer = std::thread::spawn(move || stdin.write_all(&packed).unwrap());
    assert!(gzip.wait_with_output().unwrap().stdout == plain.body, "unpacked it is the same");
    writer.join().unwrap();
    assert_eq!(
        get(&lucid, "/livez", "accept-encoding: gzip\r\n").header("content-encoding"),
        None,
        "not worth it"
    );
    let mut stream = Raw::connect(&lucid);
    let token = lucid.token("root", "admin");
    stream
        .send(format!("GET /api/v1/events HTTP/1.0\r\nauthorization: Bearer {token}\r\naccept-encoding: gzip\r\naccept: text/event-stream\r\n\r\n"));
    let events = stream.answer();
    assert_eq!(
        (events.status, events.header("content-encoding")),
        (200, None),
        "events arrive as they happen"
    );
}

#[test]
fn pages_of_other_origins_may_call_only_if_they_are_named() {
    let origin = "https://console.example.org";
    let ask = |lucid: &Lucid, origin: &str| {
        let mut raw = Raw::connect(lucid);
        raw.send(format!(
            "GET /api/v1/nodes HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {origin}\r\n\r\n"
        ));
        raw.answer()
    };
    let preflight = |lucid: &Lucid, origin: &str| {
        let mut raw = Raw::connect(lucid);
        raw.send(format!(
            "OPTIONS /api/v1/nodes HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {origin}\r\naccess-control-request-method: POST\r\naccess-control-request-headers: authorization,idempotency-key\r\n\r\n"
        ));
        raw.answer()
    };
    let off = Lucid::serve();
    assert_eq!(ask(&off, origin).header("access-control-allow-origin"), None);
    assert_eq!(preflight(&off, origin).header("access-control-allow-origin"), None);
    let on = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("LUCID_SERVER_CORS_ORIGINS", "https://other.example.org, https://console.example.org"),
    ]);
    let answer = ask(&on, origin);
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (401, Some(origin)),
        "a page can read errors too: {}",
        answer.head
    );
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for header in
        ["etag", "location", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id"]
    {
        assert!(exposed.split(',').any(|name| name.trim() == header), "{header}: {exposed}");
    }
    let allowed = preflight(&on, origin);
    assert_eq!(
        (allowed.status, allowed.header("access-control-allow-origin")),
        (200, Some(origin))
    );
    assert!(
        allowed
            .header("access-control-allow-headers")
            .is_some_and(|names| names.contains("idempotency-key") && names.contains("if-match"))
    );
    assert!(
        allowed.header("access-control-allow-methods").is_some_and(|names| names.contains("PUT"))
    );
    for stranger in ["https://evil.example.org", "null", "http://console.example.org"] {
        assert_eq!(ask(&on, stranger).header("access-control-allow-origin"), None, "{stranger}");
        assert_eq!(
            preflight(&on, stranger).header("access-control-allow-origin"),
            None,
            "{stranger}"
        );
    }
}
