//! A stand-in payment and chain service over real HTTP, for development and tests.
//!
//! It listens on a loopback port, takes payouts and consensus votes, keeps them in a SQLite file
//! before it answers, says in every answer that it is a sandbox, and misbehaves when told to.
//! It moves no money, and knows nothing of the rest of the project.

mod amount;
mod chain;
mod clock;
mod connection;
mod digest;
mod fault;
mod record;
mod reply;
mod routes;

use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use crate::fault::{Answer, Effect, Fault, FaultPlan};
use crate::{
    connection::{BreakableListener, Breaker},
    fault::Faults,
    record::{Writer, WriterThread},
    routes::App,
};

/// How long a shutdown waits for requests in flight.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How a sandbox runs.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// A loopback address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The folder of its SQLite file; created if absent.
    pub data_dir: PathBuf,
    /// From acceptance of a transfer to its confirmation; fixed for a transfer when it is accepted.
    pub confirm_delay: Duration,
    /// From one block to the next; at least a millisecond.
    pub block_interval: Duration,
    /// Whether the fault routes exist.
    pub faults_allowed: bool,
}

/// Why a sandbox did not start, or would not take a fault plan.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The sandbox has no authentication, so it never listens to other machines.
    #[error("sandbox listens on loopback only, not on {listen}")]
    NotLoopback {
        /// The refused address.
        listen: SocketAddr,
    },
    /// A duration that the sandbox cannot count with.
    #[error("{setting} of {value:?} is out of range")]
    Duration {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        value: Duration,
    },
    /// The folder could not be made.
    #[error("sandbox folder {} could not be created", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The record could not be opened.
    #[error("sandbox record {} could not be opened", path.display())]
    Record {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    /// The record was written by another version.
    #[error("sandbox record {} has format {found}, not {expected}", path.display())]
    Format {
        path: PathBuf,
        /// The format it has.
        found: i64,
        /// The format this version reads.
        expected: i64,
    },
    /// The writer thread could not be started.
    #[error("sandbox writer thread could not be started")]
    WriterThread {
        #[source]
        source: io::Error,
    },
    /// The address could not be bound.
    #[error("sandbox could not listen on {listen}")]
    Bind {
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// It was started outside a Tokio runtime.
    #[error("sandbox needs a Tokio runtime")]
    NoRuntime {
        #[source]
        source: tokio::runtime::TryCurrentError,
    },
    /// Its configuration does not allow faults.
    #[error("sandbox does not allow faults")]
    FaultsNotAllowed,
    /// The fault plan makes no sense.
    #[error("fault plan is invalid: {message}")]
    FaultPlan { message: String },
}

/// A running sandbox; dropping it stops it without waiting, [`Sandbox::shutdown`] waits.
#[derive(Debug)]
pub struct Sandbox {
    addr: SocketAddr,
    app: Arc<App>,
    server: Option<JoinHandle<()>>,
    writer: Option<(Writer, WriterThread)>,
    stopping: CancellationToken,
}

impl Sandbox {
    /// Opens the record, binds the port and serves on the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the configuration is out of range, the record cannot be opened, the port cannot be
    /// bound, or there is no Tokio runtime.
    pub fn start(config: SandboxConfig) -> Result<Self, SandboxError> {
        let listen = config.listen;
        if !listen.ip().is_loopback() {
            return Err(SandboxError::NotLoopback { listen });
        }
        let confirm_delay_ms = whole_ms("confirm_delay", config.confirm_delay)?;
        let block_interval_ms = whole_ms("block_interval", config.block_interval)?;
        if block_interval_ms == 0 {
            let value = config.block_interval;
            return Err(SandboxError::Duration { setting: "block_interval", value });
        }
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|source| SandboxError::NoRuntime { source })?;
        let (listener, addr) =
            bind(listen).map_err(|source| SandboxError::Bind { listen, source })?;
        let (writer, writer_thread, reader) = record::open(&config.data_dir, confirm_delay_ms)?;
        let stopping = CancellationToken::new();
        let app = Arc::new(App {
            writer: writer.clone(),
            reader,
            faults: Faults::default(),
            faults_allowed: config.faults_allowed,
            block_interval_ms,
            stopping: stopping.clone(),
        });
        let service =
            routes::router(Arc::clone(&app)).into_make_service_with_connect_info::<Breaker>();
        let serving = axum::serve(BreakableListener(listener), service)
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let server = runtime.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "sandbox stopped serving");
            }
        });
        tracing::info!(%addr, "sandbox payment and chain service is listening: no money moves");
        Ok(Self {
            addr,
            app,
            server: Some(server),
            writer: Some((writer, writer_thread)),
            stopping,
        })
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Replaces the fault plan, as `PUT /api/v1/sandbox/faults` does.
    ///
    /// # Errors
    ///
    /// When the configuration does not allow faults or the plan makes no sense.
    pub fn set_faults(&self, plan: FaultPlan) -> Result<(), SandboxError> {
        if !self.app.faults_allowed {
            return Err(SandboxError::FaultsNotAllowed);
        }
        plan.check().map_err(|message| SandboxError::FaultPlan { message })?;
        self.app.faults.set(plan);
        Ok(())
    }

    /// Takes no more requests, ends those in flight (for some seconds at most) and closes the
    /// record.
    pub async fn shutdown(mut self) {
        self.stopping.cancel();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(SHUTDOWN_GRACE, &mut server).await.is_err()
        {
            tracing::warn!("sandbox requests were still in flight at the end of the grace");
            server.abort();
        }
        if let Some((writer, thread)) = self.writer.take() {
            writer.stop().await;
            thread.join().await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

fn bind(listen: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = StdTcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, addr))
}

fn whole_ms(setting: &'static str, value: Duration) -> Result<i64, SandboxError> {
    i64::try_from(value.as_millis()).map_err(|_| SandboxError::Duration { setting, value })
}
