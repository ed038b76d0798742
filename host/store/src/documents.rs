//! What every backend keeps as JSON, because it is only ever shown: what shadows found, the rows of
//! an adjustment, the resolutions of a batch.

use lucid_model::{
    epochs::{
        receipt::ScoreRow,
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    id::{NodeId, PoolScope},
    money::{
        MicroUsdt,
        payout::{Outcome, Resolution},
    },
    policies::Findings,
    review::simulation::{Change, Earned, Of, Side, Summary},
};
use serde::{Deserialize, Serialize};

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{0:?} is no {1}")]
    NotA(String, &'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FindingsDoc {
    Scores(SummaryDoc<ChangeDoc>),
    Money(SummaryDoc<EarnedDoc>),
    Failed(String),
}

#[derive(Serialize, Deserialize)]
struct SummaryDoc<C> {
    nodes: u64,
    changed: u64,
    total: C,
    winners: Vec<(String, String, C)>,
    losers: Vec<(String, String, C)>,
}

/// Epochs; then scores, score-seconds, clamped and held of both sides.
#[derive(Serialize, Deserialize)]
struct ChangeDoc(u64, [u64; 4], [u64; 4]);

impl From<Change> for ChangeDoc {
    fn from(change: Change) -> Self {
        let side = |side: Side| [side.score_centi, side.score_seconds, side.clamped, side.held];
        Self(change.epochs, side(change.before), side(change.after))
    }
}
impl From<ChangeDoc> for Change {
    fn from(ChangeDoc(epochs, before, after): ChangeDoc) -> Self {
        let side = |[score_centi, score_seconds, clamped, held]: [u64; 4]| Side {
            score_centi,
            score_seconds,
            clamped,
            held,
        };
        Self { epochs, before: side(before), after: side(after) }
    }
}

/// Micro-USDT before and after.
#[derive(Serialize, Deserialize)]
struct EarnedDoc(i64, i64);

impl From<Earned> for EarnedDoc {
    fn from(earned: Earned) -> Self {
        Self(earned.before.0, earned.after.0)
    }
}
impl From<EarnedDoc> for Earned {
    fn from(EarnedDoc(before, after): EarnedDoc) -> Self {
        Self { before: MicroUsdt(before), after: MicroUsdt(after) }
    }
}

fn summary<C, D: From<C>>(found: Summary<C>) -> SummaryDoc<D> {
    let nodes = |list: Vec<Of<C>>| {
        list.into_iter()
            .map(|(node, pool, change)| (node.to_string(), pool.to_string(), change.into()))
            .collect()
    };
    let (winners, losers) = (nodes(found.winners), nodes(found.losers));
    SummaryDoc {
        nodes: found.nodes,
        changed: found.changed,
        total: found.total.into(),
        winners,
        losers,
    }
}

fn read_summary<C, D: Into<C>>(doc: SummaryDoc<D>) -> Result<Summary<C>, DocumentError> {
    let one = |(node, pool, change): (String, String, D)| -> Result<Of<C>, DocumentError> {
        let id: NodeId = node.parse().map_err(|_| DocumentError::NotA(node, "node"))?;
        let pool: PoolScope = pool.parse().map_err(|_| DocumentError::NotA(pool, "pool"))?;
        Ok((id, pool, change.into()))
    };
    let nodes = |list: Vec<_>| list.into_iter().map(one).collect::<Result<Vec<_>, _>>();
    let (winners, losers) = (nodes(doc.winners)?, nodes(doc.losers)?);
    Ok(Summary { nodes: doc.nodes, changed: doc.changed, total: doc.total.into(), winners, losers })
}

pub fn findings(found: Findings) -> Result<String, DocumentError> {
    let doc = match found {
        Findings::Scores(scores) => FindingsDoc::Scores(summary(scores)),
        Findings::Money(money) => FindingsDoc::Money(summary(money)),
        Findings::Failed(reason) => FindingsDoc::Failed(reason),
    };
    Ok(serde_json::to_string(&doc)?)
}

pub fn read_findings(text: &str) -> Result<Findings, DocumentError> {
    Ok(match serde_json::from_str(text)? {
        FindingsDoc::Scores(doc) => Findings::Scores(read_summary(doc)?),
        FindingsDoc::Money(doc) => Findings::Money(read_summary(doc)?),
        FindingsDoc::Failed(reason) => Findings::Failed(reason),
    })
}

/// A row without its node, which is beside it.
#[derive(Serialize, Deserialize)]
struct RowDoc {
    observed_s: u32,
    window_observed_s: u32,
    eligible: bool,
    held: bool,
    multiplier: u32,
    raw: u32,
    score: u32,
    sessions: u32,
    factors: [u32; 5],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&ScoreRow> for RowDoc {
    fn from(row: &ScoreRow) -> Self {
        let Factors {
            observation_time,
            session_quality,
            uptime,
            resource_efficiency,
            network_performance,
        } = row.factors;
        Self {
            observed_s: row.observed_s,
            window_observed_s: row.window_observed_s,
            eligible: row.eligible,
            held: row.held,
            multiplier: row.multiplier.0,
            raw: row.raw.0,
            score: row.score.0,
            sessions: row.sessions,
            factors: [
                observation_time,
                session_quality,
                uptime,
                resource_efficiency,
                network_performance,
            ]
            .map(|factor| factor.0),
            reason: row.reason.clone(),
        }
    }
}

impl RowDoc {
    fn row(self, node: NodeId) -> ScoreRow {
        let [observation_time, session_quality, uptime, resource_efficiency, network_performance] =
            self.factors.map(Ppm);
        ScoreRow {
            node,
            observed_s: self.observed_s,
            window_observed_s: self.window_observed_s,
            eligible: self.eligible,
            held: self.held,
            multiplier: Ppm(self.multiplier),
            raw: RawCenti(self.raw),
            score: ScoreCenti(self.score),
            sessions: self.sessions,
            factors: Factors {
                observation_time,
                session_quality,
                uptime,
                resource_efficiency,
                network_performance,
            },
            reason: self.reason,
        }
    }
}

/// Two rows of one node.
pub fn two_rows(rows: [&ScoreRow; 2]) -> Result<String, DocumentError> {
    Ok(serde_json::to_string(&rows.map(RowDoc::from))?)
}

pub fn read_two_rows(text: &str, node: NodeId) -> Result<[ScoreRow; 2], DocumentError> {
    let rows: [RowDoc; 2] = serde_json::from_str(text)?;
    Ok(rows.map(|row| row.row(node)))
}

#[derive(Serialize, Deserialize)]
struct ResolutionDoc {
    payout: String,
    /// None: it was not paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    txid: Option<String>,
    evidence: String,
}

/// What became of the payouts of a batch.
pub fn resolutions(resolutions: &[Resolution]) -> Result<String, DocumentError> {
    let doc = |Resolution { payout, outcome, evidence }: &Resolution| ResolutionDoc {
        payout: payout.to_string(),
        txid: outcome.txid().map(str::to_owned),
        evidence: evidence.clone(),
    };
    Ok(serde_json::to_string(&resolutions.iter().map(doc).collect::<Vec<_>>())?)
}

pub fn read_resolutions(text: &str) -> Result<Vec<Resolution>, DocumentError> {
    let docs: Vec<ResolutionDoc> = serde_json::from_str(text)?;
    let resolution = |ResolutionDoc { payout, txid, evidence }| {
        let payout = payout.parse().map_err(|_| DocumentError::NotA(payout, "payout"))?;
        Ok(Resolution { payout, outcome: Outcome::by(txid), evidence })
    };
    docs.into_iter().map(resolution).collect()
}
