//! Votes: one for each eligible node and epoch, on the block that was newest when the epoch closed.
//!
//! They follow from closed epochs, a part at a time. A node's votes reach the chain in the order of
//! their epochs. While the chain does not answer nothing is sent: it is asked for its newest block,
//! less and less often, and when it answers the votes that waited are sent, so many at once as
//! ever.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    backoff::doubled_ms,
    consensus::{Vote, VoteState},
    notifications::event::EventKind,
    time::TimeMs,
};
use lucid_ports::{Chain, ChainError, Page, PageRequest, TRACE, VoteAnswer, VoteFilter};

use crate::Consensus;

/// Votes taken up in one step.
const VOTES_A_STEP: u32 = 500;
/// The longest wait between two tries, in first waits.
const WAITS_MAX: i64 = 64;

/// How the chain answered lately.
#[derive(Debug, Default)]
pub(crate) struct ChainPace {
    /// Tries in a row that brought nothing.
    failures: u32,
    /// It is not asked before.
    not_before: TimeMs,
    silence: Option<Silence>,
    /// The newest epoch of which votes were rejected, and how many.
    rejected: Option<(i64, usize)>,
}

/// A chain that does not answer.
#[derive(Debug)]
struct Silence {
    since: TimeMs,
    detail: String,
    /// Whether votes were not answered: a block that it names does not end that.
    of_votes: bool,
}

/// What became of one try with one vote.
enum Tried {
    /// There was none.
    Not,
    /// None is needed: the chain has no such vote.
    Needless(Vote),
    /// The chain said something.
    Answered(Vote),
    /// It did not.
    Silent(Vote, ChainError),
}

impl Consensus {
    /// Makes votes of epochs that were closed, pins blocks that could not be asked for, then sends
    /// what is due and asks about what the chain has not decided. Answers how many votes were
    /// settled; at least one, if there are more to make.
    ///
    /// # Errors
    /// [`ServiceError`] if the store does not answer. Votes wait for a chain that does not.
    pub async fn send_votes(&self) -> Result<u32, ServiceError> {
        let Some(chain) = &self.parts.chain else { return Ok(0) };
        let too_old = self.parts.clock.now().plus_ms(-self.config.votes_age_max_ms);
        let made = self.parts.votes.make_votes(too_old).await?;
        made.contradicted.iter().for_each(|vote| {
            self.contradicted(vote, "another score is stored for the same node and epoch")
        });
        let expired = if self.parts.clock.sure_now().is_some() {
            self.parts.votes.expire_votes(too_old, VOTES_A_STEP).await?
        } else {
            0
        };
        metrics::counter!("lucid_votes_total", "state" => VoteState::Expired.name())
            .increment(expired);
        let worked = u32::from(made.worked || expired > 0);
        let (before, away) = {
            let pace = self.chain_pace.lock();
            (pace.not_before, pace.silence.as_ref().map(|silence| silence.of_votes))
        };
        if self.parts.clock.now() < before {
            return Ok(worked);
        }
        match self.ask_for_blocks(chain.as_ref(), away.is_some()).await {
            Ok(()) if away == Some(false) => self.chain_answered(),
            Ok(()) => {}
            Err(ServiceError::Chain(error)) => {
                self.chain_was_silent(&error, false);
                return Ok(worked);
            }
            Err(error) => return Err(error),
        }
        let settled = self.send_due(chain.as_ref()).await?;
        Ok(settled.max(worked))
    }

    /// Gives epochs that have none a block, oldest first and a block each: what is left waits for
    /// the next block. A chain that was away is asked for one in any case.
    async fn ask_for_blocks(&self, chain: &dyn Chain, was_away: bool) -> Result<(), ServiceError> {
        let without = self.parts.votes.epochs_without_block().await?;
        if was_away && without.is_empty() {
            chain.latest_block().await?;
        }
        for epoch in without {
            let block = chain.latest_block().await?;
            if self.parts.votes.newest_block().await?.as_ref() == Some(&block) {
                break;
            }
            self.parts.epoch_records.pin_block(epoch, block).await?;
        }
        Ok(())
    }

    async fn send_due(&self, chain: &dyn Chain) -> Result<u32, ServiceError> {
        let due = self.parts.votes.due_votes(self.parts.clock.now(), VOTES_A_STEP).await?;
        let (in_flight_max, in_a_row) =
            (self.config.votes_in_flight_max.max(1), AtomicUsize::new(0));
        let tried: Vec<Tried> = stream::iter(due)
            .map(|vote| self.try_vote(chain, vote, &in_a_row, in_flight_max))
            .buffer_unordered(in_flight_max)
            .collect()
            .await;
        let (mut votes, mut answered, mut last) = (Vec::with_capacity(tried.len()), false, None);
        for tried in tried {
            match tried {
                Tried::Not => {}
                Tried::Needless(vote) => votes.push(vote),
                Tried::Answered(vote) => {
                    answered = true;
                    votes.push(vote);
                }
                Tried::Silent(vote, error) => {
                    last = Some(error);
                    votes.push(vote);
                }
            }
        }
        if votes.is_empty() {
            return Ok(0);
        }
        self.parts.votes.update_votes(votes.clone()).await?;
        votes.iter().for_each(|vote| self.publish_vote(vote));
        self.alert_rejected_votes(&votes);
        match last {
            Some(error) if !answered || in_a_row.load(Ordering::Relaxed) >= in_flight_max => {
                self.chain_was_silent(&error, true)
            }
            _ if answered => self.chain_answered(),
            _ => {}
        }
        let settled = votes.iter().filter(|vote| vote.state != VoteState::Pending).count();
        Ok(u32::try_from(settled).unwrap_or(u32::MAX))
    }

    /// Sends a vote, or asks about one that the chain has; not after as many silent tries in a row
    /// as are on their way at once.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.vote", skip_all)]
    async fn try_vote(
        &self,
        chain: &dyn Chain,
        mut vote: Vote,
        in_a_row: &AtomicUsize,
        in_a_row_max: usize,
    ) -> Tried {
        let Some(block) = vote.block.clone() else { return Tried::Not };
        if vote.vote_id.is_none() && !chain.takes(vote.choice) {
            let why = format!(
                "not sent: this chain takes no {}; a node that does not vote abstains",
                vote.choice.name()
            );
            (vote.state, vote.answer) = (VoteState::Abstained, Some(why));
            return Tried::Needless(vote);
        }
        if in_a_row.load(Ordering::Relaxed) >= in_a_row_max {
            return Tried::Not;
        }
        vote.attempts += 1;
        let answer = match &vote.vote_id {
            Some(vote_id) => chain.look(vote_id).await,
            None => chain
                .vote(&vote, &block, self.parts.signer.sign(&vote.statement(&block)))
                .await
                .map(Some),
        };
        let wait = self.backoff_ms(vote.attempts.saturating_sub(1));
        match answer {
            Ok(Some(VoteAnswer::Accepted { vote_id, status })) => {
                (vote.state, vote.vote_id, vote.answer) =
                    (VoteState::Accepted, Some(vote_id), Some(status));
            }
            Ok(Some(VoteAnswer::Undecided { vote_id, status })) => {
                (vote.vote_id, vote.answer, vote.next_attempt_at) =
                    (Some(vote_id), Some(status), self.parts.clock.now().plus_ms(wait));
            }
            Ok(Some(VoteAnswer::Rejected { reason })) => {
                (vote.state, vote.answer) = (VoteState::Rejected, Some(reason))
            }
            Ok(Some(VoteAnswer::Contradicted { reason })) => {
                self.contradicted(&vote, &reason);
                (vote.state, vote.answer) = (VoteState::Rejected, Some(reason));
            }
            // It lost it: the same vote is sent again.
            Ok(None) => (vote.vote_id, vote.next_attempt_at) = (None, self.parts.clock.now()),
            Err(error) => {
                in_a_row.fetch_add(1, Ordering::Relaxed);
                (vote.answer, vote.next_attempt_at) =
                    (Some(error.to_string()), self.parts.clock.now().plus_ms(wait));
                return Tried::Silent(vote, error);
            }
        }
        in_a_row.store(0, Ordering::Relaxed);
        Tried::Answered(vote)
    }

    fn backoff_ms(&self, failures: u32) -> i64 {
        let first_ms = self.config.vote_retry_first_ms;
        doubled_ms(first_ms, failures, first_ms.saturating_mul(WAITS_MAX))
    }

    fn chain_was_silent(&self, error: &ChainError, of_votes: bool) {
        let mut pace = self.chain_pace.lock();
        pace.not_before = self.parts.clock.now().plus_ms(self.backoff_ms(pace.failures));
        pace.failures = pace.failures.saturating_add(1);
        let silence = pace.silence.get_or_insert_with(|| Silence {
            since: self.parts.clock.now(),
            detail: error.detail.clone(),
            of_votes,
        });
        silence.of_votes |= of_votes;
        let message = format!(
            "the blockchain service gives no usable answer since {}: {}; votes wait",
            silence.since, silence.detail
        );
        drop(pace);
        self.parts.notifications.alert("chain", message);
    }

    fn chain_answered(&self) {
        let mut pace = self.chain_pace.lock();
        (pace.failures, pace.not_before, pace.silence) = (0, TimeMs(0), None);
        drop(pace);
        self.parts.notifications.clear_alert("chain");
    }

    /// Two scores of one node for one epoch or block: somebody else signs with our key, or a record
    /// was changed. It stays for a person to see.
    fn contradicted(&self, vote: &Vote, how: &str) {
        let message = format!(
            "node {}, epoch {}, score {}: {how}",
            vote.node, vote.epoch_start_s, vote.score
        );
        tracing::error!(message, "two votes contradict each other");
        self.parts.notifications.alert("vote-contradicted", message);
    }

    /// An alert as long as the newest epoch has rejected votes.
    fn alert_rejected_votes(&self, votes: &[Vote]) {
        let newest = |state: VoteState| {
            votes
                .iter()
                .filter(move |vote| vote.state == state)
                .map(|vote| vote.epoch_start_s)
                .max()
        };
        let known = self.chain_pace.lock().rejected;
        if let Some(epoch_s) = newest(VoteState::Rejected)
            .filter(|epoch_s| known.is_none_or(|(known_s, _)| known_s <= *epoch_s))
        {
            let of_epoch = votes
                .iter()
                .filter(|vote| vote.state == VoteState::Rejected && vote.epoch_start_s == epoch_s);
            let before =
                known.filter(|(known_s, _)| *known_s == epoch_s).map_or(0, |(_, count)| count);
            let count = before + of_epoch.clone().count();
            let reason = of_epoch
                .max_by_key(|vote| vote.node)
                .and_then(|vote| vote.answer.clone())
                .unwrap_or_default();
            self.chain_pace.lock().rejected = Some((epoch_s, count));
            self.parts.notifications.alert(
                "votes-rejected",
                format!("{count} votes of epoch {epoch_s} were rejected, for example: {reason}"),
            );
        } else if known
            .zip(newest(VoteState::Accepted))
            .is_some_and(|((known_s, _), accepted_s)| accepted_s > known_s)
        {
            self.chain_pace.lock().rejected = None;
            self.parts.notifications.clear_alert("votes-rejected");
        }
    }

    fn publish_vote(&self, vote: &Vote) {
        let (node, epoch_start_s) = (vote.node, vote.epoch_start_s);
        match vote.state {
            VoteState::Accepted => {
                let vote_id = vote.vote_id.clone().unwrap_or_default();
                self.parts.notifications.emit(EventKind::VoteAccepted {
                    node,
                    epoch_start_s,
                    vote_id,
                });
            }
            VoteState::Rejected => {
                let reason = vote.answer.clone().unwrap_or_default();
                self.parts.notifications.emit(EventKind::VoteRejected {
                    node,
                    epoch_start_s,
                    reason,
                });
            }
            VoteState::Abstained => {}
            VoteState::Pending | VoteState::Expired => return,
        }
        metrics::counter!("lucid_votes_total", "state" => vote.state.name()).increment(1);
    }

    /// A page of votes.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn votes(
        &self,
        actor: &Actor,
        mut filter: VoteFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Vote>, ServiceError> {
        if actor.node.is_some() && filter.node.is_some_and(|node| actor.node != Some(node)) {
            return Err(ServiceError::Forbidden { why: "the node is another's" });
        }
        actor.narrow(&mut filter.owner, &mut filter.node);
        Ok(self.parts.votes.votes(&filter, page).await?)
    }
}
