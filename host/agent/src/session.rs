//! The agent's observation sessions: one is open while the node is active, and grows with every
//! sample. None spans a moment at which the clock was set, or the machine suspended: nobody knows
//! how much time that was.

use std::{collections::VecDeque, time::Duration};

use lucid_api_types::telemetry::report::{ObservationRequest, ObservationsRequest, SESSIONS_MAX};
use lucid_model::time::TimeMs;
use uuid::Uuid;

use crate::clock::{ClockReading, SLEW_MS_MAX, ms};

/// Closed sessions that wait to be reported; the oldest give way. Time that nobody witnessed is not
/// credited, so that what a long silence would lose here was lost before.
const CLOSED_MAX: usize = SESSIONS_MAX - 1;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    id: Uuid,
    from: TimeMs,
    to: TimeMs,
}

/// The session that grows.
#[derive(Debug)]
struct Open {
    session: Session,
    /// The clocks when it was opened: as long as they go along with each other it is one stretch of
    /// time.
    opened: ClockReading,
}

/// The sessions of a run.
#[derive(Debug)]
pub(crate) struct Sessions {
    length_ms: i64,
    open: Option<Open>,
    closed: VecDeque<Session>,
}

impl Sessions {
    pub(crate) fn new(length: Duration) -> Self {
        Self { length_ms: ms(length).max(1), open: None, closed: VecDeque::new() }
    }

    /// Sessions open at the node.
    pub(crate) fn active(&self) -> u32 {
        u32::from(self.open.is_some())
    }

    /// Time went on, with the node active or not.
    pub(crate) fn advance(&mut self, now: ClockReading, active: bool) {
        if !active || self.open.as_ref().is_some_and(|open| now.was_set_since(open.opened)) {
            self.close();
        }
        if self.open.is_none() {
            self.take_back_the_future(now.wall);
        }
        if !active {
            return;
        }
        let Some(open) = &mut self.open else {
            let from = self.closed.back().map_or(now.wall, |last| last.to.max(now.wall));
            self.open(from, now);
            return;
        };
        // A clock that runs a little slower for a while grows nothing.
        open.session.to = open.session.to.max(now.wall);
        let to = open.session.to;
        if to.ms_since(open.session.from) >= self.length_ms {
            self.close();
            self.open(to, now);
        }
    }

    fn open(&mut self, from: TimeMs, opened: ClockReading) {
        self.open = Some(Open { session: Session { id: Uuid::now_v7(), from, to: from }, opened });
    }

    fn close(&mut self) {
        if let Some(Open { session, .. }) =
            self.open.take().filter(|open| open.session.to > open.session.from)
        {
            self.closed.push_back(session);
            if self.closed.len() > CLOSED_MAX {
                self.closed.pop_front();
            }
        }
    }

    /// A clock that was set back has not reached the end of what was closed before. Time to come is
    /// not claimed: the service would refuse it. What remains of such a session is one of its own,
    /// because at the service none shrinks.
    fn take_back_the_future(&mut self, now: TimeMs) {
        for session in
            self.closed.iter_mut().filter(|session| session.to.ms_since(now) > SLEW_MS_MAX)
        {
            *session = Session { id: Uuid::now_v7(), from: session.from, to: now };
        }
        self.closed.retain(|session| session.to > session.from);
    }

    /// What there is to report, and how many of it are closed.
    pub(crate) fn report(&self) -> Option<(ObservationsRequest, usize)> {
        let open = self
            .open
            .as_ref()
            .map(|open| &open.session)
            .filter(|session| session.to > session.from);
        let observations: Vec<_> = self.closed.iter().chain(open).map(request).collect();
        if observations.is_empty() {
            None
        } else {
            Some((ObservationsRequest { observations }, self.closed.len()))
        }
    }

    /// The first closed ones need not be reported again.
    pub(crate) fn reported(&mut self, closed: usize) {
        self.closed.drain(..closed.min(self.closed.len()));
    }
}

fn request(session: &Session) -> ObservationRequest {
    ObservationRequest {
        session_id: session.id.to_string(),
        start_time: session.from.to_string(),
        end_time: session.to.to_string(),
        quality_score: 1.0,
        resource_usage: None,
    }
}

#[cfg(test)]
mod tests;
