//! What a token says, beside whether it counts.

use lucid_model::time::TimeMs;
use serde_json::Value;

use super::{Claims, TokenError};

/// Claims that are texts.
const TEXTS: [&str; 5] = ["iss", "sub", "user_id", "type", "role"];

/// Refuses claims of the wrong type: the library takes one that it cannot read for one that is not
/// there.
pub fn check(claims: &Claims) -> Result<(), TokenError> {
    let there = |name: &str| claims.get(name).filter(|value| !value.is_null());
    for name in TEXTS {
        // `role` may be several, as `roles` may be one.
        if there(name).is_some_and(|value| !value.is_string() && name != "role") {
            return Err(wrong(name, "a string"));
        }
    }
    let is_audience = |value: &Value| {
        value.is_string() || value.as_array().is_some_and(|all| all.iter().all(Value::is_string))
    };
    if there("aud").is_some_and(|value| !is_audience(value)) {
        return Err(wrong("aud", "a string or a list of strings"));
    }
    Ok(())
}

fn wrong(name: &str, form: &str) -> TokenError {
    TokenError::Invalid { why: format!("its claim {name} is not {form}") }
}

/// A claim that is a text.
pub fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// When the token ends.
pub fn expiry(claims: &Claims) -> Option<TimeMs> {
    let end = claims.get("exp")?;
    let seconds = end.as_i64().or_else(|| format!("{:.0}", end.as_f64()?).parse().ok())?;
    Some(TimeMs(seconds.saturating_mul(1_000)))
}

/// The claim that names a caller's roles: `roles` and `role`, or one that the configuration names,
/// by its name or by a path such as `realm_access.roles`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolesClaim(Option<String>);

impl RolesClaim {
    /// By its path; an empty one is the default.
    pub fn at(path: &str) -> Self {
        Self(Some(path.to_owned()).filter(|path| !path.is_empty()))
    }

    /// The role words of a token: one claim is a list of them, or a text with spaces between them.
    pub(super) fn words<'a>(&self, claims: &'a Claims) -> Result<Vec<&'a str>, TokenError> {
        let mut all = Vec::new();
        match &self.0 {
            Some(path) => all.extend(words(path, at_path(claims, path))?),
            None => {
                for name in ["roles", "role"] {
                    all.extend(words(name, claims.get(name))?);
                }
            }
        }
        Ok(all)
    }

    /// Puts a role where this claim is.
    pub(super) fn put(&self, role: &str, claims: &mut Claims) {
        let Some(path) = &self.0 else {
            claims.insert("role".into(), role.into());
            return;
        };
        let mut names = path.split('.').rev();
        let (Some(last), mut value) = (names.next(), Value::from(vec![role])) else { return };
        let mut name = last;
        for outer in names {
            value = serde_json::json!({ name: value });
            name = outer;
        }
        claims.insert(name.to_owned(), value);
    }
}

/// A claim whose name may have dots in it, or one inside others.
fn at_path<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        let mut names = path.split('.');
        let first = claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    })
}

fn words<'a>(name: &str, claim: Option<&'a Value>) -> Result<Vec<&'a str>, TokenError> {
    match claim {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split_whitespace().collect()),
        Some(Value::Array(all)) => {
            let words: Option<Vec<_>> = all.iter().map(Value::as_str).collect();
            words.ok_or_else(|| wrong(name, "a list of strings"))
        }
        Some(_) => Err(wrong(name, "a string or a list of strings")),
    }
}
