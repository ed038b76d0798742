//! `wit/next`: a trial of a second major version, in tests only.
//!
//! It is here to show what a new version takes: this file, which converts straight to what the
//! model knows, and its line in each table of `abi.rs`. Nothing of version 1 is touched.

use lucid_model::{
    epochs::score::Ppm,
    policies::{PolicyKind, Scores},
};
use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, Instance},
};

use super::{Abi, Circumstances, Description, FactNames, Failure, Rows};
use crate::{answer, guest::GuestState};

/// Code of an error that has only a sentence.
const ERROR: u32 = 0;
/// Thousandths to millionths.
const PPM_PER_MILLE: u32 = 1_000;

type Score<'a> = (i64, u32, &'a [&'a [i64]]);
type Scored = (Result<Vec<u16>, String>,);

/// Where a component's functions are.
pub struct Functions {
    facts: ComponentExportIndex,
    score: ComponentExportIndex,
}

/// One instance, about to be called.
pub struct Guest<'a> {
    /// Of which functions.
    pub functions: &'a Functions,
    /// Its store.
    pub store: &'a mut Store<GuestState>,
    pub instance: &'a Instance,
}

impl Functions {
    /// Finds them.
    ///
    /// # Errors
    /// What the component does not export.
    pub fn find(component: &Component, kind: PolicyKind) -> Result<Self, String> {
        let interface = Abi::Next.interface(kind);
        let instance = component
            .get_export_index(None, interface)
            .ok_or_else(|| format!("the component does not export {interface}"))?;
        let function = |name: &str| {
            component
                .get_export_index(Some(&instance), name)
                .ok_or_else(|| format!("{interface} has no function {name}"))
        };
        Ok(Self { facts: function("facts")?, score: function("score")? })
    }
}

impl Guest<'_> {
    /// Asks what the policy reads.
    pub fn describe(self) -> Result<Description, Failure> {
        self.instance
            .get_typed_func::<Score<'_>, Scored>(&mut *self.store, self.functions.score)?;
        let facts = self
            .instance
            .get_typed_func::<(), (Vec<String>,)>(&mut *self.store, self.functions.facts)?;
        let (names,) = facts.call(&mut *self.store, ())?;
        Ok(Description { facts: FactNames::Nodes(names), params: Vec::new() })
    }

    /// Calls `score`.
    pub fn score(
        self,
        about: Circumstances<'_>,
        rows: Rows<'_>,
        multiplier_max: Ppm,
    ) -> Result<Scores, Failure> {
        let score = self
            .instance
            .get_typed_func::<Score<'_>, Scored>(&mut *self.store, self.functions.score)?;
        let (found,) = score
            .call(&mut *self.store, (about.context.epoch_start_s, rows.count, rows.columns))?;
        let thousandths = found.map_err(|message| Failure::Refused {
            code: ERROR,
            message: answer::kept(message, answer::ERROR_BYTES_MAX),
        })?;
        let millionths: Vec<u32> = thousandths
            .into_iter()
            .map(|thousandth| u32::from(thousandth).saturating_mul(PPM_PER_MILLE))
            .collect();
        answer::one_a_row("multipliers", millionths.len(), rows.count)?;
        answer::at_most("multiplier", &millionths, multiplier_max.0)?;
        Ok(Scores {
            multipliers: millionths.into_iter().map(Ppm).collect(),
            reasons: answer::filled(Vec::new(), rows.count),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lucid_model::{
        id::Digest,
        policies::{Bundle, CallContext, ParamValues},
    };
    use lucid_ports::PolicyRuntime as _;

    use super::*;
    use crate::{
        EngineConfig, PolicyEngine,
        load::{Checks, Programs},
        program::Host,
    };

    /// Gives each node half, whatever is said of it.
    const COMPONENT: &str = r#"(component
        (core module $m
            (memory (export "memory") 4)
            (global $top (mut i32) (i32.const 4096))
            (func $take (param $align i32) (param $size i32) (result i32)
                (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
                (global.get $top)
                (global.set $top (i32.add (global.get $top) (local.get $size))))
            (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
                (call $take (local.get $align) (local.get $size)))
            (data (i32.const 1024) "observed-s")
            (func (export "facts") (result i32)
                (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const 10))
                (i32.store (i32.const 32) (i32.const 16)) (i32.store (i32.const 36) (i32.const 1))
                (i32.const 32))
            (func (export "score") (param i64) (param $count i32) (param i32 i32) (result i32) (local $at i32) (local $i i32)
                (local.set $at (call $take (i32.const 2) (i32.shl (local.get $count) (i32.const 1))))
                (block $done (loop $next
                    (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
                    (i32.store16 (i32.add (local.get $at) (i32.shl (local.get $i) (i32.const 1))) (i32.const 500))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br $next)))
                (i32.store8 (i32.const 64) (i32.const 0))
                (i32.store (i32.const 68) (local.get $at)) (i32.store (i32.const 72) (local.get $count))
                (i32.const 64)))
        (core instance $i (instantiate $m))
        (func $facts (result (list string))
            (canon lift (core func $i "facts") (memory (core memory $i "memory")) (realloc (core func $i "realloc")) string-encoding=utf8))
        (func $score (param "epoch" s64) (param "count" u32) (param "columns" (list (list s64))) (result (result (list u16) (error string)))
            (canon lift (core func $i "score") (memory (core memory $i "memory")) (realloc (core func $i "realloc")) string-encoding=utf8))
        (instance $scoring (export "facts" (func $facts)) (export "score" (func $score)))
        (export "lucid:policy/scoring@2.0.0" (instance $scoring)))"#;

    fn next_bundle() -> Bundle {
        let component = wat::parse_str(COMPONENT).unwrap();
        let sha256 = Digest::of(&component);
        let manifest = format!(
            "name = \"half\"\nversion = \"1.0.0\"\nkind = \"scoring\"\nabi = \"lucid:policy/scoring@2.0.0\"\nsha256 = \"{sha256}\"\nauthor = \"A\"\n\
             description = \"D\"\n[build]\ncompiler = \"wat\"\n[limits]\nmemory_bytes_max = 1048576\nfuel_base = 1000000\nfuel_per_node = 1000\n"
        );
        Bundle { manifest, component, golden: Vec::new(), signatures: Vec::new() }
    }

    #[tokio::test]
    async fn a_second_version_runs_beside_the_first_and_through_the_same_gate() {
        let dir = tempfile::tempdir().unwrap();
        let config = EngineConfig::new(dir.path().join("cache"));
        let engine = PolicyEngine::new(config.clone()).unwrap();
        let report = engine.check(Arc::new(next_bundle()), ParamValues::new()).await;
        assert_eq!((report.rejection(), report.abi.as_str()), (None, "lucid:policy/scoring@2.0.0"));

        let first = crate::read_bundle(
            &std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../policies/observation-only/1.0.0"),
        )
        .unwrap();
        let programs = Programs::new(Host::new(config).unwrap());
        let [first, second] = [first, next_bundle()].map(|bundle| {
            let mut checks = Checks::default();
            let manifest = programs.manifest(&bundle, &mut checks).unwrap();
            programs.load(&bundle, manifest, &mut checks).unwrap()
        });
        let (column, context) = (
            [1_800, 3_600],
            CallContext {
                epoch_start_s: 1_760_000_400,
                period_s: 3_600,
                seed: 1,
                totals: vec![5_400],
            },
        );
        let rows = Rows { count: 2, columns: &[&column] };
        let of_second = second.score_rows(&context, rows).result.unwrap().multipliers;
        assert_eq!(of_second, vec![Ppm(500_000); 2]);
        let none = CallContext { totals: vec![0; first.identity().facts.len()], ..context };
        let columns = vec![column.as_slice(); first.identity().facts.len()];
        let of_first = first
            .score_rows(&none, Rows { count: 2, columns: &columns })
            .result
            .unwrap()
            .multipliers;
        assert_eq!(of_first, vec![Ppm(1_000_000); 2]);
    }
}
