//! When an entry of `active.toml` counts, decided from what the file says now, what it said before,
//! and what is on record.

use lucid_model::{canonical::Canonical, id::Digest};

use super::NamedActivation;

/// First line of a record.
const FORMAT: &str = "lucid/v1/active-entry";
/// Meanings that are remembered of an entry: a replica that comes late with an old file says
/// nothing new.
const EARLIER_MAX: usize = 32;

/// What an entry asks for, however it is written.
pub(super) fn meaning(entry: &NamedActivation) -> Digest {
    let start = Canonical::tagged(FORMAT).text(entry.kind.name()).text(&entry.scope.to_string());
    let named = start.text(&entry.name).text(&entry.version).text(entry.start.name());
    Digest::of(
        &entry
            .params
            .iter()
            .fold(named, |bytes, (name, value)| bytes.text(name).i64(*value))
            .finish(),
    )
}

/// What was applied last of a kind and scope, in the store, for all replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// None once the entry was taken out of the file.
    meaning: Option<Digest>,
    /// It waits for a second person, for as long as this is what is in force: an activation's
    /// revision.
    waiting: Option<u64>,
    /// What it said before, newest last.
    earlier: Vec<Digest>,
    /// Host and folder of the file that it was in.
    pub(super) origin: String,
}

impl Record {
    /// As it is kept: a line each, and the origin last.
    pub(super) fn text(&self) -> String {
        let meaning = self.meaning.map(|meaning| meaning.to_string()).unwrap_or_default();
        let waiting = self.waiting.map(|revision| revision.to_string()).unwrap_or_default();
        let earlier: Vec<_> = self.earlier.iter().map(ToString::to_string).collect();
        format!("{FORMAT}\n{meaning}\n{waiting}\n{}\n{}", earlier.join(" "), self.origin)
    }

    /// None if it is of another version.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(FORMAT)?.strip_prefix('\n')?.splitn(4, '\n');
        let meaning =
            Some(lines.next()?).filter(|line| !line.is_empty()).map(str::parse).transpose().ok()?;
        let waiting =
            Some(lines.next()?).filter(|line| !line.is_empty()).map(str::parse).transpose().ok()?;
        let earlier =
            lines.next()?.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { meaning, waiting, earlier, origin: lines.next()?.to_owned() })
    }

    fn knows(&self, meaning: Digest) -> bool {
        self.meaning == Some(meaning) || self.earlier.contains(&meaning)
    }

    /// The record after `meaning` was applied from `origin`, or began to wait.
    pub(super) fn after(
        before: Option<Self>,
        meaning: Option<Digest>,
        waiting: Option<u64>,
        origin: &str,
    ) -> Self {
        let (last, mut earlier) =
            before.map_or((None, Vec::new()), |record| (record.meaning, record.earlier));
        earlier.extend(last);
        earlier.retain(|known| Some(*known) != meaning);
        earlier.drain(..earlier.len().saturating_sub(EARLIER_MAX));
        Self { meaning, waiting, earlier, origin: origin.to_owned() }
    }
}

/// What this process saw when it looked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It did not look yet.
    NotYet,
    /// This, or no entry.
    Said(Option<Digest>),
}

/// What is to be done about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// What is on record is what the file says, or the file says nothing.
    Nothing,
    /// The file says something new.
    Apply,
    /// What the file says is put on record and nothing is activated: an entry was taken out.
    Note,
    /// Another replica's file was applied after this one's; theirs counts until one of the two
    /// changes.
    Disagree,
}

/// Decides about an entry that means `now`, in the file of `origin`, while the activation with a
/// revision is in force.
pub(super) fn decide(
    now: Option<Digest>,
    seen: Seen,
    record: Option<&Record>,
    in_force: u64,
    origin: &str,
) -> Step {
    let Some(record) = record else {
        return if now.is_some() { Step::Apply } else { Step::Nothing };
    };
    if record.meaning == now {
        return match record.waiting {
            None => Step::Nothing,
            Some(waiting) if waiting == in_force => Step::Apply,
            // Somebody decided otherwise meanwhile.
            Some(_) => Step::Note,
        };
    }
    let is_ours = record.origin == origin;
    match (now, seen) {
        (None, _) if is_ours => Step::Note,
        (None, _) => Step::Nothing,
        (Some(_), Seen::Said(before)) if before != now => Step::Apply,
        // A file that was changed while nobody looked: here, or with a replica that is new, to what
        // was never applied.
        (Some(meaning), Seen::NotYet) if is_ours || !record.knows(meaning) => Step::Apply,
        (Some(_), _) => Step::Disagree,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn digest(of: u8) -> Digest {
        Digest([of; 32])
    }

    fn applied(origin: &str, meanings: &[u8]) -> Record {
        let step = |before, meaning: &u8| {
            Some(Record::after(before, Some(digest(*meaning)), None, origin))
        };
        meanings.iter().fold(None, step).unwrap()
    }

    #[test]
    fn an_entry_counts_when_it_changes_and_never_because_of_a_start() {
        let record = applied("a", &[1, 2]);
        let of = |now, seen, origin| decide(Some(digest(now)), seen, Some(&record), 7, origin);
        let said = |meaning| Seen::Said(Some(digest(meaning)));
        assert_eq!(of(2, Seen::NotYet, "a"), Step::Nothing, "a start");
        assert_eq!(of(3, Seen::NotYet, "a"), Step::Apply, "changed while the service was stopped");
        assert_eq!(
            of(1, Seen::NotYet, "a"),
            Step::Apply,
            "changed back while the service was stopped"
        );
        assert_eq!(of(1, said(2), "a"), Step::Apply, "changed back");
        assert_eq!(
            of(2, said(1), "b"),
            Step::Nothing,
            "another replica was first with the same change"
        );
        assert_eq!(of(3, Seen::NotYet, "b"), Step::Apply, "a new replica with a new file");
        assert_eq!(of(1, Seen::NotYet, "b"), Step::Disagree, "a new replica with an old file");
        assert_eq!(
            of(1, said(1), "b"),
            Step::Disagree,
            "nothing changed here, and the other's was applied"
        );
        assert_eq!(
            decide(Some(digest(1)), said(1), None, 7, "a"),
            Step::Apply,
            "a store that knows nothing of it"
        );
    }

    #[test]
    fn an_entry_that_was_taken_out_counts_again_when_it_comes_back() {
        let record = applied("a", &[1]);
        assert_eq!(
            decide(None, Seen::NotYet, Some(&record), 7, "b"),
            Step::Nothing,
            "another replica has no such file"
        );
        assert_eq!(decide(None, Seen::Said(Some(digest(1))), Some(&record), 7, "a"), Step::Note);
        let forgotten = Record::after(Some(record), None, None, "a");
        assert_eq!(decide(None, Seen::NotYet, Some(&forgotten), 7, "a"), Step::Nothing);
        assert_eq!(decide(Some(digest(1)), Seen::NotYet, Some(&forgotten), 7, "a"), Step::Apply);
    }

    #[test]
    fn an_entry_waits_for_a_second_person_until_somebody_decides_otherwise() {
        let record = Record::after(None, Some(digest(1)), Some(7), "a");
        let while_in_force =
            |revision| decide(Some(digest(1)), Seen::NotYet, Some(&record), revision, "b");
        assert_eq!((while_in_force(7), while_in_force(8)), (Step::Apply, Step::Note));
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_stays_short() {
        let meanings: Vec<u8> = (0..100).collect();
        let record = applied("machine:/policies", &meanings);
        assert_eq!(record.earlier.len(), EARLIER_MAX);
        let forgotten = Record::after(Some(record.clone()), None, Some(7), "one\ntwo");
        for record in [record, forgotten] {
            assert_eq!(Record::read(&record.text()), Some(record.clone()));
            assert_eq!(Record::read(&record.text().replace("/v1/", "/v2/")), None);
        }
    }

    proptest! {
        /// Whatever files there are and whoever starts when: while no file changes, nothing is
        /// applied twice.
        #[test]
        fn replicas_whose_files_stay_as_they_are_come_to_rest(
            files in prop::collection::vec(0_u8..3, 1..5),
            looks in prop::collection::vec((0_usize..5, prop::bool::weighted(0.2)), 1..80),
        ) {
            let (mut record, mut seen, mut applied): (Option<Record>, _, _) = (None, BTreeMap::new(), 0);
            for (replica, restarts) in looks {
                let replica = replica % files.len();
                let (now, origin) = (Some(digest(files[replica])), format!("machine {replica}"));
                if restarts {
                    seen.remove(&replica);
                }
                let before = seen.insert(replica, Seen::Said(now)).unwrap_or(Seen::NotYet);
                if decide(now, before, record.as_ref(), 0, &origin) == Step::Apply {
                    applied += 1;
                    record = Some(Record::after(record, now, None, &origin));
                }
            }
            let different: std::collections::BTreeSet<_> = files.iter().collect();
            prop_assert!(applied <= different.len(), "{applied} times, of {} files", different.len());
        }
    }
}
