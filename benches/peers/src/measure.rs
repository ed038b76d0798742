//! Rounds in which each engine has its turn; medians, and ratios within a round.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::peers::Peer;
use crate::rows::Column;

/// Rounds.
const ROUNDS: usize = 15;
/// How long a turn lasts at least.
const TURN: Duration = Duration::from_millis(40);

/// What an engine needed.
pub struct Figure {
    /// Which.
    pub name: &'static str,
    /// Median time of a node.
    pub node_ns: f64,
    /// Median of the rounds' ratios to the first engine, which is plain Rust.
    pub ratio: f64,
}

/// Lets each engine score the same columns in turn.
pub fn measure(peers: &mut [Box<dyn Peer>], columns: &[Column]) -> Result<Vec<Figure>> {
    let nodes = columns.first().map_or(0, |column| column.len());
    let mut expected = None;
    let mut repeats = Vec::new();
    for peer in peers.iter_mut() {
        let answer = peer.score(columns)?;
        let expected = expected.get_or_insert_with(|| answer.clone());
        ensure!(answer == *expected, "{} does not answer what plain Rust answers", peer.name());
        // Warm by now: once more for the number of repetitions in a turn.
        let took = turn(peer.as_mut(), columns, 1)?;
        repeats.push((TURN.as_secs_f64() / took.max(1e-9)).ceil().clamp(1.0, 1e7) as u32);
    }
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut times = Vec::new();
        for (peer, repeats) in peers.iter_mut().zip(&repeats) {
            times.push(turn(peer.as_mut(), columns, *repeats)? * 1e9 / nodes as f64);
        }
        rounds.push(times);
    }
    let of = |place: usize, value: &dyn Fn(&[f64], f64) -> f64| {
        median(
            rounds
                .iter()
                .filter_map(|times| times.get(place).map(|time| value(times, *time)))
                .collect(),
        )
    };
    let figure = |(place, peer): (usize, &Box<dyn Peer>)| Figure {
        name: peer.name(),
        node_ns: of(place, &|_, time| time),
        ratio: of(place, &|times, time| time / times.first().copied().unwrap_or(f64::NAN)),
    };
    Ok(peers.iter().enumerate().map(figure).collect())
}

/// Seconds of one call, on average over a turn.
fn turn(peer: &mut dyn Peer, columns: &[Column], repeats: u32) -> Result<f64> {
    let began = Instant::now();
    for _ in 0..repeats {
        black_box(peer.score(black_box(columns))?);
    }
    Ok(began.elapsed().as_secs_f64() / f64::from(repeats))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
