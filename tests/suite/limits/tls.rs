//! HTTPS, with certificates made here.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rcgen::CertifiedKey;
use reqwest::Version;
use tempfile::TempDir;

use crate::support::{Lucid, Process, SECRET, block_on, eventually, raw::Raw};

/// A certificate for this machine and its key, in files of their own.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        files.replace();
        files
    }

    fn cert(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// Another certificate in the same place; the answer is what vouches for it.
    fn replace(&self) -> Vec<u8> {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])
                .unwrap();
        write(&self.key(), signing_key.serialize_pem().as_bytes());
        write(&self.cert(), cert.pem().as_bytes());
        cert.pem().into_bytes()
    }

    fn serve(&self) -> Lucid {
        let (cert, key) = (self.cert(), self.key());
        Lucid::serve_with(&[
            ("RAIL", "sandbox"),
            ("LUCID_SERVER_TLS_CERT_FILE", cert.to_str().unwrap()),
            ("LUCID_SERVER_TLS_KEY_FILE", key.to_str().unwrap()),
            ("LUCID_SERVER_TLS_HANDSHAKE_TIME_MAX_S", "1"),
        ])
    }
}

/// As certificate tools do it: beside, then renamed.
fn write(path: &Path, bytes: &[u8]) {
    let draft = path.with_extension("new");
    std::fs::write(&draft, bytes).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// A request over a connection of its own; the HTTP version, if the certificate is trusted.
fn version(lucid: &Lucid, ca: &[u8]) -> Option<Version> {
    let builder = lucid_client::transport(&lucid.base, Some(ca)).unwrap().no_proxy();
    let client = builder.timeout(Duration::from_secs(10)).build().unwrap();
    let response =
        block_on(async { client.get(format!("{}/livez", lucid.base)).send().await }).ok()?;
    assert_eq!(response.status(), 200);
    Some(response.version())
}

#[test]
fn tls_speaks_http2_by_alpn_and_nothing_holds_up_the_others() {
    let files = Files::new();
    let lucid = files.serve();
    assert!(lucid.base.starts_with("https://"), "{}", lucid.base);
    let ca = std::fs::read(files.cert()).unwrap();
    let mut silent: Vec<Raw> = (0..20).map(|_| Raw::connect(&lucid)).collect();
    let started = Instant::now();
    assert_eq!(version(&lucid, &ca), Some(Version::HTTP_2));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(
        version(&lucid, &Files::new().replace()),
        None,
        "another certificate vouches for nothing"
    );
    for raw in &mut silent {
        assert!(raw.until_closed().1 < Duration::from_secs(10), "a handshake has its time");
    }
    let mut plain = Raw::connect(&lucid);
    plain.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(!plain.until_closed().0.starts_with(b"HTTP"), "only TLS is spoken");
}

#[test]
fn a_new_certificate_is_taken_while_it_runs_and_a_bad_one_is_not() {
    let files = Files::new();
    let mut lucid = files.serve();
    let first = std::fs::read(files.cert()).unwrap();
    assert!(version(&lucid, &first).is_some());
    let second = files.replace();
    eventually("the new certificate", || version(&lucid, &second));
    assert_eq!(version(&lucid, &first), None, "the old one is gone");
    write(&files.cert(), b"-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n");
    lucid.process.wait_for(|line| {
        (line.contains("the old one stays") && line.contains("cert.pem")).then_some(())
    });
    assert!(version(&lucid, &second).is_some(), "what was good stays");
    let third = files.replace();
    eventually("the next good one", || version(&lucid, &third));
}

#[test]
fn health_and_agent_trust_a_service_by_its_ca_file() {
    let files = Files::new();
    let lucid = files.serve();
    let (base, cert) = (lucid.base.clone(), files.cert());
    let health = |more: &[&str]| {
        Process::start(&[&["health", "--server", &base][..], more].concat(), &[], false).output()
    };
    assert_eq!(health(&["--ca-file", cert.to_str().unwrap()]), (Some(0), "ready\n".into()));
    assert_eq!(health(&[]).0, Some(1), "nobody else vouches for it");
    assert_eq!(
        health(&["--ca-file", files.key().to_str().unwrap()]).0,
        Some(1),
        "a key is no certificate"
    );
    let token = files.dir.path().join("token");
    std::fs::write(&token, lucid.token("alice", "node_operator")).unwrap();
    let data = files.dir.path().join("agent");
    let args = [
        "agent",
        "--server",
        &base,
        "--ip",
        "127.0.0.1",
        "--interval",
        "1s",
        "--owner-token-file",
        token.to_str().unwrap(),
    ];
    let trust = ["--ca-file", cert.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let mut agent = Process::start(&[&args[..], &trust].concat(), &[], true);
    agent.wait_for(|line| line.contains("Reported").then_some(()));
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn up_runs_its_agent_over_tls() {
    let files = Files::new();
    let (cert, key) = (files.cert(), files.key());
    let data = files.dir.path().join("data");
    let settings = [
        ("LUCID_SERVER_TLS_CERT_FILE", cert.to_str().unwrap()),
        ("LUCID_SERVER_TLS_KEY_FILE", key.to_str().unwrap()),
    ];
    let mut up =
        Process::start(&["up", "--data", data.to_str().unwrap(), "--port", "0"], &settings, true);
    up.wait_for(|line| line.contains("https://127.0.0.1:").then_some(()));
    up.wait_for(|line| line.contains("metrics.stored").then_some(()));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_serving_edge_that_cannot_be_is_exit_code_2_and_names_what_is_wrong() {
    let (files, others) = (Files::new(), Files::new());
    let (cert, key, other) = (files.cert(), files.key(), others.key());
    let (cert, key, other) =
        (cert.to_str().unwrap(), key.to_str().unwrap(), other.to_str().unwrap());
    let (cert_name, key_name) = ("LUCID_SERVER_TLS_CERT_FILE", "LUCID_SERVER_TLS_KEY_FILE");
    for (settings, named) in [
        (vec![(cert_name, cert)], vec!["tls_key_file", cert]),
        (vec![(key_name, key)], vec!["tls_cert_file", key]),
        (
            vec![(cert_name, "/nowhere/cert.pem"), (key_name, key)],
            vec!["tls_cert_file", "/nowhere/cert.pem"],
        ),
        (
            vec![(cert_name, cert), (key_name, "/nowhere/key.pem")],
            vec!["tls_key_file", "/nowhere/key.pem"],
        ),
        (vec![(cert_name, key), (key_name, key)], vec!["tls_cert_file", key]),
        (vec![(cert_name, cert), (key_name, cert)], vec!["tls_key_file", cert]),
        (vec![(cert_name, cert), (key_name, other)], vec![cert, other]),
        (vec![("LUCID_SERVER_CORS_ORIGINS", "*")], vec!["cors_origins", "every web page"]),
        (
            vec![("LUCID_SERVER_CORS_ORIGINS", "https://a.example.org/")],
            vec!["cors_origins", "https://a.example.org/"],
        ),
        (vec![("LUCID_SERVER_TRUSTED_PROXIES", "10.0.0.1, proxy")], vec!["trusted_proxies"]),
        (vec![("LUCID_SERVER_CONNECTIONS_MAX", "0")], vec!["connections_max"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings;
        settings.extend([
            ("JWT_SECRET", SECRET),
            ("NODE_MANAGEMENT_PORT", "0"),
            ("LUCID_SERVER_BIND", "127.0.0.1"),
            ("RAIL", "sandbox"),
        ]);
        let mut process = Process::start(
            &["serve", "--data", dir.path().join("data").to_str().unwrap()],
            &settings,
            true,
        );
        let line = process.wait_for(|line| line.starts_with("lucid:").then(|| line.to_owned()));
        assert!(named.iter().all(|word| line.contains(word)), "{named:?}: {line}");
        assert_eq!(process.output_code(), Some(2), "{line}");
    }
}
