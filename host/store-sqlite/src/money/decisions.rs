use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{MismatchId, NodeId, PayoutId, ProposalId},
    money::{
        MicroUsdt,
        payout::{
            About, Correction, Decision, Freeze, Outcome, PaymentsSwitch, Proposal, Reconciliation,
            Remedy,
        },
    },
};
use lucid_ports::{DecisionStore, Page, PageRequest, StoreError};
use lucid_store::documents;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::{
    SqliteStore, audit,
    columns::{Columns, stored},
    fault::Fault,
    query::{Conditions, List, Source, execute, first},
};

pub(crate) const COLUMNS: &str = "id, payout, txid, node, correction, amount, mismatch, remedy, resolutions, evidence, actor, at, decided_at, decided_by, accepted";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Proposal, Fault> {
    let (id, payout) = (columns.id(ProposalId)?, columns.take::<Option<[u8; 16]>>()?);
    let outcome = Outcome::by(columns.take()?);
    let (node, correction, amount): (Option<[u8; 16]>, Option<String>, Option<i64>) =
        (columns.take()?, columns.take()?, columns.take()?);
    let (mismatch, remedy): (Option<[u8; 16]>, Option<String>) = (columns.take()?, columns.take()?);
    let mismatch = mismatch.zip(remedy.as_deref().and_then(Remedy::from_name));
    let resolutions = columns
        .take::<Option<String>>()?
        .map(|text| documents::read_resolutions(&text))
        .transpose()?;
    let about = match (
        payout,
        node,
        correction.as_deref().and_then(Correction::from_name),
        amount,
        mismatch,
    ) {
        (Some(payout), ..) => About::Payout { payout: PayoutId(Uuid::from_bytes(payout)), outcome },
        (None, Some(node), Some(correction), Some(amount), _) => About::Balance {
            node: NodeId(Uuid::from_bytes(node)),
            correction,
            amount: MicroUsdt(amount),
        },
        (None, None, _, _, Some((mismatch, remedy))) => {
            About::Mismatch { mismatch: MismatchId(Uuid::from_bytes(mismatch)), remedy }
        }
        _ => About::Payouts(
            resolutions.ok_or_else(|| Fault::Bad(format!("proposal {id} is about nothing")))?,
        ),
    };
    let (evidence, by, at) = (columns.take()?, columns.take()?, columns.time()?);
    let (decided, decided_by, accepted): (_, Option<String>, Option<bool>) =
        (columns.time_or_none()?, columns.take()?, columns.take()?);
    let decision = decided.map(|at| Decision {
        at,
        by: decided_by.unwrap_or_default(),
        accepted: accepted.unwrap_or(false),
    });
    Ok(Proposal { id, about, evidence, by, at, decided: decision })
}

/// Adds a proposal; `false` if it is there.
pub(crate) fn insert(connection: &Connection, proposal: &Proposal) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO proposals ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let (mut said, mut balance, mut mismatch, mut resolutions) = (None, None, None, None);
    match &proposal.about {
        About::Payout { payout, outcome } => said = Some((payout, outcome)),
        About::Payouts(several) => resolutions = Some(documents::resolutions(several)?),
        About::Balance { node, correction, amount } => balance = Some((node, correction, amount)),
        About::Mismatch { mismatch: which, remedy } => mismatch = Some((which, remedy)),
    };
    let decision = proposal.decided.as_ref();
    let values = params![
        proposal.id.0.as_bytes(),
        said.map(|(payout, _)| payout.0.as_bytes()),
        said.and_then(|(_, outcome)| outcome.txid()),
        balance.map(|(node, ..)| node.0.as_bytes()),
        balance.map(|(_, correction, _)| correction.name()),
        balance.map(|(_, _, amount)| amount.0),
        mismatch.map(|(mismatch, _)| mismatch.0.as_bytes()),
        mismatch.map(|(_, remedy)| remedy.name()),
        resolutions,
        proposal.evidence,
        proposal.by,
        proposal.at.0,
        decision.map(|decision| decision.at.0),
        decision.map(|decision| &decision.by),
        decision.map(|decision| decision.accepted),
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

pub(crate) fn list(page: &PageRequest<()>) -> List {
    List::new(
        &Source { columns: COLUMNS, table: "proposals", joins: "" },
        Conditions::default(),
        &["id"],
        page,
    )
}

const SWITCH: &str = "frozen_at, frozen_by, frozen_reason, restored_at, reconcile_since, reconciled_at, freeze_fence, still_at, backup_at, version";

/// Whether payments may be sent.
fn switch(connection: &Connection) -> Result<PaymentsSwitch, Fault> {
    let read = |columns: &mut Columns<'_>| {
        let (at, by, reason): (_, Option<String>, Option<String>) =
            (columns.time_or_none()?, columns.take()?, columns.take()?);
        let (restored_at, since, done_at) =
            (columns.time_or_none()?, columns.time_or_none()?, columns.time_or_none()?);
        let (fence, still_at, backup_at) =
            (columns.unsigned()?, columns.time_or_none()?, columns.time_or_none()?);
        let frozen = at.map(|at| Freeze {
            at,
            by: by.unwrap_or_default(),
            reason: reason.unwrap_or_default(),
            fence,
            still_at,
        });
        let reconciliation = since.map(|since| Reconciliation { since, done_at });
        Ok(PaymentsSwitch {
            frozen,
            restored_at,
            backup_at,
            reconciliation,
            version: columns.unsigned()?,
        })
    };
    Ok(first(connection, &format!("SELECT {SWITCH} FROM payments_switch"), [], read)?
        .unwrap_or_default())
}

/// Replaces that, if it is as it was; whoever sets it first makes it.
pub(crate) fn set(connection: &Connection, switch: &PaymentsSwitch) -> Result<bool, Fault> {
    let there = self::switch(connection)?;
    if there.version + 1 != switch.version {
        return Ok(false);
    }
    put(connection, switch)?;
    Ok(true)
}

/// Says it as another store does.
pub(crate) fn put(connection: &Connection, switch: &PaymentsSwitch) -> Result<(), Fault> {
    execute(connection, "DELETE FROM payments_switch", [])?;
    if switch.version > 0 {
        let sql = format!(
            "INSERT INTO payments_switch (one, {SWITCH}) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let (frozen, asked) = (switch.frozen.as_ref(), switch.reconciliation);
        let values = params![
            frozen.map(|f| f.at.0),
            frozen.map(|f| &f.by),
            frozen.map(|f| &f.reason),
            switch.restored_at.map(|at| at.0),
            asked.map(|asked| asked.since.0),
            asked.and_then(|asked| asked.done_at).map(|at| at.0),
            stored(frozen.map_or(0, |f| f.fence))?,
            frozen.and_then(|f| f.still_at).map(|at| at.0),
            switch.backup_at.map(|at| at.0),
            stored(switch.version)?
        ];
        execute(connection, &sql, values)?;
    }
    Ok(())
}

#[async_trait]
impl DecisionStore for SqliteStore {
    async fn payments_switch(&self) -> Result<PaymentsSwitch, StoreError> {
        self.core.lookup(switch).await
    }
    async fn set_payments_switch(
        &self,
        switch: PaymentsSwitch,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let set = set(connection, &switch)?;
                if set {
                    audit::add(connection, &audit)?;
                }
                Ok(set)
            })
            .await
    }
    async fn add_proposal(
        &self,
        proposal: Proposal,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let added = insert(connection, &proposal)?;
                if added {
                    audit::add(connection, &audit)?;
                }
                Ok(added)
            })
            .await
    }
    async fn proposal(&self, id: ProposalId) -> Result<Option<Proposal>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM proposals WHERE id = ?");
        self.core.lookup(|connection| first(connection, &sql, [id.0.as_bytes()], read)).await
    }
    async fn proposals(&self, page: PageRequest<()>) -> Result<Page<Proposal>, StoreError> {
        let list = list(&page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn decide_proposal(
        &self,
        id: ProposalId,
        decision: Decision,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let sql = "UPDATE proposals SET decided_at = ?, decided_by = ?, accepted = ? WHERE id = ? AND decided_at IS NULL";
                let decided = execute(connection, sql, params![decision.at.0, decision.by, decision.accepted, id.0.as_bytes()])? == 1;
                if decided {
                    audit::add(connection, &audit)?;
                }
                Ok(decided)
            })
            .await
    }
}
