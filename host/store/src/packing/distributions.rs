//! How a period is shared, as it is stored.

use lucid_model::{
    canonical::{Canonical, CanonicalReader},
    epochs::epoch::{Period, PeriodLength},
    id::{PoolId, PoolScope},
    money::{
        MicroUsdt,
        settlement::{Accrual, Distribution, PoolSettlement},
    },
};
use uuid::Uuid;

use super::{Unreadable, columns};

const TAG: &str = "lucid/packed/1/distribution";

pub fn pack(distribution: &Distribution) -> Result<Vec<u8>, Unreadable> {
    let count = |length: usize| {
        u32::try_from(length).map_err(|_| Unreadable::new("more than is shared among"))
    };
    let period = distribution.period;
    let mut bytes = Canonical::tagged(TAG)
        .i64(period.start_s)
        .u32(period.length.seconds())
        .maybe(distribution.note.as_deref(), Canonical::text)
        .u32(count(distribution.pools.len())?);
    for pool in &distribution.pools {
        let of = |amount: fn(&Accrual) -> MicroUsdt| {
            pool.accruals.iter().map(|accrual| amount(accrual).0).collect::<Vec<_>>()
        };
        bytes = bytes
            .fixed(&pool.pool.bytes())
            .i64(pool.budget.0)
            .i64(pool.remainder.0)
            .text(&pool.cause)
            .u32(count(pool.accruals.len())?);
        bytes = columns::put_ids(bytes, pool.accruals.iter().map(|accrual| accrual.node))?;
        bytes = columns::put(bytes, &of(|accrual| accrual.share))?;
        bytes = columns::put(bytes, &of(|accrual| accrual.held))?;
    }
    Ok(bytes.finish())
}

pub fn unpack(bytes: &[u8]) -> Result<Distribution, Unreadable> {
    let cut = || Unreadable::new("a distribution is cut off");
    let body = bytes.strip_prefix(TAG.as_bytes()).and_then(|rest| rest.strip_prefix(&[0]));
    let mut reader = CanonicalReader(body.ok_or_else(|| Unreadable::new("not a distribution"))?);
    let start_s = reader.i64().ok_or_else(cut)?;
    let length = PeriodLength::new(reader.u32().ok_or_else(cut)?)
        .map_err(|error| Unreadable::new(error.to_string()))?;
    let period = Period { start_s, length };
    let note = match reader.fixed().ok_or_else(cut)? {
        [0] => None,
        _ => Some(reader.text().ok_or_else(cut)?.to_owned()),
    };
    let mut pools = Vec::new();
    for _ in 0..reader.u32().ok_or_else(cut)? {
        let pool = Uuid::from_bytes(reader.fixed().ok_or_else(cut)?);
        let pool =
            if pool.is_nil() { PoolScope::Unassigned } else { PoolScope::Pool(PoolId(pool)) };
        let mut money = || reader.i64().map(MicroUsdt).ok_or_else(cut);
        let (budget, remainder) = (money()?, money()?);
        let cause = reader.text().ok_or_else(cut)?.to_owned();
        let count = usize::try_from(reader.u32().ok_or_else(cut)?).map_err(|_| cut())?;
        let nodes = columns::take_ids(&mut reader, count)?;
        let (shares, held) =
            (columns::take(&mut reader, count)?, columns::take(&mut reader, count)?);
        let accruals = nodes.into_iter().zip(shares).zip(held);
        let accruals = accruals
            .map(|((node, share), held)| Accrual {
                node,
                share: MicroUsdt(share),
                held: MicroUsdt(held),
            })
            .collect();
        pools.push(PoolSettlement { period, pool, budget, accruals, remainder, cause });
    }
    if reader.0.is_empty() {
        Ok(Distribution { period, pools, note })
    } else {
        Err(Unreadable::new("bytes after a distribution"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lucid_store_conformance::examples::distribution;

    #[test]
    fn a_distribution_is_read_as_it_was_packed_and_not_at_all_when_it_is_cut() {
        for nodes in [0, 1, 3, 5_000] {
            let kept = distribution(1, nodes);
            let packed = pack(&kept).unwrap();
            assert_eq!(unpack(&packed).unwrap(), kept);
            assert!(
                (0..packed.len())
                    .step_by(packed.len() / 50 + 1)
                    .all(|length| unpack(&packed[..length]).is_err())
            );
            assert!(unpack(&[packed.as_slice(), &[0]].concat()).is_err());
        }
    }
}
