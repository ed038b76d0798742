//! Votes: one for each eligible node and epoch, on the block that was newest when the epoch closed.

use futures::{StreamExt, stream};
use lucid_model::{
    event::EventKind,
    vote::{Vote, VoteState},
};
use lucid_ports::{Chain, VoteAnswer};

use crate::{Service, ServiceError};

/// Votes taken up in one step.
const VOTES_A_STEP: u32 = 500;
/// Doublings of the wait between two tries: 2^6 first waits at most.
const DOUBLINGS_MAX: u32 = 6;

impl Service {
    /// Makes votes of epochs that were closed, pins blocks that could not be asked for, then sends what is due. Answers how
    /// many were accepted; at least one, if there are more to make.
    ///
    /// # Errors
    /// [`ServiceError`] if the store or the chain does not answer; votes wait then.
    pub async fn send_votes(&self) -> Result<u32, ServiceError> {
        let Some(chain) = &self.ports.chain else { return Ok(0) };
        let made = self.store().make_votes(self.now().plus_ms(-self.config.votes_age_max_ms)).await?;
        for epoch in self.store().epochs_without_block().await? {
            let block = chain.latest_block().await?;
            self.store().pin_block(epoch, block).await?;
        }
        let due = self.store().due_votes(self.now(), VOTES_A_STEP).await?;
        let sent: Vec<Vote> = stream::iter(due)
            .map(|vote| self.send_vote(chain.as_ref(), vote))
            .buffer_unordered(self.config.votes_in_flight_max.max(1))
            .collect()
            .await;
        let accepted = sent.iter().filter(|v| v.state == VoteState::Accepted).count();
        if !sent.is_empty() {
            self.store().update_votes(sent.clone()).await?;
            sent.iter().for_each(|vote| self.tell_of_vote(vote));
        }
        Ok(u32::try_from(accepted).unwrap_or(u32::MAX).max(u32::from(made)))
    }

    async fn send_vote(&self, chain: &dyn Chain, mut vote: Vote) -> Vote {
        let Some(block) = vote.block.clone() else { return vote };
        if self.now().ms_since(vote.timestamp) > self.config.votes_age_max_ms {
            vote.state = VoteState::Expired;
            return vote;
        }
        vote.attempts += 1;
        let signature = self.ports.signer.sign(&vote.statement(&block));
        match chain.vote(&vote, &block, signature).await {
            Ok(VoteAnswer::Accepted { vote_id, status }) => {
                vote.state = VoteState::Accepted;
                vote.vote_id = Some(vote_id);
                vote.answer = Some(status);
            }
            Ok(VoteAnswer::Rejected { reason }) => {
                vote.state = VoteState::Rejected;
                vote.answer = Some(reason);
            }
            Err(error) => {
                vote.answer = Some(error.to_string());
                let wait = self.config.vote_retry_first_ms << vote.attempts.saturating_sub(1).min(DOUBLINGS_MAX);
                vote.next_attempt_at = self.now().plus_ms(wait);
            }
        }
        vote
    }

    fn tell_of_vote(&self, vote: &Vote) {
        metrics::counter!("lucid_votes_total", "state" => vote.state.name()).increment(1);
        let (node, epoch_start_s) = (vote.node, vote.epoch_start_s);
        match vote.state {
            VoteState::Accepted => {
                let vote_id = vote.vote_id.clone().unwrap_or_default();
                self.emit(EventKind::VoteAccepted { node, epoch_start_s, vote_id });
            }
            VoteState::Rejected => {
                let reason = vote.answer.clone().unwrap_or_default();
                self.emit(EventKind::VoteRejected { node, epoch_start_s, reason });
            }
            VoteState::Pending | VoteState::Expired => {}
        }
    }
}
