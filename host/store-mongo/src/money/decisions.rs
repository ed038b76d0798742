//! What people decide about payments: one document for the switch, one a proposal.

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{MismatchId, NodeId, PayoutId, ProposalId},
    money::payout::{
        About, Correction, Decision, Freeze, Outcome, PaymentsSwitch, Proposal, Reconciliation,
        Remedy,
    },
    time::TimeMs,
};
use lucid_ports::{DecisionStore, Page, PageRequest, StoreError};
use lucid_store::documents;
use mongodb::bson::{Bson, Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, id, stored},
    page::page,
};

pub(crate) const PROPOSALS: &str = "proposals";
/// One document, which says whether payments may be sent.
pub(crate) const SWITCH: &str = "payments_switch";
/// Its `_id`.
const PAYMENTS: &str = "payments";

fn decision_fields(decision: &Decision) -> Document {
    doc! { "decided": { "at": decision.at.0, "by": &decision.by, "accepted": decision.accepted } }
}

pub(crate) fn document(proposal: &Proposal) -> Result<Document, Fault> {
    let mut document = doc! { "_id": id(proposal.id.0), "v": 1, "evidence": &proposal.evidence, "actor": &proposal.by, "at": proposal.at.0 };
    document.extend(match &proposal.about {
        About::Payout { payout, outcome } => {
            doc! { "payout": id(payout.0), "txid": outcome.txid() }
        }
        About::Payouts(resolutions) => doc! { "resolutions": documents::resolutions(resolutions)? },
        About::Balance { node, correction, amount } => {
            doc! { "node": id(node.0), "correction": correction.name(), "amount": amount.0 }
        }
        About::Mismatch { mismatch, remedy } => {
            doc! { "mismatch": id(mismatch.0), "remedy": remedy.name() }
        }
    });
    document.extend(proposal.decided.as_ref().map(decision_fields).unwrap_or_default());
    Ok(document)
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Proposal, Fault> {
    let decision = |d: Fields<'_>| {
        Ok::<_, Fault>(Decision {
            at: d.time("at")?,
            by: d.text("by")?,
            accepted: d.truth("accepted")?,
        })
    };
    Ok(Proposal {
        id: fields.id("_id", ProposalId)?,
        about: match (
            fields.id_or_none("payout", PayoutId)?,
            fields.id_or_none("mismatch", MismatchId)?,
            fields.text_or_none("resolutions")?,
        ) {
            (Some(payout), ..) => {
                About::Payout { payout, outcome: Outcome::by(fields.text_or_none("txid")?) }
            }
            (None, Some(mismatch), _) => {
                About::Mismatch { mismatch, remedy: fields.word("remedy", Remedy::from_name)? }
            }
            (None, None, Some(resolutions)) => {
                About::Payouts(documents::read_resolutions(&resolutions)?)
            }
            (None, None, None) => About::Balance {
                node: fields.id("node", NodeId)?,
                correction: fields.word("correction", Correction::from_name)?,
                amount: fields.money("amount")?,
            },
        },
        evidence: fields.text("evidence")?,
        by: fields.text("actor")?,
        at: fields.time("at")?,
        decided: fields.document_or_none("decided")?.map(decision).transpose()?,
    })
}

fn switch_fields(switch: &PaymentsSwitch) -> Result<Document, Fault> {
    let time = |at: Option<TimeMs>| at.map(|at| at.0);
    let frozen = switch
        .frozen
        .as_ref()
        .map(|f| doc! { "at": f.at.0, "by": &f.by, "reason": &f.reason, "fence": f.fence.cast_signed(), "still_at": time(f.still_at) });
    let asked = switch
        .reconciliation
        .map(|asked| doc! { "since": asked.since.0, "done_at": time(asked.done_at) });
    let or_null = |document: Option<Document>| document.map_or(Bson::Null, Bson::Document);
    Ok(doc! {
        "frozen": or_null(frozen), "restored_at": time(switch.restored_at), "backup_at": time(switch.backup_at), "reconciliation": or_null(asked),
        "version": stored(switch.version)?,
    })
}

fn read_switch(fields: Fields<'_>) -> Result<PaymentsSwitch, Fault> {
    let freeze = |f: Fields<'_>| {
        let at = f.time("at")?;
        let (by, reason, fence) = (f.text("by")?, f.text("reason")?, f.number_or_none("fence")?);
        // Whatever was frozen before there were fences is still by now.
        let still_at = f.time_or_none("still_at")?.or(fence.is_none().then_some(at));
        Ok::<_, Fault>(Freeze { at, by, reason, fence: fence.unwrap_or(0), still_at })
    };
    let asked = |a: Fields<'_>| {
        Ok::<_, Fault>(Reconciliation {
            since: a.time("since")?,
            done_at: a.time_or_none("done_at")?,
        })
    };
    Ok(PaymentsSwitch {
        frozen: fields.document_or_none("frozen")?.map(freeze).transpose()?,
        restored_at: fields.time_or_none("restored_at")?,
        backup_at: fields.time_or_none("backup_at")?,
        reconciliation: fields.document_or_none("reconciliation")?.map(asked).transpose()?,
        version: fields.number("version")?,
    })
}

impl MongoStore {
    async fn switch(&self) -> Result<PaymentsSwitch, Fault> {
        let found = self.collection(SWITCH).find_one(doc! { "_id": PAYMENTS }).await?;
        found.map_or_else(|| Ok(PaymentsSwitch::default()), |found| read_switch(Fields::of(&found)))
    }

    /// Says it as another store does.
    pub(crate) async fn put_switch(&self, switch: &PaymentsSwitch) -> Result<(), Fault> {
        self.collection(SWITCH).delete_many(doc! {}).await?;
        if switch.version > 0 {
            let mut document = doc! { "_id": PAYMENTS, "v": 1 };
            document.extend(switch_fields(switch)?);
            self.collection(SWITCH).insert_one(document).await?;
        }
        Ok(())
    }

    async fn set_switch(&self, switch: &PaymentsSwitch, audit: AuditEntry) -> Result<bool, Fault> {
        let fields = switch_fields(switch)?;
        if switch.version == 1 {
            let mut first = doc! { "_id": PAYMENTS, "v": 1 };
            first.extend(fields);
            return self.insert_audited(SWITCH, first, &[audit]).await;
        }
        let before = doc! { "_id": PAYMENTS, "version": stored(switch.version.saturating_sub(1))? };
        self.update_audited(SWITCH, before, doc! { "$set": fields }, &[audit]).await
    }
}

#[async_trait]
impl DecisionStore for MongoStore {
    async fn payments_switch(&self) -> Result<PaymentsSwitch, StoreError> {
        Ok(self.switch().await?)
    }
    async fn set_payments_switch(
        &self,
        switch: PaymentsSwitch,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        Ok(self.set_switch(&switch, audit).await?)
    }
    async fn add_proposal(
        &self,
        proposal: Proposal,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        Ok(self.insert_audited(PROPOSALS, document(&proposal)?, &[audit]).await?)
    }
    async fn proposal(&self, proposal: ProposalId) -> Result<Option<Proposal>, StoreError> {
        let found = self
            .collection(PROPOSALS)
            .find_one(doc! { "_id": id(proposal.0) })
            .await
            .map_err(Fault::from)?;
        Ok(found.map(|found| read(Fields::of(&found))).transpose()?)
    }
    async fn proposals(&self, request: PageRequest<()>) -> Result<Page<Proposal>, StoreError> {
        Ok(page(&self.collection(PROPOSALS), doc! {}, &["_id"], &request, read).await?)
    }
    async fn decide_proposal(
        &self,
        proposal: ProposalId,
        decision: Decision,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let open = doc! { "_id": id(proposal.0), "decided": { "$exists": false } };
        Ok(self
            .update_audited(PROPOSALS, open, doc! { "$set": decision_fields(&decision) }, &[audit])
            .await?)
    }
}
