//! Reading ahead on one side, several pages on their way to the other, and a mark that says what is
//! durable.

use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesOrdered};
use lucid_model::id::Digest;
use lucid_ports::StoreError;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};

use super::{
    Books, CopyError, CopyProgress, CopyReport, Key, Kind, OnProgress, Record, Step, Sum, Transfer,
    comparing,
    ends::{End, Ends},
    progress::Progress,
};

/// Pages that are read ahead.
const PAGES_AHEAD: usize = 2;
/// How often the mark is written at least. What came after it is sent again after a crash, and is
/// there already.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// How much is done at once.
#[derive(Default)]
pub struct Limits {
    /// Records of a page, if not what is right for the kind.
    pub page_records: Option<u32>,
}

impl Limits {
    pub fn of(&self, kind: Kind) -> u32 {
        self.page_records.unwrap_or_else(|| kind.page_records())
    }
}

/// Records with what is known of them.
pub struct Page {
    pub records: Vec<Record>,
    /// Each record's key and digest.
    pub told: Vec<(Key, Digest)>,
    pub sum: Sum,
    /// Parts of the whole: records, or of what comes in blocks of a node the nodes.
    pub units: u64,
}

impl Page {
    pub fn of(records: Vec<Record>) -> Self {
        let (mut buffer, mut sum, mut told) =
            (Vec::new(), Sum::default(), Vec::with_capacity(records.len()));
        let mut nodes = HashSet::new();
        for record in &records {
            let digest = record.digest(&mut buffer);
            sum.add(digest, record.weight());
            if let Record::Samples { node, .. } = record {
                nodes.insert(*node);
            }
            told.push((record.key(), digest));
        }
        let units = u64::try_from(if nodes.is_empty() { records.len() } else { nodes.len() })
            .unwrap_or(u64::MAX);
        Self { records, told, sum, units }
    }
    pub fn last(&self) -> Option<&Key> {
        self.told.last().map(|(key, _)| key)
    }
}

/// Reads a kind ahead of whoever takes the pages. Dropped with the set of tasks.
pub fn read_ahead(
    tasks: &mut JoinSet<()>,
    store: Arc<dyn Transfer>,
    kind: Kind,
    mut after: Option<Key>,
    limit: u32,
) -> mpsc::Receiver<Result<Page, StoreError>> {
    let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
    tasks.spawn(async move {
        loop {
            let page = match store.page(kind, after.take(), limit).await {
                Ok(records) if records.is_empty() => return,
                Ok(records) => Ok(Page::of(records)),
                Err(error) => Err(error),
            };
            after = page.as_ref().ok().and_then(|page| page.last().cloned());
            if sender.send(page).await.is_err() || after.is_none() {
                return;
            }
        }
    });
    receiver
}

/// How many parts a kind has, for whoever waits.
pub async fn units_total(end: &End, kind: Kind) -> Result<u64, CopyError> {
    let counted = if kind == Kind::Samples { Kind::Live } else { kind };
    end.store.count(counted).await.map_err(end.failed(format!("counting {}", counted.name())))
}

/// Copies, reads back, and takes the mark away if both sides are equal.
pub async fn run(
    ends: &Ends,
    limits: &Limits,
    told: OnProgress<'_>,
) -> Result<CopyReport, CopyError> {
    let Ends { from, to, .. } = ends;
    let (mut progress, resumed) = begin(ends).await?;
    let mut counts = BTreeMap::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_counted()) {
        counts.insert(kind, units_total(from, kind).await?);
    }
    let mut took = BTreeMap::new();
    for kind in Kind::ALL {
        let started = Instant::now();
        if !progress.of(kind).done {
            copy_kind(ends, kind, limits.of(kind), &mut progress, told).await?;
        }
        took.insert(kind, started.elapsed());
    }
    still_the_same(from, &counts, &progress, limits).await?;
    let mut report =
        comparing::run(ends, Some(&comparing::Copied { progress: &progress, limits }), told)
            .await?;
    report.resumed = resumed;
    for kind in &mut report.kinds {
        kind.copied_in = took.get(&kind.kind).copied().unwrap_or_default();
    }
    if report.is_equal() {
        let switch = from
            .store
            .payments_switch()
            .await
            .map_err(from.failed("reading whether payments are frozen"))?;
        to.store
            .carry_switch(switch)
            .await
            .map_err(to.failed("saying whether payments are frozen"))?;
        if let Some(distribution) = from
            .store
            .open_distribution()
            .await
            .map_err(from.failed("reading how a period is shared"))?
        {
            to.store
                .keep_distribution(distribution)
                .await
                .map_err(to.failed("keeping how a period is shared"))?;
        }
        to.store.write_mark(None).await.map_err(to.failed("removing the mark"))?;
    }
    Ok(report)
}

/// Marks the target, or finds the mark of this copy; then both have one stamp.
async fn begin(ends: &Ends) -> Result<(Progress, bool), CopyError> {
    let Ends { from, to, stamp } = ends;
    let mark = to.store.read_mark().await.map_err(to.failed("reading the mark"))?;
    let resumed = mark.is_some();
    let progress = match mark {
        Some(mark) => {
            let unreadable = |error: serde_json::Error| CopyError::Mark {
                place: to.place.clone(),
                detail: error.to_string(),
            };
            serde_json::from_str(&mark).map_err(unreadable)?
        }
        None => {
            let progress = Progress::new(from.place.clone());
            save(to, &progress).await?;
            progress
        }
    };
    if progress.from != from.place {
        return Err(CopyError::OtherCopy {
            place: to.place.clone(),
            begun: progress.from,
            from: from.place.clone(),
        });
    }
    let there = to.store.stamp_or(stamp.clone()).await.map_err(to.failed("writing the stamp"))?;
    if there != *stamp {
        return Err(CopyError::OtherStamp { from: Box::new(stamp.clone()), to: Box::new(there) });
    }
    Ok((progress, resumed))
}

async fn save(to: &End, progress: &Progress) -> Result<(), CopyError> {
    let wrong = |error: serde_json::Error| CopyError::Mark {
        place: to.place.clone(),
        detail: error.to_string(),
    };
    let mark = serde_json::to_string(progress).map_err(wrong)?;
    to.store.write_mark(Some(mark)).await.map_err(to.failed("writing the mark"))
}

/// A page on its way, and what became of it.
type Sent = JoinHandle<Result<(Page, Option<Key>), StoreError>>;

/// Whatever comes of it, nobody reads or writes any more when it answers.
async fn copy_kind(
    ends: &Ends,
    kind: Kind,
    limit: u32,
    progress: &mut Progress,
    told: OnProgress<'_>,
) -> Result<(), CopyError> {
    let (mut readers, mut sent) = (JoinSet::new(), FuturesOrdered::new());
    let outcome = copy_pages(ends, (kind, limit), progress, told, (&mut readers, &mut sent)).await;
    readers.shutdown().await;
    while sent.next().await.is_some() {}
    outcome
}

async fn copy_pages(
    ends: &Ends,
    (kind, limit): (Kind, u32),
    progress: &mut Progress,
    told: OnProgress<'_>,
    (readers, sent): (&mut JoinSet<()>, &mut FuturesOrdered<Sent>),
) -> Result<(), CopyError> {
    let Ends { from, to, .. } = ends;
    let units_total = units_total(from, kind).await?;
    let (mut units, mut saved) = (0, Instant::now());
    let mut after = progress.of(kind).after.clone();
    let mut pages = read_ahead(readers, Arc::clone(&from.store), kind, after.clone(), limit);
    let mut more = true;
    loop {
        while more && sent.len() < kind.pages_at_once() {
            let Some(page) = pages.recv().await else {
                more = false;
                break;
            };
            let page = page.map_err(from.failed(format!("reading {}", kind.name())))?;
            let before = std::mem::replace(&mut after, page.last().cloned());
            let store = Arc::clone(&to.store);
            // A task of its own: encoding is work for the other cores.
            sent.push_back(tokio::spawn(
                async move { put(store.as_ref(), kind, before, page).await },
            ));
        }
        let Some(done) = sent.next().await else { break };
        let lost = || StoreError::Unavailable { detail: "a write ended early".to_owned() };
        let (page, conflict) = done
            .unwrap_or_else(|_| Err(lost()))
            .map_err(to.failed(format!("writing {}", kind.name())))?;
        if let Some(key) = conflict {
            return Err(CopyError::Conflict { kind, key: key.to_string() });
        }
        units += page.units;
        let part = progress.of(kind);
        part.sum.merge(&page.sum);
        part.after = page.last().cloned();
        let records = part.sum.count;
        if saved.elapsed() >= MARK_EVERY {
            save(to, progress).await?;
            saved = Instant::now();
        }
        if told(CopyProgress { step: Step::Copying, kind, records, units, units_total }).is_break()
        {
            save(to, progress).await?;
            return Err(CopyError::Stopped);
        }
    }
    progress.of(kind).done = true;
    save(to, progress).await
}

/// Writes a page; the key of the first record that is not in the store as it should be, if some
/// were refused.
async fn put(
    store: &dyn Transfer,
    kind: Kind,
    before: Option<Key>,
    mut page: Page,
) -> Result<(Page, Option<Key>), StoreError> {
    let records = std::mem::take(&mut page.records);
    let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
    if store.put(kind, records).await? == count {
        return Ok((page, None));
    }
    // An earlier run may have written them: then they are the same.
    let there = digests_between(store, kind, before, page.last(), page.told.len()).await?;
    let conflict = page
        .told
        .iter()
        .find(|(key, digest)| there.get(key) != Some(digest))
        .map(|(key, _)| key.clone());
    Ok((page, conflict))
}

/// What a store has of a kind after one key and up to another.
async fn digests_between(
    store: &dyn Transfer,
    kind: Kind,
    mut after: Option<Key>,
    last: Option<&Key>,
    limit: usize,
) -> Result<BTreeMap<Key, Digest>, StoreError> {
    let mut found = BTreeMap::new();
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
    loop {
        let page = Page::of(store.page(kind, after, limit).await?);
        let ended = page.last().is_none_or(|key| Some(key) >= last);
        after = page.last().cloned();
        found.extend(page.told);
        if ended {
            return Ok(found);
        }
    }
}

/// Nothing locks a database that another process may use: counts, and what every report changes,
/// tell.
async fn still_the_same(
    from: &End,
    counts: &BTreeMap<Kind, u64>,
    progress: &Progress,
    limits: &Limits,
) -> Result<(), CopyError> {
    for (kind, before) in counts {
        if units_total(from, *kind).await? != *before {
            return Err(CopyError::Moved { kind: *kind, place: from.place.clone() });
        }
    }
    let mut books = Books::default();
    let live = comparing::read_all(from, Kind::Live, limits, &mut books, &mut |_| {
        ControlFlow::Continue(())
    })
    .await?;
    if live != progress.sum(Kind::Live) {
        return Err(CopyError::Moved { kind: Kind::Live, place: from.place.clone() });
    }
    Ok(())
}
