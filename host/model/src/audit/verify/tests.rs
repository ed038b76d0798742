use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::audit::{AuditEntry, seal::tests::sealed, tests::entry};

#[derive(Debug, Clone, PartialEq)]
struct Log {
    links: Vec<Link>,
    entries: Vec<ChainedEntry>,
}

fn writer() -> AuditWriterId {
    AuditWriterId(Uuid::from_u128(1))
}

/// A chain of links with so many entries each.
fn log(sizes: &[u8]) -> Log {
    let (mut head, mut log) =
        (ChainHead::empty(writer()), Log { links: Vec::new(), entries: Vec::new() });
    for size in sizes.iter().filter(|size| **size > 0) {
        let mut draft = LinkDraft::default();
        for _ in 0..*size {
            let place = log.entries.len() as u64 + 1;
            let entry = entry(u128::from(place));
            draft.add(&entry);
            log.entries.push(ChainedEntry { entry, writer: writer(), link: head.seq + 1, place });
        }
        let link = draft.link(&head).unwrap();
        head = link.head();
        log.links.push(link);
    }
    log
}

fn walk(log: &Log) -> Result<ChainHead, Flaw> {
    let (mut verifier, mut entries) = (ChainVerifier::new(writer()), log.entries.iter());
    for link in &log.links {
        verifier.link(link)?;
        while verifier.wants_entry() {
            verifier.entry(entries.next().ok_or_else(|| verifier.entry_missing())?)?;
        }
    }
    entries.next().map_or(Ok(()), |entry| verifier.entry(entry))?;
    Ok(verifier.head())
}

/// Gives entries the places and links that they would need not to stand out.
fn renumbered(mut log: Log) -> Log {
    for (place, entry) in (1..).zip(&mut log.entries) {
        entry.place = place;
        entry.link =
            log.links.iter().find(|link| link.total >= place).map_or(entry.link, |link| link.seq);
    }
    log
}

#[test]
fn an_untouched_chain_is_intact() {
    let log = log(&[1, 3, 2]);
    assert_eq!(walk(&log), Ok(log.links[2].head()));
    assert_eq!(walk(&Log { links: vec![], entries: vec![] }), Ok(ChainHead::empty(writer())));
}

#[test]
fn a_changed_entry_is_named_by_its_link() {
    let mut log = log(&[1, 3, 2]);
    log.entries[2].entry.detail = "nothing happened".into();
    assert_eq!(
        walk(&log),
        Err(Flaw::EntriesChanged { writer: writer(), link: 2, first: 2, last: 4 })
    );
}

#[test]
fn a_removed_entry_is_named_by_its_place() {
    let mut gap = log(&[1, 3, 2]);
    gap.entries.remove(2);
    assert_eq!(walk(&gap), Err(Flaw::EntryMissing { writer: writer(), link: 2, place: 3 }));
    assert_eq!(
        walk(&renumbered(gap)),
        Err(Flaw::EntriesChanged { writer: writer(), link: 2, first: 2, last: 4 })
    );
    let mut last = log(&[1, 3, 2]);
    last.entries.pop();
    assert_eq!(walk(&last), Err(Flaw::EntryMissing { writer: writer(), link: 3, place: 6 }));
}

#[test]
fn an_inserted_entry_is_found_wherever_it_is() {
    let mut inside = log(&[1, 3, 2]);
    inside.entries.insert(3, ChainedEntry { entry: entry(99), ..inside.entries[3].clone() });
    assert_eq!(
        walk(&renumbered(inside)),
        Err(Flaw::EntriesChanged { writer: writer(), link: 2, first: 2, last: 4 })
    );
    let mut behind = log(&[1, 3, 2]);
    behind.entries.push(ChainedEntry { entry: entry(99), writer: writer(), link: 4, place: 7 });
    assert_eq!(walk(&behind), Err(Flaw::EntryUnlinked { writer: writer(), place: 7 }));
}

#[test]
fn two_entries_in_each_others_place_are_found() {
    let mut log = log(&[1, 3, 2]);
    log.entries.swap(2, 3);
    assert_eq!(
        walk(&renumbered(log)),
        Err(Flaw::EntriesChanged { writer: writer(), link: 2, first: 2, last: 4 })
    );
}

#[test]
fn a_link_that_was_changed_removed_or_made_anew_is_found() {
    let mut changed = log(&[1, 3, 2]);
    changed.links[1].at.0 += 1;
    assert_eq!(
        walk(&changed),
        Err(Flaw::EntriesChanged { writer: writer(), link: 2, first: 2, last: 4 }),
        "a time is the entries'"
    );
    let mut removed = log(&[1, 3, 2]);
    removed.links.remove(1);
    assert_eq!(walk(&removed), Err(Flaw::LinkMissing { writer: writer(), seq: 2 }));
    // Made over the changed entries: the next link still names the one that was.
    let mut anew = log(&[1, 1, 2]);
    anew.entries[1].entry.actor = "mallory".into();
    let mut draft = LinkDraft::default();
    draft.add(&anew.entries[1].entry);
    anew.links[1] = draft.link(&anew.links[0].head()).unwrap();
    assert_eq!(walk(&anew), Err(Flaw::LinkBroken { writer: writer(), seq: 3 }));
    let mut moved = log(&[1, 3, 2]);
    moved.entries[3].link = 3;
    assert_eq!(
        walk(&moved),
        Err(Flaw::EntryMoved { writer: writer(), link: 2, place: 4, says: 3 })
    );
}

#[test]
fn what_a_seal_names_cannot_be_cut_off_or_made_anew() {
    let whole = log(&[1, 3, 2]);
    let named = whole.links[2].head();
    let seal = sealed(7, 1, Digest::default(), vec![named]);
    assert_eq!(SealVerifier::head(&seal, &named, whole.links.get(2)), Ok(()));
    assert_eq!(
        SealVerifier::head(&seal, &named, None),
        Err(Flaw::SealedLinkMissing { seal: 1, writer: writer(), link: 3 })
    );
    let other = log(&[2, 2, 2]);
    assert_eq!(
        SealVerifier::head(&seal, &named, other.links.get(2)),
        Err(Flaw::SealedLinkDiffers { seal: 1, writer: writer(), link: 3 })
    );
}

#[test]
fn a_seal_counts_only_in_its_place_and_by_a_trusted_key() {
    let first = sealed(7, 1, Digest::default(), vec![]);
    let second = sealed(7, 2, first.digest(), vec![]);
    let key = first.statement.key;
    let walk_with = |trust: &Trust, seals: &[&Seal]| {
        let mut verifier = SealVerifier::new(trust);
        seals.iter().try_for_each(|seal| verifier.seal(seal))?;
        verifier.finish()
    };
    let walk = |keys: &[PublicKey], seals: &[&Seal]| {
        walk_with(&Trust { keys: keys.to_vec(), seal: None }, seals)
    };
    assert_eq!(walk(&[key], &[&first, &second]), Ok(()));
    assert_eq!(walk(&[], &[&first, &second]), Ok(()));
    assert_eq!(walk(&[key], &[&second]), Err(Flaw::SealMissing { seq: 1 }));
    assert_eq!(
        walk(&[key], &[&first, &sealed(7, 2, Digest::of(b"x"), vec![])]),
        Err(Flaw::SealBroken { seq: 2 })
    );
    let foreign = sealed(8, 2, first.digest(), vec![]);
    assert_eq!(
        walk(&[key], &[&first, &foreign]),
        Err(Flaw::SealKeyUnknown { seq: 2, key: foreign.statement.key })
    );
    assert_eq!(
        walk(&[key, foreign.statement.key], &[&first, &foreign]),
        Ok(()),
        "a key that was changed"
    );
    let kept = |seq, digest| Trust { keys: vec![key], seal: Some((seq, digest)) };
    assert_eq!(walk_with(&kept(1, first.digest()), &[&first, &second]), Ok(()));
    assert_eq!(
        walk_with(&kept(2, Digest::of(b"x")), &[&first, &second]),
        Err(Flaw::SealDiffers { seq: 2 })
    );
    assert_eq!(
        walk_with(&kept(2, second.digest()), &[&first]),
        Err(Flaw::SealMissing { seq: 2 }),
        "seals were cut off"
    );
    assert_eq!(
        walk_with(&kept(1, first.digest()), &[]),
        Err(Flaw::SealMissing { seq: 1 }),
        "all of them"
    );
    let forged = Seal { signature: first.signature, ..second };
    assert_eq!(walk(&[key], &[&first, &forged]), Err(Flaw::SealForged { seq: 2, key }));
}

/// One change of a log, of a kind.
fn tampered(mut log: Log, kind: u8, at: usize) -> Log {
    let (entry_at, link_at) = (at % log.entries.len(), at % log.links.len());
    match kind {
        0 => log.entries[entry_at].entry.subject.push('x'),
        1 => drop(log.entries.remove(entry_at)),
        2 => log.entries.insert(
            entry_at,
            ChainedEntry { entry: entry(u128::MAX), ..log.entries[entry_at].clone() },
        ),
        3 => {
            let taken = log.entries.remove(entry_at);
            log.entries.insert((at / 7) % (log.entries.len() + 1), taken);
        }
        4 => log.links[link_at].entries.0[at % 32] ^= 1,
        5 => log.links[link_at].count += 1,
        6 => {
            log.entries[entry_at].entry =
                AuditEntry { after: Some(Digest::of(&[1])), ..log.entries[entry_at].entry.clone() }
        }
        _ => drop(log.links.remove(link_at)),
    }
    log
}

proptest! {
    #[test]
    fn no_single_change_of_a_log_goes_unnoticed(sizes in prop::collection::vec(1_u8..6, 1..8), kind in 0_u8..8, at in 0_usize..10_000, hide in any::<bool>()) {
        let whole = log(&sizes);
        let head = walk(&whole);
        prop_assert_eq!(&head, &Ok(whole.links.last().unwrap().head()));
        let changed = tampered(whole.clone(), kind, at);
        let changed = if hide { renumbered(changed) } else { changed };
        // Cutting off the last link with its entries is what seals are for; without its entries
        // they are left over.
        prop_assert_eq!(walk(&changed).is_ok(), changed == whole, "{:?}", changed);
    }
}
