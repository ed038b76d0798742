//! The rows of a scored chunk as they are stored: a column a field. What is hashed is made of them
//! again.

use lucid_model::{
    canonical::{Canonical, CanonicalReader},
    epochs::{
        receipt::ScoreRow,
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    id::NodeId,
};

use super::{Unreadable, columns};

const TAG: &str = "lucid/packed/1/rows";

/// The numbers of a row, in the order of the columns; the last is its reason's place in the table,
/// from 1.
type Numbers = [i64; 13];

fn numbers(row: &ScoreRow, reason: i64) -> Numbers {
    let Factors {
        observation_time,
        session_quality,
        uptime,
        resource_efficiency,
        network_performance,
    } = row.factors;
    [
        i64::from(row.observed_s),
        i64::from(row.window_observed_s),
        i64::from(row.eligible) | i64::from(row.held) << 1,
        i64::from(row.multiplier.0),
        i64::from(row.raw.0),
        // What a score is of its raw score is almost always the same.
        i64::from(row.score.0) - i64::from(row.raw.clamp().0),
        i64::from(row.sessions),
        i64::from(observation_time.0),
        i64::from(session_quality.0),
        i64::from(uptime.0),
        i64::from(resource_efficiency.0),
        i64::from(network_performance.0),
        reason,
    ]
}

pub fn pack(rows: &[ScoreRow]) -> Result<Vec<u8>, Unreadable> {
    let mut reasons: Vec<&str> = rows.iter().filter_map(|row| row.reason.as_deref()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let place = |reason: &str| {
        reasons
            .binary_search(&reason)
            .ok()
            .and_then(|place| i64::try_from(place + 1).ok())
            .unwrap_or_default()
    };
    let all: Vec<Numbers> =
        rows.iter().map(|row| numbers(row, row.reason.as_deref().map_or(0, place))).collect();
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut bytes = columns::put_ids(
        Canonical::tagged(TAG).u32(count(rows.len())),
        rows.iter().map(|row| row.node),
    )?;
    for column in 0..Numbers::default().len() {
        let values: Vec<i64> =
            all.iter().filter_map(|numbers| numbers.get(column).copied()).collect();
        bytes = columns::put(bytes, &values)?;
    }
    bytes =
        reasons.iter().fold(bytes.u32(count(reasons.len())), |bytes, reason| bytes.text(reason));
    columns::compress(&bytes.finish())
}

pub fn unpack(packed: &[u8]) -> Result<Vec<ScoreRow>, Unreadable> {
    let cut = || Unreadable::new("scored rows are cut off");
    let bytes = columns::decompress(packed)?;
    let mut reader = bytes
        .strip_prefix(TAG.as_bytes())
        .and_then(|b| b.strip_prefix(&[0]))
        .map(CanonicalReader)
        .ok_or_else(cut)?;
    let count = usize::try_from(reader.u32().ok_or_else(cut)?).map_err(|_| cut())?;
    let nodes = columns::take_ids(&mut reader, count)?;
    let mut read = Vec::with_capacity(Numbers::default().len());
    for _ in 0..Numbers::default().len() {
        read.push(columns::take(&mut reader, count)?.into_iter());
    }
    let reasons = (0..reader.u32().ok_or_else(cut)?)
        .map(|_| reader.text().map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(cut)?;
    let mut rows = Vec::with_capacity(count);
    for node in nodes {
        let mut numbers = Numbers::default();
        for (number, column) in numbers.iter_mut().zip(&mut read) {
            *number = column.next().ok_or_else(cut)?;
        }
        rows.push(row(node, numbers, &reasons)?);
    }
    Ok(rows)
}

fn row(node: NodeId, numbers: Numbers, reasons: &[String]) -> Result<ScoreRow, Unreadable> {
    let whole = |number: i64| {
        u32::try_from(number).map_err(|_| Unreadable::new(format!("{number} in a scored row")))
    };
    let [
        observed_s,
        window_observed_s,
        flags,
        multiplier,
        raw,
        above_clamp,
        sessions,
        observation,
        quality,
        uptime,
        resources,
        network,
        reason,
    ] = numbers;
    let raw = RawCenti(whole(raw)?);
    let reason = match usize::try_from(reason) {
        Ok(0) => None,
        Ok(place) => Some(
            reasons
                .get(place - 1)
                .ok_or_else(|| Unreadable::new("a reason that is not there"))?
                .clone(),
        ),
        Err(_) => return Err(Unreadable::new("a reason that is not there")),
    };
    Ok(ScoreRow {
        node,
        observed_s: whole(observed_s)?,
        window_observed_s: whole(window_observed_s)?,
        eligible: flags & 1 == 1,
        multiplier: Ppm(whole(multiplier)?),
        raw,
        score: ScoreCenti(whole(i64::from(raw.clamp().0).saturating_add(above_clamp))?),
        sessions: whole(sessions)?,
        factors: Factors {
            observation_time: Ppm(whole(observation)?),
            session_quality: Ppm(whole(quality)?),
            uptime: Ppm(whole(uptime)?),
            resource_efficiency: Ppm(whole(resources)?),
            network_performance: Ppm(whole(network)?),
        },
        reason,
        held: flags & 2 == 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lucid_store_conformance::examples::row as example;

    #[test]
    fn rows_are_read_as_they_were_packed() {
        let mut rows: Vec<_> = (0..1_999)
            .map(|i| ScoreRow {
                raw: RawCenti(i * i * 7),
                multiplier: Ppm(i * 31 % 997),
                ..example(i * 7_919 % 10_007, i)
            })
            .collect();
        rows[3] = ScoreRow {
            held: true,
            eligible: false,
            reason: Some("trap: unreachable".into()),
            ..example(1, 0)
        };
        rows[4].reason = None;
        rows[5].factors = Factors {
            resource_efficiency: Ppm(u32::MAX),
            network_performance: Ppm(u32::MAX),
            ..rows[5].factors
        };
        for rows in [&rows[..], &rows[..7], &rows[..1], &[]] {
            let packed = pack(rows).unwrap();
            assert_eq!(unpack(&packed).unwrap(), rows);
            assert!(
                packed.len() < 400 + rows.len() * 40,
                "{} bytes for {} rows",
                packed.len(),
                rows.len()
            );
        }
    }
}
