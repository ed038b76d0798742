//! The agent's observation sessions: one is open while the node is active, and grows with every sample.

use std::{collections::VecDeque, time::Duration};

use lucid_model::time::TimeMs;
use lucid_wire::report::{ObservationRequest, ObservationsRequest, SESSIONS_MAX};
use uuid::Uuid;

/// Closed sessions that wait to be reported; the oldest give way. Time that nobody witnessed is not credited, so
/// that what a long silence would lose here was lost before.
const CLOSED_MAX: usize = SESSIONS_MAX - 1;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    id: Uuid,
    from: TimeMs,
    to: TimeMs,
}

/// The sessions of a run.
#[derive(Debug)]
pub(crate) struct Sessions {
    length_ms: i64,
    open: Option<Session>,
    closed: VecDeque<Session>,
}

impl Sessions {
    pub(crate) fn new(length: Duration) -> Self {
        Self { length_ms: i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1), open: None, closed: VecDeque::new() }
    }

    /// Sessions open at the node.
    pub(crate) fn active(&self) -> u32 {
        u32::from(self.open.is_some())
    }

    /// Time went on, with the node active or not.
    pub(crate) fn advance(&mut self, now: TimeMs, active: bool) {
        if !active {
            self.close();
            return;
        }
        let Some(open) = &mut self.open else {
            self.open = Some(Session { id: Uuid::now_v7(), from: now, to: now });
            return;
        };
        // A clock that was set back grows nothing.
        open.to = open.to.max(now);
        if open.to.ms_since(open.from) >= self.length_ms {
            let next = Session { id: Uuid::now_v7(), from: open.to, to: open.to };
            self.close();
            self.open = Some(next);
        }
    }

    fn close(&mut self) {
        if let Some(session) = self.open.take().filter(|session| session.to > session.from) {
            self.closed.push_back(session);
            if self.closed.len() > CLOSED_MAX {
                self.closed.pop_front();
            }
        }
    }

    /// What there is to report, and how many of it are closed.
    pub(crate) fn report(&self) -> Option<(ObservationsRequest, usize)> {
        let open = self.open.as_ref().filter(|session| session.to > session.from);
        let observations: Vec<_> = self.closed.iter().chain(open).map(request).collect();
        if observations.is_empty() { None } else { Some((ObservationsRequest { observations }, self.closed.len())) }
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
mod tests {
    use super::*;

    #[test]
    fn a_session_grows_and_is_followed_by_one_that_starts_where_it_ended() {
        let mut sessions = Sessions::new(Duration::from_secs(60));
        for second in [0, 30, 60, 90] {
            sessions.advance(TimeMs::from_unix_s(second), true);
        }
        let (report, closed) = sessions.report().unwrap();
        let spans: Vec<_> = report.observations.iter().map(|o| (o.start_time[17..19].to_owned(), o.end_time[17..19].to_owned())).collect();
        assert_eq!((spans, closed), (vec![("00".into(), "00".into()), ("00".into(), "30".into())], 1));
        assert_ne!(report.observations[0].session_id, report.observations[1].session_id);
        sessions.reported(closed);
        assert_eq!(sessions.report().unwrap().0.observations.len(), 1);
    }

    #[test]
    fn a_node_that_is_not_active_has_no_session() {
        let mut sessions = Sessions::new(Duration::from_secs(60));
        sessions.advance(TimeMs(0), false);
        assert!(sessions.report().is_none() && sessions.active() == 0);
        sessions.advance(TimeMs(1), true);
        assert!(sessions.report().is_none(), "an empty session is not reported");
        sessions.advance(TimeMs(2), true);
        sessions.advance(TimeMs(3), false);
        assert_eq!((sessions.report().unwrap().1, sessions.active()), (1, 0));
    }
}
