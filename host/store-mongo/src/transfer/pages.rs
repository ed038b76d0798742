use std::collections::HashMap;

use lucid_model::{
    audit::request::RequestKey,
    epochs::score::ScoreCenti,
    id::{Digest, NodeId, PoolId, UserId},
    policies::Activation,
    time::TimeMs,
};
use lucid_ports::{ImportRecord, StoredBundle};
use lucid_store::transfer::{Key, Kind, LatestRecord, Part, Record, RequestRecord};
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use super::{
    collection, counted,
    walk::{by_id, by_two, one, two},
};
use crate::{
    MongoStore,
    audit::{self, requests},
    consensus,
    epochs::{
        adjustments, chunks,
        frames::{FRAME_CHUNKS, FRAMES},
        record::{self, CLOSED, Claim, EPOCHS},
        scores::read_on_demand,
    },
    fault::Fault,
    fields::Fields,
    fleet::{alerts, enrolments, nodes, pools},
    money::{decisions, ledger, mismatches, payouts, runs, settlements},
    notifications::webhooks,
    page::collect,
    policies::{self, gate_reports},
    review::{shadows, standings},
};

type Read = fn(Fields<'_>) -> Result<Record, Fault>;

impl MongoStore {
    async fn walk(
        &self,
        kind: Kind,
        after: Option<&Key>,
        limit: u32,
        read: Read,
    ) -> Result<Vec<Record>, Fault> {
        by_id(&self.collection(collection(kind)), counted(kind), one(after), limit, read).await
    }

    async fn walk_two(
        &self,
        kind: Kind,
        fields: (&str, &str),
        after: Option<&Key>,
        limit: u32,
        read: Read,
    ) -> Result<Vec<Record>, Fault> {
        by_two(&self.collection(collection(kind)), fields, two(after), limit, read).await
    }

    /// The next records of a kind.
    pub(super) async fn page_of(
        &self,
        kind: Kind,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<Record>, Fault> {
        match kind {
            Kind::Pools => {
                self.walk(kind, after, limit, |f| pools::read(f).map(Record::Pool)).await
            }
            Kind::Enrolments => self.enrolments_after(after, limit).await,
            Kind::Nodes => {
                self.walk(kind, after, limit, |f| {
                    Ok(Record::Node(Box::new(nodes::document::read(f)?)))
                })
                .await
            }
            Kind::Policies => self.policies_after(after, limit).await,
            Kind::Activations => self.activations_after(after, limit).await,
            Kind::PolicyReports => {
                self.walk(kind, after, limit, |f| gate_reports::read(f).map(Record::PolicyReport))
                    .await
            }
            Kind::Imports => {
                let read: Read = |f| {
                    Ok(Record::Import(ImportRecord {
                        digest: f.digest("_id")?,
                        outcome: f.text("outcome")?,
                    }))
                };
                self.walk(kind, after, limit, read).await
            }
            Kind::Requests => self.requests_after(after, limit).await,
            Kind::Frames => {
                self.walk(kind, after, limit, |f| f.period("_id", "length_s").map(Record::Frame))
                    .await
            }
            Kind::FrameChunks => self.frame_chunks_after(after, limit).await,
            Kind::Epochs => {
                self.walk(kind, after, limit, |f| Ok(Record::Epoch(Box::new(record::read(f)?))))
                    .await
            }
            Kind::Scores => self.scored_after(after, limit).await,
            Kind::LatestScores => self.walk(kind, after, limit, read_latest).await,
            Kind::OnDemand => {
                self.walk(kind, after, limit, |f| {
                    Ok(Record::OnDemand(Box::new(read_on_demand(f)?)))
                })
                .await
            }
            Kind::Votes => self.votes_after(after, limit).await,
            Kind::Ledger => {
                self.walk(kind, after, limit, |f| ledger::read(f).map(Record::Ledger)).await
            }
            Kind::Adjustments => {
                self.walk(kind, after, limit, |f| {
                    Ok(Record::Adjustment(Box::new(adjustments::read(f)?)))
                })
                .await
            }
            Kind::Shadows => {
                self.walk(kind, after, limit, |f| Ok(Record::Shadow(Box::new(shadows::read(f)?))))
                    .await
            }
            Kind::ShadowResults => {
                self.walk(kind, after, limit, |f| {
                    Ok(Record::ShadowResult(Box::new(shadows::read_result(f)?)))
                })
                .await
            }
            Kind::Settlements => {
                self.walk(kind, after, limit, |f| settlements::read(f).map(Record::Settlement))
                    .await
            }
            Kind::Runs => self.walk(kind, after, limit, |f| runs::read(f).map(Record::Run)).await,
            Kind::Payouts => {
                self.walk(kind, after, limit, |f| Ok(Record::Payout(Box::new(payouts::read(f)?))))
                    .await
            }
            Kind::PoolStandings => {
                self.walk(kind, after, limit, |f| standings::read(f).map(Record::PoolStanding))
                    .await
            }
            Kind::Mismatches => {
                self.walk(kind, after, limit, |f| {
                    Ok(Record::Mismatch(Box::new(mismatches::read(f)?)))
                })
                .await
            }
            Kind::Proposals => {
                self.walk(kind, after, limit, |f| {
                    Ok(Record::Proposal(Box::new(decisions::read(f)?)))
                })
                .await
            }
            Kind::Alerts => {
                self.walk(kind, after, limit, |f| alerts::read(f).map(Record::Alert)).await
            }
            Kind::Webhooks => {
                self.walk(kind, after, limit, |f| Ok(Record::Webhook(Box::new(webhooks::read(f)?))))
                    .await
            }
            Kind::Deliveries => {
                self.walk(kind, after, limit, |f| {
                    Ok(Record::Delivery(Box::new(webhooks::read_delivery(f)?)))
                })
                .await
            }
            Kind::Audit => {
                let read: Read = |f| Ok(Record::Audit(Box::new(audit::entry::read_listed(f)?)));
                self.walk_two(kind, ("writer", "place"), after, limit, read).await
            }
            Kind::AuditLinks => {
                self.walk_two(kind, ("writer", "seq"), after, limit, |f| {
                    audit::chain::read_link(f).map(Record::AuditLink)
                })
                .await
            }
            Kind::AuditSeals => {
                self.walk(kind, after, limit, |f| audit::log::read_seal(f).map(Record::AuditSeal))
                    .await
            }
            Kind::Live => self.walk(kind, after, limit, super::telemetry::read_live).await,
            Kind::Presence => self.presence_after(after, limit).await,
            Kind::Sessions => {
                self.walk(kind, after, limit, |f| {
                    Ok(Record::Session(Box::new(crate::telemetry::sessions::read(f)?)))
                })
                .await
            }
            Kind::Samples => self.samples_after(after, limit).await,
            Kind::Rollups => {
                self.walk_two(kind, ("node", "hour"), after, limit, super::telemetry::read_rollups)
                    .await
            }
        }
    }

    async fn enrolments_after(
        &self,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<Record>, Fault> {
        let tokens = by_id(
            &self.collection(enrolments::ENROLMENTS),
            doc! {},
            one(after),
            limit,
            enrolments::read,
        )
        .await?;
        Ok(self.with_uses(tokens).await?.into_iter().map(Record::Enrolment).collect())
    }

    async fn policies_after(&self, after: Option<&Key>, limit: u32) -> Result<Vec<Record>, Fault> {
        let digests: Vec<Digest> =
            by_id(&self.collection(policies::VERSIONS), doc! {}, one(after), limit, |f| {
                f.digest("_id")
            })
            .await?;
        let mut records = Vec::with_capacity(digests.len());
        for digest in digests {
            let stored: Option<StoredBundle> =
                policies::kept_bundle(&self.database, digest).await?;
            records.extend(stored.map(|stored| Record::Policy(Box::new(stored))));
        }
        Ok(records)
    }

    /// Activations of one call are one document.
    async fn activations_after(
        &self,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<Record>, Fault> {
        let revision = number(after, 0).unwrap_or(0);
        let activations = self.collection(policies::ACTIVATIONS);
        let calls = activations.find(doc! { "last": { "$gt": revision } }).sort(doc! { "last": 1 });
        let calls =
            collect(calls.limit(i64::from(limit)).await?, policies::read_activations).await?;
        let new = |activation: &Activation| activation.revision.0.cast_signed() > revision;
        Ok(calls
            .into_iter()
            .flatten()
            .filter(new)
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(Record::Activation)
            .collect())
    }

    async fn requests_after(&self, after: Option<&Key>, limit: u32) -> Result<Vec<Record>, Fault> {
        let after = two(after)
            .map(|(subject, key)| Bson::Document(doc! { "subject": subject, "key": key }));
        by_id(&self.collection(requests::REQUESTS), doc! {}, after, limit, |f| {
            let id = f.document("_id")?;
            let key = RequestKey { subject: id.text("subject")?, key: id.text("key")? };
            let requests::Record { fingerprint, creates, lease_until, expires_at, answer, .. } =
                requests::read(f)?;
            // What a process carried out when it ended belongs to nobody.
            let lease_until = if answer.is_some() { lease_until } else { TimeMs(0) };
            Ok(Record::Request(RequestRecord {
                key,
                fingerprint,
                creates,
                lease_until,
                expires_at,
                answer,
            }))
        })
        .await
    }

    /// Chunks are found by the name that the frame gave them: those without a frame are nobody's.
    async fn frame_chunks_after(
        &self,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<Record>, Fault> {
        let (from_s, mut index) =
            (number(after, 0).unwrap_or(i64::MIN), number(after, 1).unwrap_or(-1));
        let all = self.collection(FRAMES);
        let frames = all
            .find(doc! { "_id": { "$gte": from_s } })
            .sort(doc! { "_id": 1 })
            .limit(i64::from(limit) + 1);
        let frames = collect(frames.await?, |f| Ok((f.number::<i64>("_id")?, staged(f)?))).await?;
        let mut records = Vec::new();
        for (epoch_start_s, staged) in frames {
            let left =
                i64::from(limit).saturating_sub(i64::try_from(records.len()).unwrap_or(i64::MAX));
            if left <= 0 {
                break;
            }
            if epoch_start_s != from_s {
                index = -1;
            }
            let all = self.collection(FRAME_CHUNKS);
            let chunks = all
                .find(doc! { "staged": staged, "idx": { "$gt": index } })
                .sort(doc! { "staged": 1, "idx": 1 });
            records.extend(
                collect(chunks.limit(left).await?, |f| {
                    Ok(Record::FrameChunk {
                        epoch_start_s,
                        index: f.number("idx")?,
                        zstd: f.bytes("zstd")?,
                    })
                })
                .await?,
            );
        }
        if records.is_empty() { self.beyond_empty_frames(from_s, limit).await } else { Ok(records) }
    }

    /// Frames without chunks are skipped, however many there are.
    async fn beyond_empty_frames(&self, from_s: i64, limit: u32) -> Result<Vec<Record>, Fault> {
        let all = self.collection(FRAMES);
        let last = all
            .find(doc! { "_id": { "$gte": from_s } })
            .sort(doc! { "_id": 1 })
            .skip(u64::from(limit))
            .limit(1);
        match collect(last.await?, |f| f.number::<i64>("_id")).await?.first() {
            Some(next) => {
                let after = Key(vec![Part::Number(*next), Part::Number(-1)]);
                Box::pin(self.frame_chunks_after(Some(&after), limit)).await
            }
            None => Ok(Vec::new()),
        }
    }

    /// Chunks of one epoch: the rest of the one that was begun, or the first that has some.
    async fn scored_after(&self, after: Option<&Key>, limit: u32) -> Result<Vec<Record>, Fault> {
        let (mut from_s, mut index) =
            (number(after, 0).unwrap_or(i64::MIN), number(after, 1).unwrap_or(-1));
        while let Some(Claim { record, staged, .. }) = self.closed_from(from_s).await? {
            let (start_s, closed_at) = (record.epoch.start_s, record.closed_at);
            if start_s != from_s {
                index = -1;
            }
            let filter =
                doc! { "epoch_start_s": start_s, "staged": staged, "idx": { "$gt": index } };
            let all = self.collection(chunks::CHUNKS);
            let found = all.find(filter).sort(doc! { "epoch_start_s": 1, "staged": 1, "idx": 1 });
            let found = collect(found.limit(i64::from(limit)).await?, |f| {
                Ok(Record::Scores { closed_at, chunk: chunks::read(f)? })
            })
            .await?;
            if !found.is_empty() {
                return Ok(found);
            }
            (from_s, index) = (start_s.saturating_add(1), -1);
        }
        Ok(Vec::new())
    }

    async fn closed_from(&self, from_s: i64) -> Result<Option<Claim>, Fault> {
        let found = self
            .collection(EPOCHS)
            .find_one(doc! { "state": CLOSED, "_id": { "$gte": from_s } })
            .sort(doc! { "_id": 1 })
            .await?;
        found.map(|found| record::read_claim(Fields::of(&found))).transpose()
    }

    /// The rest of the epoch that was begun, then one epoch after another: each is one range of an
    /// index on every server. All that is beyond an epoch would be sorted whole for each page where
    /// a server takes no index for that.
    async fn votes_after(&self, after: Option<&Key>, limit: u32) -> Result<Vec<Record>, Fault> {
        let (mut from_s, mut found) = (i64::MIN, Vec::new());
        if let (Some(start_s), Some((_, node))) = (number(after, 0), two(after)) {
            found = self
                .votes_of(
                    start_s,
                    doc! { "epoch_start_s": start_s, "node": { "$gt": node } },
                    limit,
                )
                .await?;
            from_s = start_s.saturating_add(1);
        }
        loop {
            let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
            if left == 0 {
                return Ok(found);
            }
            let Some(Claim { record, .. }) = self.closed_from(from_s).await? else {
                return Ok(found);
            };
            let start_s = record.epoch.start_s;
            found.extend(self.votes_of(start_s, doc! { "epoch_start_s": start_s }, left).await?);
            from_s = start_s.saturating_add(1);
        }
    }

    async fn votes_of(
        &self,
        start_s: i64,
        filter: Document,
        limit: u32,
    ) -> Result<Vec<Record>, Fault> {
        let read = |f: Fields<'_>| Ok((f.id_or_none("owner", UserId)?, consensus::read(f)?));
        let all = self.collection(consensus::VOTES);
        let found = all
            .find(filter)
            .sort(doc! { "epoch_start_s": 1, "node": 1 })
            .limit(i64::from(limit))
            .batch_size(limit);
        let found = collect(found.await?, read).await?;
        let (owners, mut votes): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let closed = self.closed_of(vec![Bson::Int64(start_s)]).await?;
        let blocks: HashMap<_, _> = closed
            .into_iter()
            .filter_map(|record| Some((record.epoch.start_s, record.block?)))
            .collect();
        consensus::give_blocks(&mut votes, &blocks);
        Ok(owners
            .into_iter()
            .zip(votes)
            .map(|(owner, vote)| Record::Vote { owner, vote })
            .collect())
    }
}

/// A number in a key.
fn number(after: Option<&Key>, place: usize) -> Option<i64> {
    match after?.0.get(place)? {
        Part::Number(number) => Some(*number),
        _ => None,
    }
}

fn staged(fields: Fields<'_>) -> Result<ObjectId, Fault> {
    fields
        .get("staged")
        .and_then(Bson::as_object_id)
        .ok_or_else(|| Fault::Bad("field staged is missing".to_owned()))
}

fn read_latest(fields: Fields<'_>) -> Result<Record, Fault> {
    Ok(Record::Latest(LatestRecord {
        node: fields.id("_id", NodeId)?,
        epoch_start_s: fields.number("epoch_start_s")?,
        calculated_at: fields.time("calculated_at")?,
        score: ScoreCenti(fields.number("score")?),
        pool: fields.id_or_none("pool", PoolId)?,
    }))
}
