//! Proxies: what the environment says of them counts for people's commands over HTTPS, and nowhere
//! else.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;

use crate::support::{Lucid, Process, SECRET, free_port, now_ms};

/// A proxy that lets nobody through, and what was asked of it.
struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (url, asked) = (
            format!("http://{}", listener.local_addr().unwrap()),
            Arc::new(Mutex::new(Vec::new())),
        );
        let asks = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let lines =
                    BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                asks.lock().unwrap().push(head.join("\n"));
                let _ = connection.write_all(
                    b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// `lucid status` of a service, with an environment that names the proxy for everything.
    fn status(&self, server: &str, no_proxy: &str) -> Option<i32> {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        let text = lucid_api::issue_token(
            SECRET,
            "alice",
            "viewer",
            600,
            lucid_model::time::TimeMs(now_ms()),
        )
        .unwrap();
        std::fs::write(&token, text).unwrap();
        let proxies =
            ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
                .map(|name| (name, self.url.as_str()));
        let environment: Vec<_> = proxies.into_iter().chain([("NO_PROXY", no_proxy)]).collect();
        Process::start(
            &["status", "--server", server, "--token-file", token.to_str().unwrap()],
            &environment,
            false,
        )
        .output()
        .0
    }
}

#[test]
fn a_command_uses_a_proxy_for_https_alone_and_never_for_this_machine() {
    let (proxy, lucid) = (Proxy::start(), Lucid::serve());
    assert_eq!(proxy.status(&lucid.base, ""), Some(0));
    assert_eq!(proxy.status(&lucid.base.replace("127.0.0.1", "localhost"), ""), Some(0));
    let nobody = format!("https://127.0.0.1:{}", free_port());
    assert_ne!(proxy.status(&nobody, ""), Some(0));
    // Names that nobody has: a request that passed the proxy by goes nowhere.
    assert_ne!(proxy.status("http://service.invalid", ""), Some(0));
    assert_ne!(proxy.status("https://service.invalid", "service.invalid"), Some(0));
    assert_eq!(proxy.asked(), [""; 0]);
    assert_ne!(proxy.status("https://service.invalid", ""), Some(0));
    let asked = proxy.asked();
    assert!(
        !asked.is_empty()
            && asked.iter().all(|head| head.starts_with("CONNECT service.invalid:443 ")),
        "{asked:?}"
    );
    assert!(
        asked.iter().all(|head| !head.to_lowercase().contains("\nauthorization:")),
        "a proxy is told no token: {asked:?}"
    );
}

#[test]
fn the_service_goes_out_as_its_configuration_says() {
    let (of_environment, of_configuration) = (Proxy::start(), Proxy::start());
    let environment = [
        ("JWT_SECRET", SECRET),
        ("API_GATEWAY_URL", "https://gateway.invalid"),
        ("TRON_PAYMENT_URL", "https://payments.invalid"),
        ("BLOCKCHAIN_URL", "https://chain.invalid"),
        ("HTTPS_PROXY", &of_environment.url),
    ];
    let doctor = |more: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        let environment = [&environment[..], more].concat();
        let data = dir.path().join("data");
        let out = Process::start(
            &["doctor", "--data", data.to_str().unwrap(), "--output", "json"],
            &environment,
            false,
        )
        .output()
        .1;
        let found: Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
        let findings = found["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["check"] == "egress").unwrap()
    };
    let told = doctor(&[]);
    assert_eq!(
        (told["level"].as_str(), of_environment.asked()),
        (Some("warn"), Vec::new()),
        "{told}"
    );
    assert!(told["found"].as_str().unwrap().contains("HTTPS_PROXY counts for commands"), "{told}");
    let told = doctor(&[
        ("LUCID_EGRESS_PROXY_URL", &of_configuration.url),
        ("LUCID_EGRESS_DIRECT", "chain.invalid, 10.0.0.0/8"),
    ]);
    assert_eq!(told["level"], "ok", "{told}");
    let mut asked: Vec<_> = of_configuration
        .asked()
        .iter()
        .map(|head| head.lines().next().unwrap().to_owned())
        .collect();
    asked.sort();
    asked.dedup();
    assert_eq!(
        asked,
        ["CONNECT gateway.invalid:443 HTTP/1.1", "CONNECT payments.invalid:443 HTTP/1.1"]
    );
    assert_eq!(of_environment.asked(), [""; 0]);
}
