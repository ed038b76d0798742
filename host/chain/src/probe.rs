use lucid_egress::probe::{Probe, Verdict, judged};
use reqwest::StatusCode;

use crate::ChainClient;

impl ChainClient {
    /// Asks for the newest block.
    ///
    /// # Errors
    /// Why there was no answer.
    pub async fn probe(&self) -> Result<Probe, String> {
        let (status, date, body) = self.newest().await?;
        let verdict = match self.block(status, &body) {
            Ok(block) => Verdict::Fits(format!(
                "it speaks the profile {}, its newest block is {}",
                self.profile().name,
                block.id
            )),
            Err(_) if status != StatusCode::OK => judged(status, self.profile().name),
            Err(problem) => Verdict::Misfits(problem.detail),
        };
        Ok(Probe { date, verdict })
    }
}
