use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lucid_ports::{FirstUse, UsedOnce};
use parking_lot::Mutex;

/// Words that one process remembers: each takes about 200 bytes.
const WORDS_MAX: usize = 100_000;
/// Between two looks for what may be forgotten: not with every word, each of which would read all
/// of them.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Words {
    until: BTreeMap<String, Instant>,
    forget_at: Option<Instant>,
}

/// What was used in this process.
#[derive(Default)]
pub struct LocalUsedOnce {
    words: Mutex<Words>,
}

#[async_trait]
impl UsedOnce for LocalUsedOnce {
    async fn use_up(&self, word: &str, ttl: Duration) -> FirstUse {
        let (mut words, now) = (self.words.lock(), Instant::now());
        if words.forget_at.is_none_or(|at| now >= at) {
            words.forget_at = Some(now + FORGET_INTERVAL);
            words.until.retain(|_, until| *until > now);
        }
        if words.until.get(word).is_some_and(|until| *until > now) {
            return FirstUse::No;
        }
        if words.until.len() >= WORDS_MAX {
            return FirstUse::TooMany { limit: WORDS_MAX };
        }
        words.until.insert(word.to_owned(), now + ttl);
        FirstUse::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_remembered_has_a_limit_and_is_forgotten() {
        let used = LocalUsedOnce::default();
        for number in 0..WORDS_MAX {
            assert_eq!(
                used.use_up(&number.to_string(), Duration::from_millis(1)).await,
                FirstUse::Yes
            );
        }
        assert_eq!(
            used.use_up("one more", Duration::from_secs(1)).await,
            FirstUse::TooMany { limit: WORDS_MAX }
        );
        used.words.lock().forget_at = None;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(used.use_up("one more", Duration::from_secs(1)).await, FirstUse::Yes);
        assert_eq!(used.words.lock().until.len(), 1);
    }
}
