use std::collections::BTreeMap;

use lucid_model::{
    audit::chain::Link,
    id::{AuditWriterId, NodeId},
};
use lucid_store::transfer::{Kind, LatestRecord, Record, RequestRecord};
use mongodb::{
    bson::{Bson, Document, doc, oid::ObjectId},
    error::ErrorKind,
};
use uuid::Uuid;

use super::{collection, telemetry};
use crate::{
    MongoStore,
    audit::{self, requests},
    consensus,
    epochs::{
        adjustments, chunks,
        record::{self, CLOSED},
        scores::{SCORES, on_demand_document, row_documents},
    },
    fault::Fault,
    fields::{self, Fields, bytes, digest, id, stored},
    fleet::{alerts, enrolments, pools},
    money::{decisions, ledger, mismatches, payouts, runs, settlements},
    notifications::webhooks,
    once,
    page::collect,
    policies::{self, gate_reports},
    review::{shadows, standings},
    telemetry::sessions,
};

/// The name under which what was copied of an epoch is found; no attempt to close one has it.
fn staged(epoch_start_s: i64) -> ObjectId {
    let mut name = [0; 12];
    if let Some(last) = name.last_chunk_mut() {
        *last = epoch_start_s.to_be_bytes();
    }
    ObjectId::from_bytes(name)
}

impl MongoStore {
    /// Adds records as they are; how many were not there.
    pub(super) async fn put_all(&self, kind: Kind, records: &[Record]) -> Result<u64, Fault> {
        let documents = match kind {
            Kind::Nodes => {
                let nodes: Vec<_> = records
                    .iter()
                    .filter_map(|record| {
                        if let Record::Node(node) = record { Some(node.as_ref()) } else { None }
                    })
                    .collect();
                self.node_documents(&nodes).await?
            }
            Kind::AuditLinks => self.link_documents(records).await?,
            _ => records.iter().map(document).collect::<Result<Vec<_>, _>>()?,
        };
        self.put_parts(records).await?;
        self.insert(collection(kind), &documents).await
    }

    /// What has to be there before the records that it belongs to.
    async fn put_parts(&self, records: &[Record]) -> Result<(), Fault> {
        for record in records {
            match record {
                Record::Policy(stored) => self.keep_chunks(stored).await?,
                Record::Scores { closed_at, chunk } => {
                    let rows =
                        row_documents(*closed_at, staged(chunk.header.period.start_s), chunk);
                    once::insert_each(&self.collection(SCORES), &rows).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Inserts what can be; how many that were.
    async fn insert(&self, name: &'static str, documents: &[Document]) -> Result<u64, Fault> {
        if documents.is_empty() {
            return Ok(0);
        }
        let count = |documents: usize| u64::try_from(documents).unwrap_or(u64::MAX);
        let refused = match self
            .collection(name)
            .insert_many(documents)
            .ordered(false)
            .await
            .map_err(Fault::from)
        {
            Ok(_) => 0,
            Err(fault) if fault.is_duplicate() => match &fault {
                Fault::Driver(error) => match error.kind.as_ref() {
                    ErrorKind::InsertMany(many) => {
                        many.write_errors.as_ref().map_or(documents.len(), Vec::len)
                    }
                    _ => documents.len(),
                },
                Fault::Bad(_) | Fault::Contended(_) => return Err(fault),
            },
            Err(fault) => return Err(fault),
        };
        Ok(count(documents.len()).saturating_sub(count(refused)))
    }

    /// Links, with the ids of their entries, which are copied by now.
    async fn link_documents(&self, records: &[Record]) -> Result<Vec<Document>, Fault> {
        let links: Vec<Link> = records
            .iter()
            .filter_map(
                |record| if let Record::AuditLink(link) = record { Some(*link) } else { None },
            )
            .collect();
        let mut documents = Vec::with_capacity(links.len());
        for of_writer in links.chunk_by(|left, right| left.writer == right.writer) {
            let (Some(first), Some(last)) = (of_writer.first(), of_writer.last()) else { continue };
            let mut ids = self
                .entry_ids(first.writer, first.total.saturating_sub(first.count), last.total)
                .await?;
            for link in of_writer {
                let own: Vec<_> = (link.total.saturating_sub(link.count) + 1..=link.total)
                    .filter_map(|place| ids.remove(&place))
                    .collect();
                documents.push(audit::chain::listed_link(link, &own)?);
            }
        }
        Ok(documents)
    }

    /// The ids of a writer's entries by their places.
    async fn entry_ids(
        &self,
        writer: AuditWriterId,
        after: u64,
        up_to: u64,
    ) -> Result<BTreeMap<u64, Bson>, Fault> {
        let places = doc! { "writer": id(writer.0), "place": { "$gt": stored(after)?, "$lte": stored(up_to)? } };
        let found =
            self.collection(audit::ENTRIES).find(places).projection(doc! { "place": 1 }).await?;
        let found = collect(found, |fields: Fields<'_>| {
            Ok((fields.number("place")?, fields.get("_id").cloned().unwrap_or(Bson::Null)))
        })
        .await?;
        Ok(found.into_iter().collect())
    }
}

fn document(record: &Record) -> Result<Document, Fault> {
    match record {
        Record::Pool(pool) => pools::document(pool),
        Record::Enrolment(enrolment) => Ok(enrolments::document(enrolment)),
        Record::Policy(stored) => Ok(policies::version_document(stored)),
        Record::Activation(activation) => {
            let revision = stored(activation.revision.0)?;
            let activations = vec![policies::activation_document(activation)];
            Ok(
                doc! { "_id": revision.saturating_sub(1), "v": 1, "last": revision, "activations": activations },
            )
        }
        Record::PolicyReport(report) => Ok(gate_reports::document(report)),
        Record::Import(import) => {
            Ok(doc! { "_id": digest(import.digest), "v": 1, "outcome": &import.outcome })
        }
        Record::Request(request) => Ok(request_document(request)),
        Record::Frame(period) => Ok(
            doc! { "_id": period.start_s, "v": 1, "length_s": period.length.seconds(), "staged": staged(period.start_s) },
        ),
        Record::FrameChunk { epoch_start_s, index, zstd } => {
            Ok(doc! { "v": 1, "staged": staged(*epoch_start_s), "idx": index, "zstd": bytes(zstd) })
        }
        Record::Epoch(record) => {
            let mut document = record::claim(record, staged(record.epoch.start_s))?;
            document.insert("state", CLOSED);
            Ok(document)
        }
        Record::Scores { chunk, .. } => {
            chunks::document(staged(chunk.header.period.start_s), chunk)
        }
        Record::Latest(latest) => Ok(latest_document(latest)),
        Record::OnDemand(receipt) => Ok(on_demand_document(receipt)),
        Record::Vote { owner, vote } => {
            let mut document = consensus::document(vote);
            document.insert("owner", owner.map(|owner| id(owner.0)));
            Ok(document)
        }
        Record::Ledger(entry) => {
            let mut document = ledger::document(entry)?;
            // Nobody's write: who books the same entry finds that it is there already.
            document.insert("write", ObjectId::from_bytes([0; 12]));
            Ok(document)
        }
        Record::Adjustment(adjustment) => adjustments::document(adjustment),
        Record::Shadow(shadow) => Ok(shadows::document(shadow)),
        Record::ShadowResult(result) => shadows::result_document(result),
        Record::Settlement(record) => Ok(settlements::document(record)),
        Record::Run(run) => runs::document(run),
        Record::Payout(payout) => payouts::document(payout),
        Record::PoolStanding(standing) => standings::document(standing),
        Record::Proposal(proposal) => decisions::document(proposal),
        Record::Mismatch(mismatch) => Ok(mismatches::document(mismatch)),
        Record::Alert(alert) => Ok(alerts::document(alert)),
        Record::Webhook(webhook) => webhooks::document(webhook),
        Record::Delivery(delivery) => Ok(webhooks::delivery_document(delivery)),
        Record::Audit(entry) => audit::entry::listed(entry),
        Record::AuditSeal(seal) => audit::log::seal_document(seal),
        Record::Live(live) => telemetry::live_document(live),
        Record::Presence { node, span } => Ok(doc! {
            "_id": format!("{node}/{}", span.from.0), "v": 1, "node": node_id(*node), "from_ms": span.from.0, "to_ms": span.to.0,
        }),
        Record::Session(session) => {
            let mut document = sessions::document(session);
            // Before every claim that is still to come.
            document.insert("claim", 0_i64);
            Ok(document)
        }
        Record::Samples { node, samples } => telemetry::bucket(*node, samples),
        Record::Rollups(record) => Ok(telemetry::rollups_document(record)),
        Record::Node(_) | Record::AuditLink(_) => {
            Err(Fault::Bad("a record among those of another kind".to_owned()))
        }
    }
}

fn node_id(node: NodeId) -> Bson {
    id(node.0)
}

fn latest_document(latest: &LatestRecord) -> Document {
    doc! {
        "_id": node_id(latest.node),
        "v": 1,
        "epoch_start_s": latest.epoch_start_s,
        "calculated_at": latest.calculated_at.0,
        "score": latest.score.0,
        "pool": latest.pool.map(|pool| id(pool.0)),
    }
}

fn request_document(request: &RequestRecord) -> Document {
    let RequestRecord { key, fingerprint, creates, lease_until, expires_at, answer } = request;
    let mut document = doc! {
        "_id": requests::id_of(key), "v": 1, "claim": fields::id(Uuid::new_v4()), "fingerprint": digest(*fingerprint), "creates": id(creates.0),
        "lease_until": lease_until.0, "expires_at": expires_at.0,
    };
    if let Some(answer) = answer {
        document.insert("answer", requests::answered(answer));
    }
    document
}
