use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use lucid_ports::{CoordinationError, Heard, Listener, Topic};
use redis::aio::PubSubStream;

use super::link::Link;

/// Says only that a replica is there.
pub(super) const ALIVE: &str = "alive";
/// Silence after which the connection is taken for dead: every replica says more than once a second
/// that it lives, this one too.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Between tries to connect.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);
/// Most replicas whose numbers are remembered; each start of one is another.
const ORIGINS_MAX: usize = 1_024;

/// A subscription, made again whenever it ends.
pub(super) struct RedisListener {
    link: Arc<Link>,
    channel: String,
    replica: String,
    subscription: Option<PubSubStream>,
    numbers: Numbers,
    ready: VecDeque<Heard>,
}

impl RedisListener {
    pub(super) async fn start(link: Arc<Link>, channel: String, replica: String) -> Self {
        let mut listener = Self {
            link,
            channel,
            replica,
            subscription: None,
            numbers: Numbers::default(),
            ready: VecDeque::new(),
        };
        listener.subscription = listener.subscribe().await.ok();
        listener
    }

    async fn subscribe(&self) -> Result<PubSubStream, CoordinationError> {
        let client = self.link.client().clone();
        let channel = self.channel.clone();
        self.link
            .timed(async move {
                let mut connection = client.get_async_pubsub().await?;
                connection.subscribe(channel).await?;
                Ok(connection.into_on_message())
            })
            .await
    }

    fn hear(&mut self, message: &[u8]) {
        let Some(said) = Said::read(message) else {
            tracing::warn!(bytes = message.len(), "a message of another replica cannot be read");
            return;
        };
        if said.origin == self.replica {
            return;
        }
        // A sign of life carries the number of the last message, a message its own.
        let expected = if said.word == ALIVE { said.seq } else { said.seq.saturating_sub(1) };
        if let Some(lost) = self.numbers.lost(said.origin, expected, said.seq) {
            self.ready
                .push_back(Heard::Gap { origin: Some(said.origin.to_owned()), lost: Some(lost) });
        }
        if let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.name() == said.word) {
            self.ready.push_back(Heard::Message {
                origin: said.origin.to_owned(),
                topic,
                payload: said.payload.to_vec(),
            });
        }
    }
}

#[async_trait]
impl Listener for RedisListener {
    async fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.ready.pop_front() {
                return heard;
            }
            let Some(subscription) = &mut self.subscription else {
                match self.subscribe().await {
                    Ok(subscription) => {
                        self.subscription = Some(subscription);
                        self.ready.push_back(Heard::Gap { origin: None, lost: None });
                    }
                    Err(_) => tokio::time::sleep(RECONNECT_DELAY).await,
                }
                continue;
            };
            match tokio::time::timeout(SILENCE_MAX, subscription.next()).await {
                Ok(Some(message)) => self.hear(message.get_payload_bytes()),
                Ok(None) | Err(_) => self.subscription = None,
            }
        }
    }
}

/// `origin\nnumber\nword\npayload`.
struct Said<'a> {
    origin: &'a str,
    seq: u64,
    word: &'a str,
    payload: &'a [u8],
}

impl<'a> Said<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let mut parts = message.splitn(4, |byte| *byte == b'\n');
        let mut word = || std::str::from_utf8(parts.next()?).ok();
        let (origin, seq, word) = (word()?, word()?.parse().ok()?, word()?);
        Some(Self { origin, seq, word, payload: parts.next()? })
    }
}

/// The last number heard of each replica.
#[derive(Default)]
struct Numbers {
    last: BTreeMap<String, u64>,
}

impl Numbers {
    /// How many messages are missing before `expected`, if any; the last one heard is `seq` from
    /// now on.
    fn lost(&mut self, origin: &str, expected: u64, seq: u64) -> Option<u64> {
        if let Some(last) = self.last.get_mut(origin) {
            let lost = expected.saturating_sub(*last);
            *last = seq.max(*last);
            return (lost > 0).then_some(lost);
        }
        if self.last.len() >= ORIGINS_MAX {
            self.last.clear();
        }
        self.last.insert(origin.to_owned(), seq);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_numbers_are_counted_once() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.lost("a", 40, 41), None, "what was before the first is not missed");
        assert_eq!(numbers.lost("a", 41, 42), None);
        assert_eq!(numbers.lost("a", 44, 45), Some(2));
        assert_eq!(numbers.lost("a", 47, 47), Some(2), "a sign of life tells of a lost end");
        assert_eq!(numbers.lost("a", 47, 47), None);
        assert_eq!(numbers.lost("b", 0, 1), None);
    }

    #[test]
    fn a_message_may_hold_any_bytes() {
        let said = Said::read(b"replica\n7\nevent\na\nb\n\xff").unwrap();
        assert_eq!(
            (said.origin, said.seq, said.word, said.payload),
            ("replica", 7, "event", &b"a\nb\n\xff"[..])
        );
        assert!(Said::read(b"replica\nseven\nevent\n").is_none());
        assert!(Said::read(b"replica\n7\nevent").is_none());
    }
}
