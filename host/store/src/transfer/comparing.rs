//! Reading two stores and comparing what they say.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_model::id::Digest;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Books, CopyError, CopyProgress, CopyReport, Expected, Key, Kind, KindReport, OnProgress, Step,
    Sum,
    copying::{Limits, Page, read_ahead, units_total},
    ends::{End, Ends},
    progress::Progress,
};
use crate::Seals;

type Pages = mpsc::Receiver<Result<Page, lucid_ports::StoreError>>;

/// What is known of the source, because it was just copied.
pub(crate) struct Copied<'a> {
    pub(crate) progress: &'a Progress,
    pub(crate) limits: &'a Limits,
}

/// Compares every kind, then what follows from them.
pub(crate) async fn run(
    ends: &Ends,
    copied: Option<&Copied<'_>>,
    told: OnProgress<'_>,
) -> Result<CopyReport, CopyError> {
    let Ends { from, to, stamp } = ends;
    let default = Limits::default();
    let limits = copied.map_or(&default, |copied| copied.limits);
    let (mut kinds, mut misfits) = (Vec::new(), Vec::new());
    let (mut books, mut expected) = (Books::default(), Books::default());
    for kind in Kind::ALL {
        let started = Instant::now();
        let there = read_all(to, kind, limits, &mut books, told).await?;
        // The ledger is read on both sides again: its sums and ends are not in the mark.
        let here = match copied {
            Some(copied) if kind != Kind::Ledger => copied.progress.sum(kind),
            _ => read_all(from, kind, limits, &mut expected, told).await?,
        };
        if kind == Kind::Votes {
            misfits.extend(votes_of_no_epoch(from, &here).await?);
            misfits.extend(votes_of_no_epoch(to, &there).await?);
        }
        let first_difference =
            if here == there { None } else { first_difference(from, to, kind, limits).await? };
        kinds.push(KindReport {
            kind,
            from: here,
            to: there,
            first_difference,
            copied_in: Duration::ZERO,
            verified_in: started.elapsed(),
        });
    }
    misfits.extend(ledger_misfits(&expected, &books));
    misfits.extend(epoch_and_audit_misfits(from, to).await?);
    let score_rows = kinds
        .iter()
        .find(|report| report.kind == Kind::Scores)
        .map_or(0, |report| report.from.count);
    let (ledger, ledger_turnover) = ((books.accounts.len(), books.heads.len()), books.turnover());
    misfits.extend(
        to.store
            .misfits(&Expected { score_rows, books: expected })
            .await
            .map_err(to.failed("checking what was made anew"))?,
    );
    let webhooks = to.store.webhooks().await.map_err(to.failed("reading webhooks"))?;
    let seals = Seals::of(webhooks.iter().map(|webhook| webhook.secret.0.as_str()));
    Ok(CopyReport {
        from: from.place.clone(),
        to: to.place.clone(),
        stamp: stamp.clone(),
        resumed: false,
        kinds,
        misfits,
        ledger,
        ledger_turnover,
        seals,
    })
}

/// A store may find votes by their epochs: one whose epoch is not there would be neither copied nor
/// compared.
async fn votes_of_no_epoch(end: &End, read: &Sum) -> Result<Option<String>, CopyError> {
    let count = units_total(end, Kind::Votes).await?;
    Ok((count != read.count).then(|| {
        format!(
            "votes in {}: {count} are there, {} were read by their epochs",
            end.place, read.count
        )
    }))
}

/// Reads all of a kind; what the ledger adds up to goes into `books`.
pub(crate) async fn read_all(
    end: &End,
    kind: Kind,
    limits: &Limits,
    books: &mut Books,
    told: OnProgress<'_>,
) -> Result<Sum, CopyError> {
    let mut readers = JoinSet::new();
    let pages = read_ahead(&mut readers, Arc::clone(&end.store), kind, None, limits.of(kind));
    let outcome = sum_up(end, kind, pages, books, told).await;
    readers.shutdown().await;
    outcome
}

async fn sum_up(
    end: &End,
    kind: Kind,
    mut pages: Pages,
    books: &mut Books,
    told: OnProgress<'_>,
) -> Result<Sum, CopyError> {
    let units_total = units_total(end, kind).await?;
    let (mut sum, mut units) = (Sum::default(), 0);
    while let Some(page) = pages.recv().await {
        let page = page.map_err(end.failed(format!("reading {}", kind.name())))?;
        page.records.iter().for_each(|record| books.add(record));
        sum.merge(&page.sum);
        units += page.units;
        if told(CopyProgress {
            step: Step::Verifying,
            kind,
            records: sum.count,
            units,
            units_total,
        })
        .is_break()
        {
            return Err(CopyError::Stopped);
        }
    }
    Ok(sum)
}

fn ledger_misfits(expected: &Books, found: &Books) -> Vec<String> {
    let mut misfits = Vec::new();
    let accounts = expected.accounts.keys().chain(found.accounts.keys());
    misfits.extend(
        accounts
            .clone()
            .find(|account| expected.accounts.get(account) != found.accounts.get(account))
            .map(|account| {
                format!(
                    "the sum of account {} is {:?}, not {:?}",
                    account.name(),
                    found.accounts.get(account),
                    expected.accounts.get(account)
                )
            }),
    );
    let streams = expected.heads.keys().chain(found.heads.keys());
    misfits.extend(
        streams.clone().find(|stream| expected.heads.get(stream) != found.heads.get(stream)).map(
            |stream| {
                format!(
                    "stream {} ends at {:?}, not {:?}",
                    stream.name(),
                    found.heads.get(stream),
                    expected.heads.get(stream)
                )
            },
        ),
    );
    if !found.balance() {
        misfits.push("the ledger's accounts do not sum to zero".to_owned());
    }
    misfits
}

/// The newest epoch's root and link, and the ends of all audit chains, as each store itself says.
async fn epoch_and_audit_misfits(from: &End, to: &End) -> Result<Vec<String>, CopyError> {
    let mut misfits = Vec::new();
    let (here, there) = (from.store.last_epoch().await, to.store.last_epoch().await);
    let (here, there) = (
        here.map_err(from.failed("reading the last epoch"))?,
        there.map_err(to.failed("reading the last epoch"))?,
    );
    if here != there {
        misfits.push(format!("the chain of epochs ends at {there:?}, not {here:?}"));
    }
    let (here, there) = (from.store.audit_heads().await, to.store.audit_heads().await);
    let (here, there) = (
        here.map_err(from.failed("reading the audit chains"))?,
        there.map_err(to.failed("reading the audit chains"))?,
    );
    if here != there {
        misfits.push(format!("the audit chains end at {there:?}, not {here:?}"));
    }
    Ok(misfits)
}

/// Goes through a kind on one side, record by record.
struct Walk {
    pages: Pages,
    told: std::vec::IntoIter<(Key, Digest)>,
    readers: JoinSet<()>,
}

impl Walk {
    fn new(end: &End, kind: Kind, limits: &Limits) -> Self {
        let mut readers = JoinSet::new();
        let pages = read_ahead(&mut readers, Arc::clone(&end.store), kind, None, limits.of(kind));
        Self { pages, told: Vec::new().into_iter(), readers }
    }
    async fn next(&mut self) -> Result<Option<(Key, Digest)>, lucid_ports::StoreError> {
        loop {
            if let Some(next) = self.told.next() {
                return Ok(Some(next));
            }
            match self.pages.recv().await {
                Some(page) => self.told = page?.told.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

async fn first_difference(
    from: &End,
    to: &End,
    kind: Kind,
    limits: &Limits,
) -> Result<Option<String>, CopyError> {
    let (mut here, mut there) = (Walk::new(from, kind, limits), Walk::new(to, kind, limits));
    let outcome = differing(from, to, kind, (&mut here, &mut there)).await;
    here.readers.shutdown().await;
    there.readers.shutdown().await;
    outcome
}

async fn differing(
    from: &End,
    to: &End,
    kind: Kind,
    (here, there): (&mut Walk, &mut Walk),
) -> Result<Option<String>, CopyError> {
    let what = || format!("reading {}", kind.name());
    loop {
        let pair = (
            here.next().await.map_err(from.failed(what()))?,
            there.next().await.map_err(to.failed(what()))?,
        );
        match pair {
            (None, None) => return Ok(None),
            (left, right) if left == right => {}
            (left, right) => {
                let first =
                    left.map(|(key, _)| key).into_iter().chain(right.map(|(key, _)| key)).min();
                return Ok(first.map(|key| key.to_string()));
            }
        }
    }
}
