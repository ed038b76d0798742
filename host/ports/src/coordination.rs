use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;

/// Why the coordinator could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoordinationError {
    /// It does not answer: nobody is granted anything until it does.
    #[error("coordination is unavailable: {detail}")]
    Unavailable {
        /// For the log; never a password.
        detail: String,
    },
    /// It answers, and does not do it: nobody is granted anything until it does.
    #[error("Redis refuses: {detail}")]
    Refused {
        /// Its word, and what to do.
        detail: String,
    },
    /// A message is longer than what is passed on.
    #[error("a message of {bytes} bytes is longer than the limit of {bytes_max}")]
    TooLong { bytes: usize, bytes_max: usize },
}

/// A lease's number: greater than every number given out for its name before. A store that has seen
/// a greater one refuses the holder of a smaller one, who does not know yet that it is none any
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lease as the work done under it sees it: its fence, and whether it is good at this moment.
#[derive(Clone)]
pub struct HeldLease {
    fence: Fence,
    is_good: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl HeldLease {
    /// A tenure that is good for as long as `is_good` says so, which reads the holder's clock each
    /// time.
    pub fn new(fence: Fence, is_good: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { fence, is_good: Arc::new(is_good) }
    }

    /// What a store compares.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Whether its holder may still act.
    pub fn is_good(&self) -> bool {
        (self.is_good)()
    }
}

/// The right to do alone what a name stands for, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What for.
    pub name: String,
    /// Who has it: one word a replica, made anew at each start.
    pub holder: String,
    /// Its number.
    pub fence: Fence,
    /// How long each renewal lasts.
    pub ttl: Duration,
    /// Until when the holder may act by its own clock: earlier than the coordinator gives it to
    /// somebody else.
    pub until: Instant,
}

impl Lease {
    /// Whether its holder may still act.
    pub fn is_good(&self, now: Instant) -> bool {
        now < self.until
    }
}

/// A replica whose clock differs by more from the coordinator's is granted no lease: it would close
/// epochs before their last reports are there, or date what it pays wrong. Far below the time that
/// a close waits for reports (45 s by default).
pub const CLOCK_OFF_MAX: Duration = Duration::from_secs(10);

/// What a coordinator answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// How far this replica's clock is ahead of the coordinator's, milliseconds; below zero it is
    /// behind.
    pub ahead_ms: i64,
    /// By how much that may be wrong: half the time that the answer took.
    pub within_ms: i64,
}

impl Checked {
    /// Whether the clock is so far off that this replica is granted no lease.
    pub fn is_off(self) -> bool {
        u128::from(self.ahead_ms.unsigned_abs()) > CLOCK_OFF_MAX.as_millis()
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// An event, as clients are told it.
    Event,
    /// What is active changed; the store says how.
    Policies,
    /// What the sender's wall clock shows.
    Clock,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 3] = [Self::Event, Self::Policies, Self::Clock];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Policies => "policies",
            Self::Clock => "clock",
        }
    }
}

/// Something another replica said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Message {
        /// Which replica.
        origin: String,
        /// What it is about.
        topic: Topic,
        /// What it says.
        payload: Vec<u8>,
    },
    /// Messages were lost: so many of one replica, or nobody knows how many.
    Gap {
        /// Which replica, if it was one.
        origin: Option<String>,
        /// How many, if that is known.
        lost: Option<u64>,
    },
}

/// Listens to the other replicas.
#[async_trait]
pub trait Listener: Send {
    /// The next thing; waits for it, and goes on by itself after the coordinator was away. Dropping
    /// the call loses nothing.
    async fn next(&mut self) -> Heard;
}

/// What the replicas of a store agree on without keeping it. Every call ends within a time of its
/// own.
#[async_trait]
pub trait Coordinator: Send + Sync {
    /// What this replica is called: the origin of what it says, the holder of its leases.
    fn replica(&self) -> &str;

    /// Takes a lease that nobody has; none if somebody has it. Who has it itself gets it anew, with
    /// another fence.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`]: nothing is granted then.
    async fn acquire(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, CoordinationError>;

    /// Lengthens a lease by its time from now; none if it is lost. The fence stays.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`]: the lease is good until its time is over, and no longer.
    async fn renew(&self, lease: &Lease) -> Result<Option<Lease>, CoordinationError>;

    /// Gives a lease back; `false` if it was lost before.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`]: it runs out by itself.
    async fn release(&self, lease: &Lease) -> Result<bool, CoordinationError>;

    /// A store has seen this fence of a name: those that are given out here from now on are
    /// greater.
    fn seen(&self, name: &str, fence: Fence);

    /// Says something to the other replicas, at most once each.
    ///
    /// # Errors
    /// [`CoordinationError`]: nobody hears it.
    async fn tell(&self, topic: Topic, payload: Vec<u8>) -> Result<(), CoordinationError>;

    /// Hears what the other replicas say from now on; if the coordinator is away, from when it is
    /// back, after a gap.
    async fn listen(&self) -> Box<dyn Listener>;

    /// Whether it answers, and what its clock says. Called again and again by one task: what is
    /// down is found to be up again here.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    async fn check(&self) -> Result<Checked, CoordinationError>;
}

/// What became of a word that may be used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstUse {
    /// Nobody used it before.
    Yes,
    /// It was used before, here or by another replica.
    No,
    /// So many words are remembered that this one cannot be.
    TooMany { limit: usize },
}

/// Remembers words that may be used once: nonces, answered challenges.
#[async_trait]
pub trait UsedOnce: Send + Sync {
    /// Uses a word up, for all replicas and for so long. While the coordinator is away each replica
    /// knows only its own.
    async fn use_up(&self, word: &str, ttl: Duration) -> FirstUse;
}
