//! How many event streams a caller has open: each holds a connection, a queue and a place in every
//! event's way.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

/// Open streams of one subject, or of one node, at one replica.
pub const STREAMS_OF_A_CALLER_MAX: u32 = 16;

/// Who has how many.
#[derive(Clone, Default)]
pub struct Streams {
    open: Arc<Mutex<HashMap<String, u32>>>,
}

/// An open stream; dropped when it ends.
pub struct OpenStream {
    streams: Streams,
    caller: String,
}

impl Streams {
    /// One more for a caller; none if it has as many as it may.
    pub fn open(&self, caller: &str) -> Option<OpenStream> {
        let mut open = self.open.lock();
        let count = open.entry(caller.to_owned()).or_default();
        if *count >= STREAMS_OF_A_CALLER_MAX {
            return None;
        }
        *count += 1;
        Some(OpenStream { streams: self.clone(), caller: caller.to_owned() })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock();
        let left = open.get_mut(&self.caller).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        // Who has none is not remembered.
        if left == Some(0) {
            open.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_so_many_streams_and_others_have_their_own() {
        let streams = Streams::default();
        let mut open: Vec<_> =
            (0..STREAMS_OF_A_CALLER_MAX).map(|_| streams.open("alice").unwrap()).collect();
        assert!(streams.open("alice").is_none());
        let bob = streams.open("bob").unwrap();
        open.pop();
        assert!(streams.open("alice").is_some());
        drop((open, bob));
        assert!(streams.open.lock().is_empty());
    }
}
