//! Policies for their authors: loaded to be looked at and tried, never in force.

use lucid_model::{
    epochs::facts::{
        Fact, OBSERVATION_FACTS, REGISTRATION_FACTS, REGISTRATION_TEXTS, SCORE_CLAIM_FACTS,
    },
    policies::{Bundle, FactRead, PolicyProfile},
};

use crate::{
    PolicyEngine,
    bench::{self, Figure},
    case::{Case, at_word},
    description::Reads,
    golden::{self, Answer},
    load::Checks,
    loaded::LoadedPolicy,
    manifest::Manifest,
    program::imports,
};

/// What a component shows to the outside, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surface {
    /// What it needs.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
}

impl PolicyEngine {
    /// A bundle that can be called on this thread.
    ///
    /// # Errors
    /// The first of the gate's checks that fails up to there.
    pub fn try_out(&self, bundle: &Bundle) -> Result<LoadedPolicy, String> {
        let mut checks = Checks::default();
        let manifest = self.programs.manifest(bundle, &mut checks);
        let policy =
            manifest.and_then(|manifest| self.programs.load(bundle, manifest, &mut checks));
        policy.ok_or_else(|| checks.failure())
    }

    /// A bundle's manifest.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn manifest(&self, bundle: &Bundle) -> Result<Manifest, String> {
        Manifest::parse(&bundle.manifest, &self.programs.host.config)
            .map_err(|error| error.to_string())
    }

    /// What a component imports and exports, also if no policy may.
    ///
    /// # Errors
    /// Why it is no component.
    pub fn surface(&self, bundle: &Bundle) -> Result<Surface, String> {
        let engine = &self.programs.host.engine;
        let component = crate::compiled::compile(engine, &bundle.component)?;
        let exports =
            component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
        Ok(Surface { imports: imports(engine, &component), exports })
    }
}

impl LoadedPolicy {
    /// Runs one golden case.
    ///
    /// # Errors
    /// What is wrong with it, or how the answer differs, with the place.
    pub fn golden(&self, name: &str, text: &str) -> Result<Answer, String> {
        golden::run(self, name, text)
    }

    /// A golden case with what this policy answers in the place of what was expected.
    ///
    /// # Errors
    /// What is wrong with the case.
    pub fn golden_updated(&self, name: &str, text: &str) -> Result<String, String> {
        let file = format!("golden/{name}");
        let case = Case::parse(&file, text)?;
        let answer = golden::answer(self, &case)
            .map_err(|(word, what)| at_word(&file, text, &word, what))?;
        // What holds stays as its author wrote it.
        match &case.expect {
            Some((expected, _)) if golden::differences(expected, &answer.value).is_empty() => {
                Ok(text.to_owned())
            }
            _ => golden::updated(name, text, &answer.value),
        }
    }

    /// What it answers to an input.
    ///
    /// # Errors
    /// What is wrong with the input or the policy: a word that stands at the place, and the
    /// problem.
    pub fn answer(&self, case: &Case) -> Result<Answer, (String, String)> {
        golden::answer(self, case)
    }

    /// What its calls cost with these numbers of rows.
    ///
    /// # Errors
    /// What went wrong in a call.
    pub fn measure(&self, rows: &[usize]) -> Result<Vec<Figure>, String> {
        bench::calls(self, rows)
    }

    /// What a fresh instance costs, in nanoseconds.
    ///
    /// # Errors
    /// Why there is none.
    pub fn instance_ns(&self) -> Result<u64, String> {
        bench::instance(self)
    }

    /// What it promises.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Everything it says of itself and needs; `bundle` is what it was loaded from.
    pub fn profile(&self, bundle: &Bundle) -> PolicyProfile {
        let (manifest, limits) = (&self.manifest, &self.manifest.limits);
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        PolicyProfile {
            policy: manifest.policy.clone(),
            kind: manifest.kind,
            abi: manifest.abi.clone(),
            author: manifest.author.clone(),
            description: manifest.description.clone(),
            compiler: manifest.compiler.clone(),
            component_bytes: count(bundle.component.len()),
            imports: self.program.imports.clone(),
            memory_bytes_max: count(limits.memory_bytes_max),
            fuel_base: limits.fuel_base,
            fuel_per_node: limits.fuel_per_node,
            facts: self.facts_read(),
            params: self.specs().to_vec(),
        }
    }

    /// The facts it reads.
    pub fn facts_read(&self) -> Vec<FactRead> {
        let node = |fact: &Fact| {
            let info = fact.info();
            FactRead {
                of: "node",
                name: info.name,
                unit: Some(info.unit),
                default: Some(info.default),
            }
        };
        match &*self.reads {
            Reads::Nodes(facts) => facts.iter().map(node).collect(),
            Reads::Claims { registration, texts, observation, score_claim } => {
                let tables = [
                    ("registration", registration, REGISTRATION_FACTS.as_slice()),
                    ("observation", observation, OBSERVATION_FACTS.as_slice()),
                    ("score claim", score_claim, SCORE_CLAIM_FACTS.as_slice()),
                ];
                let mut facts = Vec::new();
                for (of, places, catalogue) in tables {
                    let named = places.iter().filter_map(|place| catalogue.get(*place));
                    facts.extend(named.map(|fact| FactRead {
                        of,
                        name: fact.name,
                        unit: None,
                        default: Some(fact.default),
                    }));
                }
                let named = texts.iter().filter_map(|place| REGISTRATION_TEXTS.get(*place));
                facts.extend(named.map(|name| FactRead {
                    of: "registration",
                    name,
                    unit: None,
                    default: None,
                }));
                facts
            }
        }
    }
}
