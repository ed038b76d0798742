//! What must hold for any policy, tried with made-up rows.

use lucid_model::{
    epochs::facts::total_saturating,
    policies::{CallContext, PolicyVerdict},
};

use super::sample::{Call, EPOCH_S, registration};
use crate::{
    abi::Rows,
    load::{Checks, describe},
    loaded::LoadedPolicy,
    program::Fault,
};

/// Rows of the batch that most properties are tried with.
const ROWS: usize = 64;
/// Batches whose fuel is measured.
const FUEL_ROWS: [usize; 3] = [1, ROWS, 2_000];
/// How much more a manifest must promise than was measured: other rows may cost more than ours.
const FUEL_HEADROOM: u64 = 4;
const SEEDS: [u64; 3] = [1, 1 << 63, u64::MAX];
/// Periods later: a policy that turns later would do so between two calculations nobody compares.
const EPOCHS: [i64; 3] = [1, 10, 1_000];

/// Tries all properties.
pub fn check(policy: &LoadedPolicy, checks: &mut Checks) -> Option<()> {
    let calls = Call::of(policy.identity().kind);
    let mut trials = Vec::new();
    checks.step("bounded", || {
        for call in calls {
            trials.push(Trial::new(policy, *call)?);
        }
        Ok(())
    })?;
    checks.step("deterministic", || {
        if describe(&policy.program, &policy.manifest)?
            != describe(&policy.program, &policy.manifest)?
        {
            return Err("describe answers differently".to_owned());
        }
        trials.iter().try_for_each(Trial::deterministic)
    })?;
    checks.step("row-wise", || trials.iter().try_for_each(Trial::row_wise))?;
    checks.step("seeds", || trials.iter().try_for_each(Trial::other_seeds))?;
    checks.step("epochs", || trials.iter().try_for_each(Trial::other_epochs))?;
    checks.step("fuel", || calls.iter().try_for_each(|call| fuel(policy, *call)))
}

/// What a call says of one row, whichever call it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    number: u64,
    held: u32,
    cap: u64,
    reason: Option<String>,
}

struct Trial<'a> {
    policy: &'a LoadedPolicy,
    call: Call,
    context: CallContext,
    rows: Vec<Vec<i64>>,
    answer: Vec<Outcome>,
}

impl<'a> Trial<'a> {
    fn new(policy: &'a LoadedPolicy, call: Call) -> Result<Self, String> {
        let rows = call.rows(policy, ROWS);
        let context = context(policy, call, &rows);
        let answer = ask(policy, call, &context, &rows).map_err(|fault| at(call, &fault))?.0;
        Ok(Self { policy, call, context, rows, answer })
    }

    fn ask(&self, context: &CallContext, rows: &[Vec<i64>]) -> Result<Vec<Outcome>, String> {
        ask(self.policy, self.call, context, rows)
            .map(|(answer, _)| answer)
            .map_err(|fault| at(self.call, &fault))
    }

    fn same(&self, answer: &[Outcome], how: &str) -> Result<(), String> {
        let differs =
            answer.iter().zip(&self.answer).position(|(found, expected)| found != expected);
        match differs {
            None if answer.len() == self.answer.len() => Ok(()),
            place => Err(format!(
                "{}: {how} changed the result of row {}",
                self.call.name(),
                place.unwrap_or(answer.len())
            )),
        }
    }

    fn deterministic(&self) -> Result<(), String> {
        self.same(&self.ask(&self.context, &self.rows)?, "asking again")
    }

    /// Totals stay those of the pool, as they do when the host cuts a pool into chunks.
    fn row_wise(&self) -> Result<(), String> {
        let backwards: Vec<_> = self.rows.iter().rev().cloned().collect();
        let mut answer = self.ask(&self.context, &backwards)?;
        answer.reverse();
        self.same(&answer, "another order")?;
        // An odd stride through an even number of rows visits each once.
        let shuffle = |row: usize| row.wrapping_mul(27).wrapping_add(5) % ROWS;
        let shuffled: Vec<_> =
            (0..ROWS).filter_map(|row| self.rows.get(shuffle(row)).cloned()).collect();
        let mut unshuffled: Vec<_> = self
            .ask(&self.context, &shuffled)?
            .into_iter()
            .enumerate()
            .map(|(row, outcome)| (shuffle(row), outcome))
            .collect();
        unshuffled.sort_by_key(|(row, _)| *row);
        self.same(
            &unshuffled.into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>(),
            "another order",
        )?;
        for size in [1, 7, ROWS / 2] {
            let mut answer = Vec::with_capacity(ROWS);
            for chunk in self.rows.chunks(size) {
                answer.append(&mut self.ask(&self.context, chunk)?);
            }
            self.same(&answer, &format!("cutting the batch into chunks of {size}"))?;
        }
        Ok(())
    }

    /// A seed may change results, but not from one call to the next.
    fn other_seeds(&self) -> Result<(), String> {
        for seed in SEEDS {
            let context = CallContext { seed, ..self.context.clone() };
            if self.ask(&context, &self.rows)? != self.ask(&context, &self.rows)? {
                return Err(format!(
                    "{}: asking again with seed {seed} changed the result",
                    self.call.name()
                ));
            }
        }
        Ok(())
    }

    fn other_epochs(&self) -> Result<(), String> {
        for later in EPOCHS {
            let shift_s = later.saturating_mul(i64::from(self.context.period_s));
            let context = CallContext {
                epoch_start_s: self.context.epoch_start_s.saturating_add(shift_s),
                ..self.context.clone()
            };
            self.same(
                &self.ask(&context, &self.rows)?,
                &format!("being asked {later} periods later"),
            )?;
        }
        Ok(())
    }
}

/// The context of a call with made-up rows.
pub fn context(policy: &LoadedPolicy, call: Call, rows: &[Vec<i64>]) -> CallContext {
    // Validation has no totals, and no facts by which to sum them.
    let totals = (0..policy.identity().facts.len())
        .map(|column| total_saturating(&of_column(rows, column)))
        .collect();
    CallContext { epoch_start_s: EPOCH_S, period_s: call.period_s(), seed: 0, totals }
}

fn of_column(rows: &[Vec<i64>], column: usize) -> Vec<i64> {
    rows.iter().filter_map(|row| row.get(column).copied()).collect()
}

impl Call {
    /// Asks with rows in the order the call takes them; answers and the fuel they took.
    pub fn ask(
        self,
        policy: &LoadedPolicy,
        context: &CallContext,
        rows: &[Vec<i64>],
    ) -> Result<(Vec<Outcome>, u64), Fault> {
        ask(policy, self, context, rows)
    }
}

fn ask(
    policy: &LoadedPolicy,
    call: Call,
    context: &CallContext,
    rows: &[Vec<i64>],
) -> Result<(Vec<Outcome>, u64), Fault> {
    let columns: Vec<Vec<i64>> =
        (0..policy.identity().facts.len()).map(|column| of_column(rows, column)).collect();
    let columns: Vec<&[i64]> = columns.iter().map(Vec::as_slice).collect();
    let batch = Rows { count: u32::try_from(rows.len()).unwrap_or(u32::MAX), columns: &columns };
    let (answer, fuel) = match call {
        Call::Score => {
            let spent = policy.score_rows(context, batch);
            let found = spent.result?;
            let outcome = |(multiplier, reason): (lucid_model::epochs::score::Ppm, _)| Outcome {
                number: multiplier.0.into(),
                held: 0,
                cap: 0,
                reason,
            };
            (found.multipliers.into_iter().zip(found.reasons).map(outcome).collect(), spent.fuel)
        }
        Call::Weigh => {
            let spent = policy.weigh_rows(context, batch);
            let found = spent.result?;
            let parts =
                found.weights.into_iter().zip(found.held).zip(found.caps).zip(found.reasons);
            (
                parts
                    .map(|(((number, held), cap), reason)| Outcome {
                        number,
                        held: held.0,
                        cap,
                        reason,
                    })
                    .collect(),
                spent.fuel,
            )
        }
        Call::Registration => {
            let (mut answer, mut fuel) = (Vec::with_capacity(rows.len()), 0_u64);
            for row in rows {
                let spent = policy.registration(context, &registration(row));
                answer.push(verdict(spent.result?));
                fuel = fuel.saturating_add(spent.fuel);
            }
            (answer, fuel)
        }
        Call::Observations => {
            let spent = policy.observations(context, rows);
            (spent.result?.into_iter().map(verdict).collect(), spent.fuel)
        }
        Call::ScoreClaims => {
            let spent = policy.score_claims(context, rows);
            (spent.result?.into_iter().map(verdict).collect(), spent.fuel)
        }
    };
    Ok((answer, fuel))
}

fn verdict(verdict: PolicyVerdict) -> Outcome {
    Outcome { number: u64::from(verdict.is_ok()), held: 0, cap: 0, reason: verdict.err() }
}

fn fuel(policy: &LoadedPolicy, call: Call) -> Result<(), String> {
    let limits = policy.manifest.limits;
    for count in FUEL_ROWS {
        let rows = call.rows(policy, count);
        let used = ask(policy, call, &context(policy, call, &rows), &rows)
            .map_err(|fault| at(call, &fault))?
            .1;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let promised = if call == Call::Registration {
            limits.fuel(1).saturating_mul(count.into())
        } else {
            limits.fuel(count)
        };
        if used.saturating_mul(FUEL_HEADROOM) > promised {
            let name = call.name();
            return Err(format!(
                "{name}: {count} rows used {used} of the promised {promised}; the promise must be at least {FUEL_HEADROOM} times that"
            ));
        }
    }
    Ok(())
}

fn at(call: Call, fault: &Fault) -> String {
    format!("{}: {fault}", call.name())
}
