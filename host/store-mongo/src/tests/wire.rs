//! A wire between the driver and the server that is cut at a command: before it is delivered, or
//! when it was carried out and its answer is on its way.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// Bytes before a message's body: its length, its number, what it answers, its kind.
const HEAD_BYTES: usize = 16;
/// The kind of message that carries commands.
const OP_MSG: u32 = 2013;
/// What drivers say by themselves, when they like: not part of an operation.
const CHATTER: [&str; 4] = ["hello", "ismaster", "isMaster", "endSessions"];

/// What is lost when the wire is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// The server never sees the command.
    Command,
    /// The server carries it out and nobody hears of it.
    Answer,
}

/// What becomes of the process at this end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    /// It ends with the wire: nothing it still says arrives.
    Ends,
    /// It goes on over another connection.
    GoesOn,
}

struct Shared {
    server: String,
    /// Commands until the cut; 0 = none is to come.
    left: AtomicU32,
    cut: AtomicBool,
    lost: AtomicBool,
    process_ends: AtomicBool,
    dead: watch::Sender<bool>,
}

/// The wire. It begins whole.
pub(super) struct Wire {
    shared: Arc<Shared>,
    pub(super) address: String,
}

impl Wire {
    /// A wire to a server at `host:port`.
    pub(super) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            left: AtomicU32::new(0),
            cut: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            process_ends: AtomicBool::new(false),
            dead: watch::Sender::new(false),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut dead = accepting.dead.subscribe();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    // Nobody is there any more: whoever connects is refused.
                    _ = dead.wait_for(|dead| *dead) => return,
                };
                let (client, _) = accepted.unwrap();
                tokio::spawn(connection(client, Arc::clone(&accepting)));
            }
        });
        Self { shared, address }
    }

    /// Cuts it at the `n`th command from now.
    pub(super) fn cut_at(&self, n: u32, lost: Lost, process: Process) {
        self.shared.lost.store(lost == Lost::Answer, Ordering::SeqCst);
        self.shared.process_ends.store(process == Process::Ends, Ordering::SeqCst);
        self.shared.left.store(n, Ordering::SeqCst);
    }

    /// Whether that many commands came.
    pub(super) fn was_cut(&self) -> bool {
        self.shared.cut.load(Ordering::SeqCst)
    }

    /// Waits until the process at this end is said to have ended.
    pub(super) async fn process_ended(&self) {
        self.shared.dead.subscribe().wait_for(|dead| *dead).await.unwrap();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.dead.send_replace(true);
    }
}

async fn connection(client: TcpStream, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(&shared.server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let swallow = Arc::new(AtomicBool::new(false));
    let mut dead = shared.dead.subscribe();
    // The first of them to end takes the connection with it, at both ends.
    tokio::select! {
        () = commands(from_client, to_server, &shared, &swallow) => {}
        () = answers(from_server, to_client, &shared, &swallow) => {}
        _ = dead.wait_for(|dead| *dead) => {}
    }
}

async fn commands(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    swallow: &AtomicBool,
) {
    while let Some(message) = message(&mut from).await {
        let counts = command(&message).is_some_and(|name| !CHATTER.contains(&name));
        if counts
            && shared.left.load(Ordering::SeqCst) > 0
            && shared.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            if !shared.lost.load(Ordering::SeqCst) {
                return cut(shared);
            }
            swallow.store(true, Ordering::SeqCst);
        }
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    swallow: &AtomicBool,
) {
    while let Some(message) = message(&mut from).await {
        if swallow.load(Ordering::SeqCst) {
            return cut(shared);
        }
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}

fn cut(shared: &Shared) {
    shared.cut.store(true, Ordering::SeqCst);
    if shared.process_ends.load(Ordering::SeqCst) {
        shared.dead.send_replace(true);
    }
}

/// A whole message with its head; none at the end.
async fn message(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut message = vec![0; HEAD_BYTES];
    from.read_exact(&mut message).await.ok()?;
    let length = u32::from_le_bytes(message[..4].try_into().unwrap()) as usize;
    message.resize(length, 0);
    from.read_exact(&mut message[HEAD_BYTES..]).await.ok()?;
    Some(message)
}

/// The name of the command that a message carries: the first key of its document, after flags and
/// the section's kind.
fn command(message: &[u8]) -> Option<&str> {
    let kind = u32::from_le_bytes(message[12..16].try_into().unwrap());
    let name = message.get(HEAD_BYTES + 4 + 1 + 4 + 1..).filter(|_| kind == OP_MSG)?;
    std::str::from_utf8(&name[..name.iter().position(|byte| *byte == 0)?]).ok()
}
