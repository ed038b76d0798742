//! Observation sessions: one document each, by their id, so that a session is one node's.
//!
//! A report's sessions are first durable as a *claim* in the node's live document, in the one write
//! that stores the report; then they are folded into the sessions' documents, and the claim is
//! taken away. A crash between leaves the claim: whoever reads or adds sessions folds it first.
//! Folding again changes nothing, since a session keeps the number of the claim it last grew by.

use lucid_model::{
    id::{NodeId, SessionId},
    telemetry::{
        credit::Interval,
        metric::{NetworkCounters, Usage},
        observation::{Observation, Observer, Verdict},
    },
};
use lucid_ports::SessionOutcome;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

use crate::{
    MongoStore,
    among::Among,
    fault::Fault,
    fields::{Fields, id, wide},
    index::{Index, Partial},
    page::{BATCH, collect, collect_raw, read_each},
    telemetry::live::{self, Claim, LIVE, Live},
};

pub(crate) const SESSIONS: &str = "sessions";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: SESSIONS,
        name: "sessions_end",
        keys: &[("node", 1), ("to_ms", 1), ("from_ms", 1)],
        unique: false,
        partial: None,
        why: "a node's sessions that overlap a range",
    },
    Index {
        collection: SESSIONS,
        name: "sessions_unverified",
        keys: &[("_id", 1)],
        unique: false,
        partial: Some(Partial::Where(|| doc! { "verdict": "unverified" })),
        why: "sessions that no policy has judged yet",
    },
];

fn verdict_fields(verdict: &Verdict) -> Document {
    match verdict {
        Verdict::Accepted => doc! { "verdict": "accepted", "reason": Bson::Null },
        Verdict::Rejected(reason) => doc! { "verdict": "rejected", "reason": reason },
        Verdict::Voided(reason) => doc! { "verdict": "voided", "reason": reason },
        Verdict::Unverified => doc! { "verdict": "unverified", "reason": Bson::Null },
    }
}

/// What a newer claim says anew.
fn claimed(session: &Observation) -> Document {
    let usage = session.usage.as_ref().map(|usage| {
        doc! {
            "cpu": usage.cpu.0,
            "memory": usage.memory.0,
            "disk": usage.disk.0,
            "bytes_sent": wide(usage.network.bytes_sent),
            "bytes_received": wide(usage.network.bytes_received),
            "packets_sent": wide(usage.network.packets_sent),
            "packets_received": wide(usage.network.packets_received),
        }
    });
    let mut claimed = doc! {
        "quality": session.quality.0,
        "usage": usage,
        "by_observer": session.by == Observer::Observer,
        "received_at": session.received_at.0,
    };
    claimed.extend(verdict_fields(&session.verdict));
    claimed
}

/// The session as a document of its own, and as an element of a claim.
pub(crate) fn document(session: &Observation) -> Document {
    let (from, to) = (session.span.from.0, session.span.to.0);
    let mut document = doc! { "_id": id(session.session.0), "v": 1, "node": id(session.node.0), "from_ms": from, "to_ms": to };
    document.extend(claimed(session));
    document
}

fn read_usage(fields: Fields<'_>) -> Result<Usage, Fault> {
    let network = NetworkCounters {
        bytes_sent: fields.wide("bytes_sent")?,
        bytes_received: fields.wide("bytes_received")?,
        packets_sent: fields.wide("packets_sent")?,
        packets_received: fields.wide("packets_received")?,
    };
    Ok(Usage {
        cpu: fields.ppm("cpu")?,
        memory: fields.ppm("memory")?,
        disk: fields.ppm("disk")?,
        network,
    })
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Observation, Fault> {
    let reason = fields.text_or_none("reason")?;
    let verdict = fields.word("verdict", |word| match word {
        "accepted" => Some(Verdict::Accepted),
        "rejected" => Some(Verdict::Rejected(reason.unwrap_or_default())),
        "voided" => Some(Verdict::Voided(reason.unwrap_or_default())),
        "unverified" => Some(Verdict::Unverified),
        _ => None,
    })?;
    Ok(Observation {
        session: fields.id("_id", SessionId)?,
        node: fields.id("node", NodeId)?,
        span: Interval { from: fields.time("from_ms")?, to: fields.time("to_ms")? },
        quality: fields.ppm("quality")?,
        usage: fields.document_or_none("usage")?.map(read_usage).transpose()?,
        by: if fields.truth("by_observer")? { Observer::Observer } else { Observer::Itself },
        received_at: fields.time("received_at")?,
        verdict,
    })
}

/// Sessions as they came, by node, start and id: an index has them in another order.
pub(crate) fn overlapping(raw: &[RawDocumentBuf]) -> Result<Vec<Observation>, Fault> {
    let mut found = read_each(raw, read)?;
    found.sort_unstable_by_key(|session| (session.node, session.span.from, session.session));
    Ok(found)
}

impl MongoStore {
    /// Folds what earlier reports claimed and a crash left: of these nodes, or of all.
    pub(crate) async fn fold_claims(&self, nodes: Option<&[NodeId]>) -> Result<(), Fault> {
        let live = live::with_claims(&self.collection(LIVE), nodes).await?;
        self.fold_claims_of(&live).await
    }

    pub(crate) async fn fold_claims_of(&self, live: &[Live]) -> Result<(), Fault> {
        for live in live {
            for claim in &live.claims {
                self.fold(live.node, claim).await?;
            }
        }
        Ok(())
    }

    /// Grows the sessions of a claim and takes the claim away; one outcome a session.
    pub(crate) async fn fold(
        &self,
        node: NodeId,
        claim: &Claim,
    ) -> Result<Vec<SessionOutcome>, Fault> {
        let mut outcomes = Vec::with_capacity(claim.sessions.len());
        for session in &claim.sessions {
            outcomes.push(self.grow(session, claim.number).await?);
        }
        let taken = doc! { "$pull": { "claims": { "claim": claim.number } } };
        self.collection(LIVE).update_one(doc! { "_id": id(node.0) }, taken).await?;
        Ok(outcomes)
    }

    /// A session keeps its start, and its end only moves on; what else is said of it is the newest
    /// claim. A verdict is about the span that was claimed with it: a rejected span gives way to
    /// the next claim, an unverified one keeps its verdict while a claim covers less of it. What an
    /// observer vouched for, the node's own claim does not replace: it could raise
    /// its own quality. A voided one stays.
    async fn grow(&self, session: &Observation, claim: i64) -> Result<SessionOutcome, Fault> {
        let sessions = self.collection(SESSIONS);
        let mut fresh = document(session);
        fresh.insert("claim", claim);
        match sessions.insert_one(fresh).await.map_err(Fault::from) {
            Ok(_) => return Ok(SessionOutcome::Stored),
            Err(fault) if fault.is_duplicate() => {}
            Err(fault) => return Err(fault),
        }
        let mut older = doc! { "_id": id(session.session.0), "node": id(session.node.0), "claim": { "$lt": claim }, "verdict": { "$ne": "voided" } };
        if session.by == Observer::Itself {
            older.insert("by_observer", false);
        }
        let mut said = claimed(session);
        said.insert("claim", claim);
        let (from, to) = (session.span.from.0, session.span.to.0);
        let mut anew = said.clone();
        anew.extend(doc! { "from_ms": from, "to_ms": to });
        let mut less = said.clone();
        ["verdict", "reason"].iter().for_each(|name| drop(less.remove(name)));
        let changes = [
            (doc! { "verdict": "rejected" }, doc! { "$set": anew }),
            (doc! { "verdict": "unverified", "to_ms": { "$gt": to } }, doc! { "$set": less }),
            (doc! {}, doc! { "$set": said, "$max": { "to_ms": to } }),
        ];
        for (which, change) in changes {
            let mut filter = older.clone();
            if !which.is_empty() {
                filter.remove("verdict");
            }
            filter.extend(which);
            if sessions.update_one(filter, change).await?.matched_count == 1 {
                return Ok(SessionOutcome::Stored);
            }
        }
        let own = doc! { "_id": id(session.session.0), "node": id(session.node.0) };
        let own = sessions.find_one(own).projection(doc! { "_id": 1 }).await?;
        Ok(if own.is_some() { SessionOutcome::Stored } else { SessionOutcome::OfAnotherNode })
    }

    /// Sessions of these nodes that overlap the range, as they came, for [`overlapping`]; their
    /// claims have to be folded.
    pub(crate) async fn find_overlapping(
        &self,
        nodes: Among<'_>,
        range: Interval,
    ) -> Result<Vec<RawDocumentBuf>, Fault> {
        // What is of another time is told by one comparison, so it comes first.
        let filter = doc! { "to_ms": { "$gt": range.from.0 }, "from_ms": { "$lt": range.to.0 }, "node": nodes.condition() };
        collect_raw(self.collection(SESSIONS).find(filter).batch_size(BATCH).await?).await
    }

    pub(crate) async fn unverified_sessions(
        &self,
        range: Interval,
        limit: u32,
    ) -> Result<Vec<Observation>, Fault> {
        self.fold_claims(None).await?;
        let filter = doc! { "verdict": "unverified", "to_ms": { "$gt": range.from.0 }, "from_ms": { "$lt": range.to.0 } };
        collect(
            self.collection(SESSIONS)
                .find(filter)
                .sort(doc! { "_id": 1 })
                .limit(i64::from(limit))
                .await?,
            read,
        )
        .await
    }

    /// One session.
    pub(crate) async fn one_session(
        &self,
        session: SessionId,
    ) -> Result<Option<Observation>, Fault> {
        self.fold_claims(None).await?;
        let found = self.collection(SESSIONS).find_one(doc! { "_id": id(session.0) }).await?;
        found.map(|found| read(Fields::of(&found))).transpose()
    }

    /// Replaces a session's verdict; doing so again changes nothing.
    pub(crate) async fn set_verdict(&self, session: &Observation) -> Result<(), Fault> {
        let own = doc! { "_id": id(session.session.0), "node": id(session.node.0) };
        self.collection(SESSIONS)
            .update_one(own, doc! { "$set": verdict_fields(&session.verdict) })
            .await?;
        Ok(())
    }
}
