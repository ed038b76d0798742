use lucid_egress::probe::{Probe, Verdict, asked, judged};
use reqwest::StatusCode;

use crate::{
    TronPayment,
    answer::says_unknown,
    profile::{Find, NOBODY},
};

impl TronPayment {
    /// Looks up a payout that nobody has.
    ///
    /// # Errors
    /// Why there was no answer.
    pub async fn probe(&self) -> Result<Probe, String> {
        let profile = self.profile();
        let url = match profile.find {
            Find::ByReference => format!("{}?reference={}", self.url(profile.path), NOBODY),
            Find::ById { prefix, nobody } => format!("{}/{nobody}", self.url(prefix)),
        };
        let (status, date, body) = asked("payment", self.get(url)).await?;
        let verdict = match status {
            StatusCode::NOT_FOUND if says_unknown(profile, &body) => {
                Verdict::Fits(format!("it speaks the profile {}", profile.name))
            }
            status => judged(status, profile.name),
        };
        Ok(Probe { date, verdict })
    }
}
