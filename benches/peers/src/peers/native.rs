use anyhow::Result;

use super::Peer;
use crate::rows::Column;

/// Plain Rust.
pub struct Native;

/// The default policy's formula with its default params.
fn multiplier([observed, period, quality, uptime, cpu, memory, disk, network]: [i64; 8]) -> u32 {
    let share =
        |part: i64, whole: i64| if part >= whole { 1_000_000 } else { part * 1_000_000 / whole };
    let load = (cpu + memory + disk) / 3;
    let efficiency = if load <= 800_000 { 1_000_000 } else { share(1_000_000 - load, 200_000) };
    let weighted = |weight: i64, value: i64| weight * value / 1_000_000;
    let sum = weighted(400_000, share(observed, period))
        + weighted(200_000, quality)
        + weighted(200_000, uptime)
        + weighted(100_000, efficiency)
        + weighted(100_000, share(network, 1_000_000_000));
    u32::try_from(sum).unwrap_or(u32::MAX)
}

impl Peer for Native {
    fn name(&self) -> &'static str {
        "plain Rust"
    }

    fn score(&mut self, columns: &[Column]) -> Result<Vec<u32>> {
        let [a, b, c, d, e, f, g, h] = columns else { anyhow::bail!("eight columns") };
        let values = a.iter().zip(&**b).zip(&**c).zip(&**d).zip(&**e).zip(&**f).zip(&**g).zip(&**h);
        Ok(values
            .map(|(((((((a, b), c), d), e), f), g), h)| {
                multiplier([*a, *b, *c, *d, *e, *f, *g, *h])
            })
            .collect())
    }
}
