//! TLS: the certificate, read again when its files change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::TlsFiles;

/// What URLs of a service with TLS begin with.
pub const SCHEME: &str = "https";
/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain cannot be used.
    #[error("{path}: {problem}")]
    Chain {
        /// Its file.
        path: PathBuf,
        problem: String,
    },
    /// The key cannot be used.
    #[error("{path}: {problem}")]
    Key {
        /// Its file.
        path: PathBuf,
        problem: String,
    },
    /// The two do not belong together, or are of a kind that is not known.
    #[error("{cert} and {key} cannot be used together: {problem}")]
    Pair {
        /// The chain's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        problem: String,
    },
}

impl TlsError {
    /// The setting that names the file.
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Chain { .. } | Self::Pair { .. } => "server.tls_cert_file",
            Self::Key { .. } => "server.tls_key_file",
        }
    }
}

/// What a file was when it was read.
type Stamp = Option<(SystemTime, u64)>;

/// The certificate that new connections get.
pub struct Certificate {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    seen: Mutex<(Stamp, Stamp)>,
}

impl Certificate {
    /// Reads chain and key.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        // Looked at before reading: what changes in between is read again.
        let seen = stamps(&files);
        Ok(Self { config: ArcSwap::new(read(&files)?), seen: Mutex::new(seen), files })
    }

    /// For one handshake.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Reads the files again whenever they change, until told to stop; a pair that cannot be used
    /// changes nothing.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let certificate = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || certificate.read_if_changed());
            match looked.await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => {
                    tracing::info!(file = %self.files.cert.display(), "the certificate was replaced")
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "the new certificate cannot be used; the old one stays")
                }
                Err(error) => tracing::error!(%error, "the certificate could not be looked at"),
            }
        }
    }

    fn read_if_changed(&self) -> Result<bool, TlsError> {
        let now = stamps(&self.files);
        if std::mem::replace(&mut *self.seen.lock(), now) == now {
            return Ok(false);
        }
        self.config.store(read(&self.files)?);
        Ok(true)
    }
}

fn stamps(files: &TlsFiles) -> (Stamp, Stamp) {
    let stamp = |path: &Path| {
        std::fs::metadata(path).ok().and_then(|file| Some((file.modified().ok()?, file.len())))
    };
    (stamp(&files.cert), stamp(&files.key))
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain_problem = |problem: String| TlsError::Chain { path: files.cert.clone(), problem };
    let chain =
        CertificateDer::pem_file_iter(&files.cert).map_err(|error| chain_problem(plain(&error)))?;
    let chain: Vec<_> =
        chain.collect::<Result<_, _>>().map_err(|error| chain_problem(plain(&error)))?;
    if chain.is_empty() {
        return Err(chain_problem("has no certificate in PEM form".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| TlsError::Key { path: files.key.clone(), problem: plain(&error) })?;
    let pair_problem = |error: rustls::Error| TlsError::Pair {
        cert: files.cert.clone(),
        key: files.key.clone(),
        problem: error.to_string(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(pair_problem)?;
    let mut config =
        builder.with_no_client_auth().with_single_cert(chain, key).map_err(pair_problem)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The library says "no items found" without saying of what.
fn plain(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::NoItemsFound => "has no private key in PEM form".into(),
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
