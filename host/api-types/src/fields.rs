//! Reading a request: every value by its name, with its limits, so that a refusal says which field
//! and why.

mod seen;

use std::{cell::RefCell, fmt::Display, ops::RangeInclusive, rc::Rc, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lucid_model::{
    epochs::score::{PPM, Ppm},
    time::TimeMs,
};
use serde_json::{Map, Value};

use self::seen::{Seen, named};
use crate::json::object;

/// A value of a request that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// Its path: `configuration.resource_limits.max_cpu_usage`; `body` for the whole.
    pub field: String,
    /// What is wrong, with the limit.
    pub problem: String,
}

impl FieldError {
    /// A problem of a field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// A request body and the checked form it is read into.
pub trait Request {
    /// Longest body, if it is less than the service takes in general: what callers without a token
    /// send is short, so that nobody fills the memory with it.
    const BODY_BYTES_MAX: usize = usize::MAX;
    /// Whether fields that it does not know are ignored: where the network's contract says so, and
    /// where nodes and services of different versions meet. Everywhere else such a field is
    /// refused: who names it means something that would not happen.
    const IGNORES_UNKNOWN: bool = false;
    /// What comes out.
    type Valid;
    /// Reads and checks.
    ///
    /// # Errors
    /// [`FieldError`] for the first value that is missing, of the wrong type or outside its limits.
    fn read(fields: &Fields<'_>) -> Result<Self::Valid, FieldError>;
}

/// Reads a request's body; `null` is the same as absent.
///
/// # Errors
/// [`FieldError`]: `body` if the bytes are not a JSON object, else the first field that cannot be
/// taken, a key that is there twice, or a field that the request does not know, unless it ignores
/// such.
pub fn parse<R: Request>(body: &[u8]) -> Result<R::Valid, FieldError> {
    let map = object(body)?;
    if R::IGNORES_UNKNOWN {
        return R::read(&Fields::new("", &map));
    }
    let seen = Rc::default();
    let valid = R::read(&Fields { path: String::new(), map: &map, seen: Some(Rc::clone(&seen)) })?;
    match seen.borrow().unknown("", &map) {
        Some(name) => {
            let todo = seen
                .borrow()
                .meant_by(&name)
                .map_or("leave it out, or see /docs for its name".into(), |meant| {
                    format!("did you mean {meant}?")
                });
            Err(FieldError::new(name, format!("is unknown to this request: {todo}")))
        }
        None => Ok(valid),
    }
}

/// Reads a body that may be left out altogether: no bytes are the empty object.
///
/// # Errors
/// As [`parse`].
pub fn parse_or_empty<R: Request>(body: &[u8]) -> Result<R::Valid, FieldError> {
    if body.is_empty() { R::read(&Fields::new("", &Map::new())) } else { parse::<R>(body) }
}

/// Reads a body that has nothing to say: no bytes, or an object without fields.
///
/// # Errors
/// [`FieldError`]: `body` if it is something else, or its first field.
pub fn no_fields(body: &[u8]) -> Result<(), FieldError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    match object(body)?.keys().next() {
        Some(field) => Err(FieldError::new(field, "is unknown to this request, which has no body")),
        None => Ok(()),
    }
}

/// The fields of one object, and where it is in the body.
pub struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
    /// None: nobody asks.
    seen: Option<Rc<RefCell<Seen>>>,
}

impl<'a> Fields<'a> {
    /// The fields of `map`, which is at `path`.
    pub fn new(path: impl Into<String>, map: &'a Map<String, Value>) -> Self {
        Self { path: path.into(), map, seen: None }
    }

    /// A field's full name.
    pub fn name(&self, key: &str) -> String {
        named(&self.path, key)
    }
    /// A problem of a field of this object.
    pub fn error(&self, key: &str, problem: impl Into<String>) -> FieldError {
        FieldError::new(self.name(key), problem)
    }
    /// A value that must be there.
    ///
    /// # Errors
    /// [`FieldError`] if it is not.
    pub fn require<T>(&self, key: &str, value: Option<T>) -> Result<T, FieldError> {
        value.ok_or_else(|| self.error(key, "is required"))
    }
    /// Whether a field has a value.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        if let Some(seen) = &self.seen {
            seen.borrow_mut().read.insert(self.name(key));
        }
        self.map.get(key).filter(|v| !v.is_null())
    }

    /// A string, of any length.
    ///
    /// # Errors
    /// [`FieldError`] if it is something else.
    pub fn string(&self, key: &str) -> Result<Option<&'a str>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.error(key, "must be a string"))
    }

    /// A text for people: length in characters, not blank unless it may be empty, no control
    /// characters.
    ///
    /// # Errors
    /// [`FieldError`] if it is none.
    pub fn text(
        &self,
        key: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<String>, FieldError> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        let characters = text.chars().count();
        if !length.contains(&characters) {
            let (least, most) = (length.start(), length.end());
            return Err(self
                .error(key, format!("must have {least} to {most} characters, has {characters}")));
        }
        if *length.start() > 0 && text.trim().is_empty() {
            return Err(self.error(key, "must not be blank"));
        }
        // Line breaks are fine in longer texts only: names go into lists and log lines.
        let breaks = *length.end() > 255;
        if text.chars().any(|c| c.is_control() && !(breaks && matches!(c, '\n' | '\r' | '\t'))) {
            return Err(self.error(key, "must not contain control characters"));
        }
        Ok(Some(text.to_owned()))
    }

    /// A text for machines: neither white space nor control characters anywhere, which their
    /// readers drop or take for an end.
    ///
    /// # Errors
    /// [`FieldError`] if it is none.
    pub fn line(
        &self,
        key: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<String>, FieldError> {
        let text = self.text(key, length)?;
        if text
            .as_deref()
            .is_some_and(|text| text.chars().any(|c| c.is_control() || c.is_whitespace()))
        {
            return Err(self.error(key, "must not contain white space or control characters"));
        }
        Ok(text)
    }

    /// A string in one of the model's forms.
    ///
    /// # Errors
    /// [`FieldError`] with the form's own message.
    pub fn parsed<T: FromStr<Err: Display>>(&self, key: &str) -> Result<Option<T>, FieldError> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| self.error(key, error.to_string()))
    }

    /// An instant.
    ///
    /// # Errors
    /// [`FieldError`] if it is none.
    pub fn time(&self, key: &str) -> Result<Option<TimeMs>, FieldError> {
        self.parsed(key)
    }

    /// One of some words.
    ///
    /// # Errors
    /// [`FieldError`] listing them.
    pub fn word<T: Copy>(
        &self,
        key: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, FieldError> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        let found = all.iter().copied().find(|value| name(*value) == text);
        found.map(Some).ok_or_else(|| {
            let words: Vec<_> = all.iter().map(|value| name(*value)).collect();
            self.error(key, format!("must be one of {}", words.join(", ")))
        })
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`FieldError`] if it is something else.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.error(key, "must be true or false"))
    }

    /// A whole number; `10.0` is one.
    ///
    /// # Errors
    /// [`FieldError`] if it is none or out of range.
    pub fn integer<T: TryFrom<u64> + PartialOrd + Display>(
        &self,
        key: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let problem = || {
            self.error(
                key,
                format!("must be a whole number from {} to {}", range.start(), range.end()),
            )
        };
        let whole =
            value.as_u64().or_else(|| value.as_f64().and_then(whole_of)).ok_or_else(problem)?;
        T::try_from(whole)
            .ok()
            .filter(|number| range.contains(number))
            .map(Some)
            .ok_or_else(problem)
    }

    /// A whole number that may be negative; `10.0` is one.
    ///
    /// # Errors
    /// [`FieldError`] if it is none.
    pub fn signed(&self, key: &str) -> Result<Option<i64>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let problem =
            || self.error(key, format!("must be a whole number from {} to {}", i64::MIN, i64::MAX));
        value
            .as_i64()
            .or_else(|| value.as_f64().and_then(signed_whole_of))
            .map(Some)
            .ok_or_else(problem)
    }

    /// A number's decimal text, without an exponent.
    ///
    /// # Errors
    /// [`FieldError`] if it is no number.
    pub fn decimal(&self, key: &str) -> Result<Option<String>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        // The shortest text that reads back as the same double: the digits that were sent, up to 15
        // of them.
        let text = value.as_f64().map(|number| number.to_string());
        text.map(Some).ok_or_else(|| self.error(key, "must be a number"))
    }

    fn scaled(&self, key: &str, whole: u32) -> Result<Option<Ppm>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let problem = || self.error(key, format!("must be a number from 0 to {whole}"));
        let number =
            value.as_f64().filter(|n| (0.0..=f64::from(whole)).contains(n)).ok_or_else(problem)?;
        let ppm = (number * f64::from(PPM / whole)).round();
        whole_of(ppm).and_then(|p| u32::try_from(p).ok()).map(|p| Some(Ppm(p))).ok_or_else(problem)
    }

    /// A percentage, 0–100.
    ///
    /// # Errors
    /// [`FieldError`] if it is none.
    pub fn percent(&self, key: &str) -> Result<Option<Ppm>, FieldError> {
        self.scaled(key, 100)
    }

    /// A ratio, 0–1.
    ///
    /// # Errors
    /// [`FieldError`] if it is none.
    pub fn ratio(&self, key: &str) -> Result<Option<Ppm>, FieldError> {
        self.scaled(key, 1)
    }

    /// Base64 of some number of bytes.
    ///
    /// # Errors
    /// [`FieldError`] if it is none.
    pub fn base64(
        &self,
        key: &str,
        bytes: RangeInclusive<usize>,
    ) -> Result<Option<Vec<u8>>, FieldError> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        let decoded = STANDARD
            .decode(text)
            .map_err(|_| self.error(key, "must be base64 (standard alphabet, padded)"))?;
        if bytes.contains(&decoded.len()) {
            return Ok(Some(decoded));
        }
        let limit = if bytes.start() == bytes.end() {
            bytes.end().to_string()
        } else {
            format!("{} to {}", bytes.start(), bytes.end())
        };
        Err(self.error(key, format!("must be base64 of {limit} bytes, has {}", decoded.len())))
    }

    /// An object inside this one.
    ///
    /// # Errors
    /// [`FieldError`] if it is something else.
    pub fn object(&self, key: &str) -> Result<Option<Fields<'a>>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let map = value.as_object().ok_or_else(|| self.error(key, "must be an object"))?;
        Ok(Some(self.inner(self.name(key), map)))
    }

    /// The names and values of this object.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.map.iter().map(|(key, value)| (key.as_str(), value))
    }

    fn array(
        &self,
        key: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<&'a [Value]>, FieldError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let items = value.as_array().ok_or_else(|| self.error(key, "must be a list"))?;
        if length.contains(&items.len()) {
            return Ok(Some(items));
        }
        Err(self.error(
            key,
            format!("must have {} to {} items, has {}", length.start(), length.end(), items.len()),
        ))
    }

    /// An object in this one.
    fn inner(&self, path: String, map: &'a Map<String, Value>) -> Self {
        if let Some(seen) = &self.seen {
            seen.borrow_mut().opened.insert(path.clone());
        }
        Self { path, map, seen: self.seen.clone() }
    }

    fn item(&self, key: &str, place: usize, item: &'a Value) -> Result<Fields<'a>, FieldError> {
        let path = format!("{}[{place}]", self.name(key));
        match item.as_object() {
            Some(map) => Ok(self.inner(path, map)),
            None => Err(FieldError::new(path, "must be an object")),
        }
    }

    /// A list of texts without control characters.
    ///
    /// # Errors
    /// [`FieldError`] if it is something else, or it or one of them has the wrong length.
    pub fn texts(
        &self,
        key: &str,
        count: RangeInclusive<usize>,
        length: RangeInclusive<usize>,
    ) -> Result<Option<Vec<String>>, FieldError> {
        let Some(items) = self.array(key, count)? else { return Ok(None) };
        let problem =
            format!("must be a string of {} to {} characters", length.start(), length.end());
        let one = |(place, item): (usize, &Value)| {
            let text = item.as_str().filter(|text| {
                length.contains(&text.chars().count()) && !text.chars().any(char::is_control)
            });
            text.map(str::to_owned).ok_or_else(|| {
                FieldError::new(format!("{}[{place}]", self.name(key)), problem.clone())
            })
        };
        items.iter().enumerate().map(one).collect::<Result<_, _>>().map(Some)
    }

    /// A list whose items are right or wrong by themselves.
    ///
    /// # Errors
    /// [`FieldError`] if the list itself is missing, no list, or of the wrong length.
    pub fn items<R: Request>(
        &self,
        key: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Vec<Result<R::Valid, FieldError>>, FieldError> {
        let items = self.require(key, self.array(key, length)?)?;
        let one = |(place, item)| {
            let fields = self.item(key, place, item)?;
            R::read(&fields).inspect_err(|_| {
                // What was not looked at because something else is wrong is not unknown.
                for key in fields.map.keys() {
                    let _ = fields.get(key);
                }
            })
        };
        Ok(items.iter().enumerate().map(one).collect())
    }

    /// A list of objects inside this one.
    ///
    /// # Errors
    /// [`FieldError`] if it is something else or has the wrong length.
    pub fn list(
        &self,
        key: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<Vec<Fields<'a>>>, FieldError> {
        let Some(items) = self.array(key, length)? else { return Ok(None) };
        items
            .iter()
            .enumerate()
            .map(|(place, item)| self.item(key, place, item))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// The whole number that a double is, if it is one that doubles represent without gaps.
fn whole_of(number: f64) -> Option<u64> {
    let exact = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    // Written and read again: `as` would hide a value that does not fit.
    if exact { format!("{number:.0}").parse().ok() } else { None }
}

fn signed_whole_of(number: f64) -> Option<i64> {
    let magnitude = whole_of(number.abs()).and_then(|whole| i64::try_from(whole).ok())?;
    Some(if number.is_sign_negative() { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests;
