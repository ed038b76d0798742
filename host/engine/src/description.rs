//! What a policy says of itself, matched with what the host knows.

use std::collections::{BTreeMap, BTreeSet};

use lucid_model::{
    epochs::facts::{
        ClaimFact, Fact, OBSERVATION_FACTS, REGISTRATION_FACTS, REGISTRATION_TEXTS,
        SCORE_CLAIM_FACTS, Use,
    },
    policies::{ParamSpec, PolicyKind},
};

use crate::{
    abi::{Description, FactNames},
    manifest::is_kebab,
    problem::meant,
};

const FACTS_MAX: usize = 64;
const PARAMS_MAX: usize = 64;
const UNITS: [&str; 8] = ["s", "ms", "ppm", "centi", "micro-usdt", "bytes", "count", "centi·s"];

/// The facts a policy reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// Of nodes, in the order of columns.
    Nodes(Vec<Fact>),
    /// Of claims, as places in the catalogue's tables.
    Claims {
        /// In [`REGISTRATION_FACTS`].
        registration: Vec<usize>,
        /// In [`REGISTRATION_TEXTS`].
        texts: Vec<usize>,
        /// In [`OBSERVATION_FACTS`].
        observation: Vec<usize>,
        /// In [`SCORE_CLAIM_FACTS`].
        score_claim: Vec<usize>,
    },
}

impl Reads {
    /// Matches names with the catalogue.
    ///
    /// # Errors
    /// A name that is unknown, given twice, or not for this kind.
    pub fn of(facts: FactNames, kind: PolicyKind) -> Result<Self, String> {
        match facts {
            FactNames::Nodes(names) => {
                limited("fact", &names)?;
                names
                    .iter()
                    .map(|name| node_fact(name, kind))
                    .collect::<Result<_, _>>()
                    .map(Self::Nodes)
            }
            FactNames::Claims { registration, texts, observation, score_claim } => {
                Ok(Self::Claims {
                    registration: places(
                        "registration fact",
                        &registration,
                        &names(&REGISTRATION_FACTS),
                    )?,
                    texts: places("registration text", &texts, &REGISTRATION_TEXTS)?,
                    observation: places(
                        "observation fact",
                        &observation,
                        &names(&OBSERVATION_FACTS),
                    )?,
                    score_claim: places(
                        "score claim fact",
                        &score_claim,
                        &names(&SCORE_CLAIM_FACTS),
                    )?,
                })
            }
        }
    }
}

fn node_fact(name: &str, kind: PolicyKind) -> Result<Fact, String> {
    let known = || Fact::ALL.iter().map(|fact| fact.info().name);
    let fact = Fact::from_name(name)
        .ok_or_else(|| format!("fact {name:?} is not in the catalogue{}", meant(name, known())))?;
    match (fact.info().used_by, kind) {
        (Use::Payout, PolicyKind::Scoring) => {
            Err(format!("fact {name} is known to payout policies only"))
        }
        (Use::Scoring, PolicyKind::Payout) => {
            Err(format!("fact {name} is known to scoring policies only"))
        }
        _ => Ok(fact),
    }
}

fn names(catalogue: &[ClaimFact]) -> Vec<&'static str> {
    catalogue.iter().map(|fact| fact.name).collect()
}

fn places(what: &str, wanted: &[String], catalogue: &[&str]) -> Result<Vec<usize>, String> {
    limited(what, wanted)?;
    wanted
        .iter()
        .map(|name| {
            catalogue.iter().position(|known| known == name).ok_or_else(|| {
                format!(
                    "{what} {name:?} is not in the catalogue{}",
                    meant(name, catalogue.iter().copied())
                )
            })
        })
        .collect()
}

fn limited(what: &str, names: &[String]) -> Result<(), String> {
    if names.len() > FACTS_MAX {
        return Err(format!("it names {} {what}s, more than {FACTS_MAX}", names.len()));
    }
    let mut seen = BTreeSet::new();
    names
        .iter()
        .find(|name| !seen.insert(*name))
        .map_or(Ok(()), |name| Err(format!("{what} {name} is named twice")))
}

/// The params with the manifest's defaults in place of the component's.
///
/// # Errors
/// A param that makes no sense, or a default of the manifest that does not fit one.
pub fn params(
    description: &Description,
    defaults: &BTreeMap<String, i64>,
) -> Result<Vec<ParamSpec>, String> {
    let mut specs = description.params.clone();
    if specs.len() > PARAMS_MAX {
        return Err(format!("it names {} params, more than {PARAMS_MAX}", specs.len()));
    }
    let mut seen = BTreeSet::new();
    for spec in &specs {
        let name = &spec.name;
        if !is_kebab(name) {
            return Err(format!("param {name:?} is not kebab-case of 1 to 64 characters"));
        }
        if !seen.insert(name) {
            return Err(format!("param {name} is named twice"));
        }
        if !UNITS.contains(&spec.unit.as_str()) {
            return Err(format!(
                "param {name}: {:?} is no unit; there are {}",
                spec.unit,
                UNITS.join(", ")
            ));
        }
        if !(spec.min..=spec.max).contains(&spec.default) {
            return Err(format!(
                "param {name}: its default {} is not within {}..={}",
                spec.default, spec.min, spec.max
            ));
        }
    }
    for (name, value) in defaults {
        let Some(spec) = specs.iter_mut().find(|spec| spec.name == *name) else {
            let near = meant(name, description.params.iter().map(|spec| spec.name.as_str()));
            return Err(format!(
                "the manifest sets param {name}, which the policy does not have{near}"
            ));
        };
        if !(spec.min..=spec.max).contains(value) {
            return Err(format!(
                "the manifest sets param {name} to {value}, which is not within {}..={}",
                spec.min, spec.max
            ));
        }
        spec.default = *value;
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(names: &[&str], kind: PolicyKind) -> Result<Reads, String> {
        Reads::of(FactNames::Nodes(names.iter().map(|n| (*n).to_owned()).collect()), kind)
    }

    #[test]
    fn facts_are_those_of_the_kind() {
        assert_eq!(
            described(&["uptime-ppm", "observed-s"], PolicyKind::Scoring),
            Ok(Reads::Nodes(vec![Fact::UptimePpm, Fact::ObservedS]))
        );
        assert!(described(&["score-seconds"], PolicyKind::Payout).is_ok());
        assert!(
            described(&["score-seconds"], PolicyKind::Scoring)
                .unwrap_err()
                .contains("payout policies only")
        );
        assert!(
            described(&["luck"], PolicyKind::Scoring)
                .unwrap_err()
                .contains("\"luck\" is not in the catalogue")
        );
        assert!(
            described(&["age-s", "age-s"], PolicyKind::Scoring)
                .unwrap_err()
                .contains("named twice")
        );
    }

    #[test]
    fn params_make_sense_and_the_manifest_may_set_their_defaults() {
        let spec = |name: &str, default| ParamSpec {
            name: name.into(),
            unit: "ppm".into(),
            default,
            min: 0,
            max: 10,
            doc: String::new(),
        };
        let description = |specs: &[ParamSpec]| Description {
            facts: FactNames::Nodes(Vec::new()),
            params: specs.to_vec(),
        };
        let set = |name: &str, value| BTreeMap::from([(name.to_owned(), value)]);
        assert_eq!(params(&description(&[spec("a", 5)]), &set("a", 7)).unwrap()[0].default, 7);
        assert!(
            params(&description(&[spec("a", 11)]), &BTreeMap::new())
                .unwrap_err()
                .contains("default 11")
        );
        assert!(
            params(&description(&[spec("a", 1), spec("a", 1)]), &BTreeMap::new())
                .unwrap_err()
                .contains("named twice")
        );
        assert!(
            params(&description(&[spec("a", 1)]), &set("b", 7))
                .unwrap_err()
                .contains("does not have")
        );
        assert!(
            params(&description(&[spec("a", 1)]), &set("a", 11)).unwrap_err().contains("to 11")
        );
    }
}
