//! Servers that answer, and do not do what they are asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use lucid_ports::{CoordinationError, Coordinator, LimitClass, RateLimiter as _, Topic};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};

use super::{
    RedisCoordinator, RedisSettings, probe_redis,
    server::{RedisServer, free_port},
};
use crate::conformance::{QUOTAS, TTL, eventually, taken, user};

/// For one command here; the machine may be busy.
const TIMEOUT: Duration = Duration::from_millis(500);
/// What our user needs, as docs/operations.md says it.
const RIGHTS: &str = "~lucid:* &lucid:* +evalsha +script|load +publish +subscribe +unsubscribe +ping +time +info +get +set +hget +hmget +hset +pexpire +del";

fn coordinator(url: String, ca_pem: Option<Vec<u8>>) -> RedisCoordinator {
    RedisCoordinator::new(RedisSettings {
        url,
        ca_pem,
        namespace: "lucid:test".into(),
        replica: "first".into(),
        timeout: TIMEOUT,
    })
    .unwrap()
}

/// Waits until a check is refused with a word.
async fn refused(coordinator: &RedisCoordinator, word: &str) {
    eventually(word, || async {
        match coordinator.check().await {
            Err(CoordinationError::Refused { detail }) if detail.starts_with(word) => Some(()),
            _ => None,
        }
    })
    .await;
}

async fn well(coordinator: &RedisCoordinator) {
    eventually("a check that is well", || async { coordinator.check().await.ok() }).await;
}

/// An address that leads to one server after the other, as a name does; connections stay where they
/// were made.
async fn name_of(port: &Arc<AtomicU16>) -> SocketAddr {
    let (listener, to) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::clone(port));
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let port = to.load(Ordering::SeqCst);
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_became_a_replica_is_left_for_whom_the_name_leads_to() {
    let (Some(old), Some(new)) = (RedisServer::start(), RedisServer::start()) else { return };
    let leads_to = Arc::new(AtomicU16::new(old.port()));
    let address = name_of(&leads_to).await;
    let coordinator = coordinator(format!("redis://{address}/"), None);
    let before = taken(
        &(Arc::new(self::coordinator(format!("redis://{address}/"), None)) as Arc<dyn Coordinator>),
        "payer",
    )
    .await;
    well(&coordinator).await;
    old.tell(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    refused(&coordinator, "READONLY").await;
    assert!(coordinator.renew(&before).await.is_err(), "nothing is granted meanwhile");
    assert!(matches!(
        coordinator.acquire("epochs", TTL).await,
        Err(CoordinationError::Refused { .. })
    ));
    leads_to.store(new.port(), Ordering::SeqCst);
    well(&coordinator).await;
    let after =
        eventually("a lease", || async { coordinator.acquire("payer", TTL).await.ok().flatten() })
            .await;
    assert!(after.fence > before.fence);
    let limiter = coordinator.limiter(&QUOTAS);
    limiter.admit(LimitClass::Payouts, user(1)).await;
    coordinator.tell(Topic::Event, b"heard".to_vec()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_memory_is_no_health() {
    let Some(server) = RedisServer::start() else { return };
    let coordinator = coordinator(server.url(), None);
    well(&coordinator).await;
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    refused(&coordinator, "OOM").await;
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    well(&coordinator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_what_it_needs_or_it_is_said_what_is_missing() {
    let Some(server) = RedisServer::start() else { return };
    let rights: Vec<_> = ["ACL", "SETUSER", "nodes", "on", ">se:cr@t"]
        .into_iter()
        .chain(RIGHTS.split(' '))
        .collect();
    server.tell(&rights);
    server.tell(&["ACL", "SETUSER", "admin", "on", ">operator", "~*", "&*", "+@all"]);
    server.tell(&["ACL", "SETUSER", "default", "off"]);
    let at = |user: &str| format!("redis://{user}127.0.0.1:{}/", server.port());
    let mine = coordinator(at("nodes:se%3Acr%40t@"), None);
    well(&mine).await;
    let lease =
        eventually("a lease", || async { mine.acquire("payer", TTL).await.ok().flatten() }).await;
    assert!(mine.renew(&lease).await.unwrap().is_some());
    let mut listener = mine.listen().await;
    coordinator(at("nodes:se%3Acr%40t@"), None).check().await.unwrap();
    assert!(
        tokio::time::timeout(TIMEOUT, listener.next()).await.is_err(),
        "it is subscribed, and hears nothing of its own"
    );
    assert!(probe_redis(&at("nodes:se%3Acr%40t@"), None, TIMEOUT).await.is_ok());
    for (user, word) in [("", "NOAUTH"), ("nodes:wrong@", "WRONGPASS")] {
        refused(&coordinator(at(user), None), word).await;
    }
    for right in RIGHTS
        .split(' ')
        .filter(|right| ["+evalsha", "+set", "+publish", "+hset", "+info"].contains(right))
    {
        let user = format!("without{}", right.trim_start_matches('+'));
        let rights: Vec<_> = ["ACL", "SETUSER", &user, "on", "nopass"]
            .into_iter()
            .chain(RIGHTS.split(' ').filter(|of| *of != right))
            .collect();
        server.tell_as("admin:operator@", &rights);
        refused(&coordinator(at(&format!("{user}:any@")), None), "NOPERM").await;
    }
}

/// A certificate authority, and a server's certificate and key by it, all PEM.
fn certificates() -> (String, String, String) {
    let mut of_authority = CertificateParams::new(Vec::new()).unwrap();
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = of_authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&of_authority, &authority_key);
    let certificate = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    (authority.pem(), certificate.pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rediss_speaks_tls_with_a_server_that_a_named_authority_vouches_for() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ((authority, certificate, key), (other, ..)) = (certificates(), certificates());
    let port = free_port();
    let server = RedisServer::start_with(|dir| {
        for (file, text) in [("cert.pem", &certificate), ("key.pem", &key), ("ca.pem", &authority)]
        {
            std::fs::write(dir.join(file), text).unwrap();
        }
        let words = format!(
            "--tls-port {port} --tls-cert-file cert.pem --tls-key-file key.pem --tls-ca-cert-file ca.pem --tls-auth-clients no"
        );
        words.split(' ').map(str::to_owned).collect()
    });
    let Some(server) = server else { return };
    assert!(server.dir().join("ca.pem").exists());
    server.tell(&["CONFIG", "SET", "requirepass", "secret"]);
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("rediss://:secret@{host}:{port}/");
        well(&coordinator(url.clone(), Some(authority.clone().into_bytes()))).await;
        for ca_pem in [Some(other.clone().into_bytes()), None] {
            let told = coordinator(url.clone(), ca_pem).check().await.unwrap_err();
            assert!(
                matches!(&told, CoordinationError::Unavailable { detail } if !detail.contains("secret")),
                "{told}"
            );
        }
    }
    assert!(
        RedisCoordinator::new(RedisSettings {
            url: "rediss://localhost/".into(),
            ca_pem: Some(b"no certificate".to_vec()),
            namespace: String::new(),
            replica: String::new(),
            timeout: TIMEOUT
        })
        .is_err()
    );
    let insecure = coordinator(format!("rediss://:secret@localhost:{port}/#insecure"), None);
    assert!(insecure.check().await.is_err(), "a certificate is always checked");
}
