//! Rollups as they are stored: whole numbers of as many bytes as they need, each as its difference
//! from what it is most often near to.

use lucid_model::{
    epochs::score::Ppm,
    telemetry::metric::{NetworkCounters, Reading, Rollup, Spread},
    time::TimeMs,
};

use super::Unreadable;

/// The encoding, first of all bytes.
const VERSION: u8 = 1;

/// Packs rollups of one node, of intervals from `start` on and in the order of time.
pub fn pack(start: TimeMs, rollups: &[Rollup]) -> Vec<u8> {
    let mut out = Out(vec![VERSION]);
    let mut before = Reading { at: start, network: NetworkCounters::default(), uptime_s: 0 };
    for rollup in rollups {
        out.near(rollup.first.at.0.cast_unsigned(), before.at.0.cast_unsigned());
        out.near(rollup.last.at.0.cast_unsigned(), rollup.first.at.0.cast_unsigned());
        out.number(rollup.samples);
        for spread in [&rollup.cpu, &rollup.memory, &rollup.disk] {
            out.number(u64::from(spread.min.0));
            out.near(u64::from(spread.max.0), u64::from(spread.min.0));
            out.near(spread.sum, u64::from(spread.min.0).wrapping_mul(rollup.samples));
        }
        let counters = counters(rollup.first.network).into_iter().zip(counters(before.network));
        let more = counters.zip(counters_of(rollup));
        for ((first, before), (last, counted)) in more {
            out.near(first, before);
            out.number(counted);
            out.near(last, first.wrapping_add(counted));
        }
        out.number(u64::from(rollup.active_sessions_max));
        out.near(rollup.first.uptime_s, before.uptime_s);
        out.near(rollup.last.uptime_s, rollup.first.uptime_s);
        out.near(rollup.uptime_s_max, rollup.last.uptime_s);
        before = rollup.last;
    }
    out.0
}

fn counters(network: NetworkCounters) -> [u64; 4] {
    [network.bytes_sent, network.bytes_received, network.packets_sent, network.packets_received]
}

/// Where each counter ended, and what it counted.
fn counters_of(rollup: &Rollup) -> impl Iterator<Item = (u64, u64)> {
    counters(rollup.last.network).into_iter().zip(counters(rollup.network))
}

/// What [`pack`] packed.
pub fn unpack(start: TimeMs, packed: &[u8]) -> Result<Vec<Rollup>, Unreadable> {
    let (version, rest) =
        packed.split_first().ok_or_else(|| Unreadable("rollups without a byte".to_owned()))?;
    if *version != VERSION {
        return Err(Unreadable(format!("rollups of version {version}")));
    }
    let mut rest = Rest(rest);
    let mut rollups = Vec::new();
    let mut before = Reading { at: start, network: NetworkCounters::default(), uptime_s: 0 };
    while !rest.0.is_empty() {
        let rollup = next(&mut rest, &before)?;
        before = rollup.last;
        rollups.push(rollup);
    }
    Ok(rollups)
}

fn next(rest: &mut Rest<'_>, before: &Reading) -> Result<Rollup, Unreadable> {
    let first_at = rest.near(before.at.0.cast_unsigned())?;
    let last_at = rest.near(first_at)?;
    let samples = rest.number()?;
    let mut spread = || {
        let min = rest.number()?;
        let (max, sum) = (rest.near(min)?, rest.near(min.wrapping_mul(samples))?);
        Ok::<_, Unreadable>(Spread { sum, min: Ppm(narrow(min)?), max: Ppm(narrow(max)?) })
    };
    let (cpu, memory, disk) = (spread()?, spread()?, spread()?);
    let mut counter = |before: u64| {
        let (first, counted) = (rest.near(before)?, rest.number()?);
        Ok::<_, Unreadable>((first, counted, rest.near(first.wrapping_add(counted))?))
    };
    let network = &before.network;
    let (sent, received) = (counter(network.bytes_sent)?, counter(network.bytes_received)?);
    let (packets_sent, packets_received) =
        (counter(network.packets_sent)?, counter(network.packets_received)?);
    let of = |part: fn((u64, u64, u64)) -> u64| NetworkCounters {
        bytes_sent: part(sent),
        bytes_received: part(received),
        packets_sent: part(packets_sent),
        packets_received: part(packets_received),
    };
    let active_sessions_max = narrow(rest.number()?)?;
    let first_uptime_s = rest.near(before.uptime_s)?;
    let last_uptime_s = rest.near(first_uptime_s)?;
    Ok(Rollup {
        samples,
        cpu,
        memory,
        disk,
        network: of(|(_, counted, _)| counted),
        active_sessions_max,
        uptime_s_max: rest.near(last_uptime_s)?,
        first: Reading {
            at: TimeMs(first_at.cast_signed()),
            network: of(|(first, _, _)| first),
            uptime_s: first_uptime_s,
        },
        last: Reading {
            at: TimeMs(last_at.cast_signed()),
            network: of(|(_, _, last)| last),
            uptime_s: last_uptime_s,
        },
    })
}

fn narrow(number: u64) -> Result<u32, Unreadable> {
    u32::try_from(number).map_err(|_| Unreadable(format!("a rollup says {number}")))
}

struct Out(Vec<u8>);

impl Out {
    /// Seven bits a byte, the lowest first.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }
    /// A number as its difference from another one, up or down.
    fn near(&mut self, number: u64, other: u64) {
        let difference = number.wrapping_sub(other).cast_signed();
        self.number(((difference << 1) ^ (difference >> 63)).cast_unsigned());
    }
}

struct Rest<'b>(&'b [u8]);

impl Rest<'_> {
    fn number(&mut self) -> Result<u64, Unreadable> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let (byte, rest) =
                self.0.split_first().ok_or_else(|| Unreadable("a rollup is cut off".to_owned()))?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            number |= bits
                .checked_shl(shift)
                .filter(|shifted| shifted >> shift == bits)
                .ok_or_else(|| Unreadable("a number too large".to_owned()))?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }
    fn near(&mut self, other: u64) -> Result<u64, Unreadable> {
        let folded = self.number()?;
        let difference = (folded >> 1) ^ (folded & 1).wrapping_neg();
        Ok(other.wrapping_add(difference))
    }
}

#[cfg(test)]
mod tests {
    use lucid_model::telemetry::metric::{Resolution, roll_up};
    use proptest::prelude::*;

    use super::*;
    use lucid_store_conformance::examples::sample;

    proptest! {
        #[test]
        fn rollups_are_read_as_they_were_packed(readings in prop::collection::vec((0_i64..3_600_000, any::<u64>(), any::<u64>(), any::<u32>()), 0..60)) {
            let hour = 7_200_000;
            let samples: Vec<_> = readings
                .into_iter()
                .map(|(at, sent, uptime_s, active_sessions)| lucid_model::telemetry::metric::Sample { uptime_s, active_sessions, ..sample(1, hour + at, sent) })
                .collect();
            for resolution in Resolution::ALL {
                let rollups = roll_up(&samples, resolution);
                prop_assert_eq!(unpack(TimeMs(hour), &pack(TimeMs(hour), &rollups)).unwrap(), rollups);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(TimeMs(0), &bytes);
        }
    }

    #[test]
    fn what_is_cut_off_or_of_another_version_is_refused() {
        let packed = pack(TimeMs(0), &roll_up(&[sample(1, 5, 7)], Resolution::Hour));
        assert!(unpack(TimeMs(0), &packed[..packed.len() - 1]).is_err());
        assert!(unpack(TimeMs(0), &[2]).is_err());
        assert!(unpack(TimeMs(0), &[]).is_err());
    }
}
