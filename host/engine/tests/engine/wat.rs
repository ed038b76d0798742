//! Scoring policies written by hand in WebAssembly's text, for what no compiler would ever emit.

use lucid_model::{id::Digest, policies::Bundle};

/// What differs from a policy that gives everybody 1.0.
pub struct Wat {
    /// Fields of the core module.
    pub module: String,
    /// Body of `score`; its locals are named, its result is the address of the answer.
    pub score: String,
    /// Body of `explain`.
    pub explain: String,
    /// Before the core module, at the component's level.
    pub before: String,
    /// What the core module is given, `(with …)`.
    pub with: String,
    /// Pages of the first memory.
    pub pages: u32,
    /// Body of `realloc`.
    pub realloc: String,
}

impl Default for Wat {
    fn default() -> Self {
        Self {
            module: String::new(),
            score: answer(
                "(call $ones (local.get $count))",
                "(local.get $count)",
                "(i32.const 0)",
                "(i32.const 0)",
                "(i32.const 0)",
                "(i32.const 0)",
            ),
            explain: "(call $explained (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))"
                .into(),
            before: String::new(),
            with: String::new(),
            pages: 16,
            realloc: "(call $take (local.get $align) (local.get $new))".into(),
        }
    }
}

/// The address of `ok(scores)`: pointers and lengths of multipliers, reasons and the table.
pub fn answer(
    multipliers: &str,
    rows: &str,
    reasons: &str,
    reason_rows: &str,
    table: &str,
    sentences: &str,
) -> String {
    format!("(call $answer {multipliers} {rows} {reasons} {reason_rows} {table} {sentences})")
}

const PARAM: &str = r#"(record (field "name" string) (field "unit" string) (field "default" s64) (field "min" s64) (field "max" s64) (field "doc" string))"#;
const DESCRIPTION: &str =
    r#"(record (field "facts" (list string)) (field "params" (list $param)))"#;
const CONTEXT: &str = r#"(record (field "epoch" s64) (field "period-seconds" u32) (field "seed" u64) (field "params" (list s64)) (field "totals" (list s64)))"#;
const BATCH: &str = r#"(record (field "count" u32) (field "columns" (list (list s64))))"#;
const ERROR: &str = r#"(record (field "code" u32) (field "message" string))"#;
const SCORES: &str = r#"(record (field "multipliers" (list u32)) (field "reasons" (list u32)) (field "reason-table" (list string)))"#;
const EXPLANATION: &str =
    r#"(record (field "names" (list string)) (field "contributions" (list (list u32))))"#;
const TYPES: [(&str, &str); 7] = [
    ("param", PARAM),
    ("description", DESCRIPTION),
    ("context", CONTEXT),
    ("batch", BATCH),
    ("policy-error", ERROR),
    ("scores", SCORES),
    ("explanation", EXPLANATION),
];

/// Signatures of the interface's functions, with the types' names as they are within `prefix`.
fn signatures(prefix: &str) -> [(&'static str, String); 3] {
    let call = |result: &str| {
        format!(
            r#"(param "ctx" ${prefix}context) (param "nodes" ${prefix}batch) (result (result ${prefix}{result} (error ${prefix}policy-error)))"#
        )
    };
    [
        ("describe", format!("(result ${prefix}description)")),
        ("score", call("scores")),
        ("explain", call("explanation")),
    ]
}

impl Wat {
    /// The component's text.
    pub fn text(&self) -> String {
        let Self { module, score, explain, before, with, pages, realloc } = self;
        let types: String =
            TYPES.iter().map(|(name, body)| format!("(type ${name} {body})\n")).collect();
        let lifted: String = signatures("").iter().map(|(name, signature)| format!(
            "(func ${name} {signature} (canon lift (core func $i \"{name}\") (memory (core memory $i \"memory\")) (realloc (core func $i \"realloc\")) string-encoding=utf8))\n"
        )).collect();
        // An exported function may only name types that are exported beside it, which takes a
        // component of its own. Within it, what one type says of another is said once of the
        // imported ones and once of the exported ones.
        let saying = |prefix: &str, body: &str| {
            TYPES.iter().fold(body.to_owned(), |body, (other, _)| {
                body.replace(&format!("${other})"), &format!("${prefix}{other})"))
            })
        };
        let inner: String = TYPES
            .iter()
            .map(|(name, body)| format!("(type $own-{name} {})\n(import \"type-{name}\" (type $in-{name} (eq $own-{name})))\n", saying("in-", body)))
            .collect();
        let given: String = signatures("in-")
            .iter()
            .map(|(name, signature)| {
                format!("(import \"in-{name}\" (func $in-{name} {signature}))\n")
            })
            .collect();
        let shown: String = TYPES
            .iter()
            .map(|(name, body)| {
                format!(
                    "(type $new-{name} {})\n(export $out-{name} \"{name}\" (type $new-{name}))\n",
                    saying("out-", body)
                )
            })
            .collect();
        let offered: String = signatures("out-")
            .iter()
            .map(|(name, signature)| {
                format!("(export \"{name}\" (func $in-{name}) (func {signature}))\n")
            })
            .collect();
        let with_types: String = TYPES
            .iter()
            .map(|(name, _)| format!("(with \"type-{name}\" (type ${name}))"))
            .collect();
        let with_functions: String = ["describe", "score", "explain"]
            .map(|name| format!("(with \"in-{name}\" (func ${name}))"))
            .concat();
        format!(
            r#"(component
{before}
(core module $m
  {module}
  (memory (export "memory") {pages})
  (global $top (mut i32) (i32.const 4096))
  (func $take (param $align i32) (param $size i32) (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1))) (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func (export "realloc") (param $old i32) (param $had i32) (param $align i32) (param $new i32) (result i32) {realloc})
  (data (i32.const 1024) "observed-s")
  (func (export "describe") (result i32)
    (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const 10))
    (i32.store (i32.const 32) (i32.const 16)) (i32.store (i32.const 36) (i32.const 1))
    (i32.const 32))
  (func $filled (param $count i32) (param $value i32) (result i32) (local $at i32) (local $i i32)
    (local.set $at (call $take (i32.const 4) (i32.shl (local.get $count) (i32.const 2))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
      (i32.store (i32.add (local.get $at) (i32.shl (local.get $i) (i32.const 2))) (local.get $value))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (local.get $at))
  (func $ones (param $count i32) (result i32) (call $filled (local.get $count) (i32.const 1000000)))
  (func $answer (param $a i32) (param $b i32) (param $c i32) (param $d i32) (param $e i32) (param $f i32) (result i32)
    (i32.store8 (i32.const 64) (i32.const 0))
    (i32.store (i32.const 68) (local.get $a)) (i32.store (i32.const 72) (local.get $b))
    (i32.store (i32.const 76) (local.get $c)) (i32.store (i32.const 80) (local.get $d))
    (i32.store (i32.const 84) (local.get $e)) (i32.store (i32.const 88) (local.get $f))
    (i32.const 64))
  (func $explained (param $a i32) (param $b i32) (param $c i32) (param $d i32) (result i32)
    (i32.store8 (i32.const 128) (i32.const 0))
    (i32.store (i32.const 132) (local.get $a)) (i32.store (i32.const 136) (local.get $b))
    (i32.store (i32.const 140) (local.get $c)) (i32.store (i32.const 144) (local.get $d))
    (i32.const 128))
  ;; `$count` pairs of the same pointer and length: how a little memory becomes a long list of long lists.
  (func $aliases (param $count i32) (param $at i32) (param $length i32) (result i32) (local $list i32) (local $i i32)
    (local.set $list (call $take (i32.const 4) (i32.shl (local.get $count) (i32.const 3))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
      (i32.store (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 3))) (local.get $at))
      (i32.store offset=4 (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 3))) (local.get $length))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (local.get $list))
  (func (export "score")
    (param $epoch i64) (param $period i32) (param $seed i64) (param $params i32) (param $params-length i32)
    (param $totals i32) (param $totals-length i32) (param $count i32) (param $columns i32) (param $columns-length i32) (result i32)
    {score})
  (func (export "explain")
    (param i64 i32 i64 i32 i32 i32 i32) (param $count i32) (param i32 i32) (result i32)
    {explain}))
(core instance $i (instantiate $m {with}))
{types}{lifted}
(component $interface
{inner}{given}{shown}{offered})
(instance $scoring (instantiate $interface {with_types} {with_functions}))
(export "lucid:policy/scoring@1.0.0" (instance $scoring)))"#
        )
    }

    /// The component.
    pub fn component(&self) -> Vec<u8> {
        let text = self.text();
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The component with a manifest.
    pub fn bundle(&self, name: &str) -> Bundle {
        bundle_of(name, self.component())
    }
}

/// Any bytes as a scoring policy's bundle with the usual promises.
pub fn bundle_of(name: &str, component: Vec<u8>) -> Bundle {
    let sha256 = Digest::of(&component);
    let manifest = format!(
        r#"name = "{name}"
version = "1.0.0"
kind = "scoring"
abi = "lucid:policy/scoring@1.0.0"
sha256 = "{sha256}"
author = "test"
description = "by hand"

[build]
compiler = "wat"

[limits]
memory_bytes_max = 16777216
fuel_base = 20000000
fuel_per_node = 20000

[params]
"#
    );
    Bundle { manifest, component, golden: Vec::new(), signatures: Vec::new() }
}
