//! Slow, deep, doubled and unreadable bodies.

use std::time::Duration;

use crate::support::{Lucid, raw::Raw};

#[test]
fn a_body_that_comes_too_slowly_is_cut_at_the_requests_time_limit() {
    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_SERVER_REQUEST_TIME_MAX_S", "1")]);
    let token = lucid.token("alice", "node_operator");
    for framing in ["content-length: 100000", "transfer-encoding: chunked"] {
        let mut raw = Raw::connect(&lucid);
        raw.send(format!("POST /api/v1/nodes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{framing}\r\n\r\n"));
        let piece: &[u8] = if framing.contains("chunked") { b"1\r\n \r\n" } else { b" " };
        let (came, after) = raw.trickle_until_closed(piece, Duration::from_millis(50));
        let came = String::from_utf8_lossy(&came);
        assert!(
            came.starts_with("HTTP/1.1 503")
                && came.contains("LUCID_ERR_5030")
                && came.contains("took too long"),
            "{came}"
        );
        assert!(after < Duration::from_secs(10), "{framing}: after {after:?}");
    }
}

#[test]
fn a_body_that_two_readers_could_read_differently_is_refused() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let deep = format!("{{\"configuration\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let bottomless = format!("{{\"configuration\":{}", "[".repeat(500_000));
    for (body, field, named) in [
        (br#"{"name":"a","ip_address":"198.51.100.7","port":9001,"port":9002}"#.to_vec(), "port", "twice"),
        (
            br#"{"name":"a","configuration":{"resource_limits":{"max_cpu_usage":1,"max_cpu_usage":2}}}"#.to_vec(),
            "configuration.resource_limits.max_cpu_usage",
            "twice",
        ),
        (br#"{"name":"a","x":[{"unknown":1,"unknown":1}]}"#.to_vec(), "x[0].unknown", "twice"),
        (deep.into_bytes(), "body", "64"),
        (bottomless.into_bytes(), "body", "64"),
        (b"{\"name\":\"\xff\xfe\"}".to_vec(), "body", "UTF-8"),
    ] {
        let shown = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
        let (status, answer) = lucid.send("POST", "/api/v1/nodes", Some(&owner), Some(body), &[]);
        let error = &answer["error"];
        assert_eq!(
            (status, error["code"].as_str(), error["details"]["field"].as_str()),
            (400, Some("LUCID_ERR_4001"), Some(field)),
            "{shown}: {answer}"
        );
        assert!(error["message"].as_str().unwrap().contains(named), "{shown}: {answer}");
    }
    assert_eq!(lucid.get("/api/v1/nodes")["pagination"]["total"], 0);
}

#[test]
fn a_body_says_that_it_is_json_and_an_absent_one_need_not() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let body = br#"{"name":"a","ip_address":"198.51.100.7","port":9001}"#.to_vec();
    let send = |form: &str| {
        lucid
            .send(
                "POST",
                "/api/v1/nodes",
                Some(&owner),
                Some(body.clone()),
                &[("content-type", form.to_owned())],
            )
            .0
    };
    for form in [
        "text/plain",
        "application/json-seq",
        "application/jsonp",
        "application/x-www-form-urlencoded",
    ] {
        assert_eq!(send(form), 415, "{form}");
    }
    assert_eq!(send("Application/JSON; charset=utf-8"), 201);
    let node = &lucid.get("/api/v1/nodes")["nodes"][0];
    let path = format!("/api/v1/nodes/{}/activate", node["node_id"].as_str().unwrap());
    assert_eq!(
        lucid.send("POST", &path, Some(&owner), None, &[("content-type", "text/plain".into())]).0,
        200
    );
}

#[test]
fn who_has_no_token_cannot_send_much() {
    let lucid = Lucid::serve();
    for path in ["/api/v1/auth/challenge", "/api/v1/auth/token"] {
        let (status, answer) = lucid.send(
            "POST",
            path,
            None,
            Some(format!("{{\"x\":\"{}\"}}", "a".repeat(5_000)).into_bytes()),
            &[],
        );
        assert_eq!(
            (status, answer["error"]["code"].as_str()),
            (413, Some("LUCID_ERR_4130")),
            "{path}: {answer}"
        );
        assert!(answer["error"]["message"].as_str().unwrap().contains("4096"), "{answer}");
    }
    let (status, _) = lucid.send("POST", "/api/v1/nodes", None, Some(vec![b' '; 500_000]), &[]);
    assert_eq!(status, 401, "elsewhere the token is looked at first");
}
