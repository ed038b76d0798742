//! What a client is told of its rate limit: the `RateLimit-Policy` and `RateLimit` fields of
//! draft-ietf-httpapi-ratelimit-headers, and `Retry-After`.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use lucid_ports::{Admission, Allowance, LimitClass};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// Writes what is known of a class into an answer's headers.
pub fn tell(headers: &mut HeaderMap, class: LimitClass, admission: Admission) {
    let (allowance, refused) = match admission {
        Admission::Unlimited => return,
        Admission::Admitted(allowance) => (allowance, false),
        Admission::Refused(allowance) => (allowance, true),
    };
    let Allowance { quota, window, remaining, reset } = allowance;
    let (name, reset_s) = (class.name(), whole_seconds(reset));
    set(headers, POLICY, &format!("\"{name}\";q={quota};w={}", whole_seconds(window)));
    set(headers, LEFT, &format!("\"{name}\";r={remaining};t={reset_s}"));
    if refused {
        set(headers, header::RETRY_AFTER, &reset_s.max(1).to_string());
    }
}

/// Rounded up: who comes back after that is not too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(admission: Admission) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        tell(&mut headers, LimitClass::Payouts, admission);
        let mut told: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        told.sort();
        told
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn seconds_are_rounded_up_and_a_refusal_says_when_to_come_again() {
        let left = Allowance {
            quota: 50,
            window: Duration::from_secs(60),
            remaining: 49,
            reset: Duration::from_millis(1_200),
        };
        assert_eq!(
            told(Admission::Admitted(left)),
            pairs(&[
                ("ratelimit", "\"payouts\";r=49;t=2"),
                ("ratelimit-policy", "\"payouts\";q=50;w=60")
            ])
        );
        let none = Allowance { remaining: 0, reset: Duration::from_millis(1), ..left };
        assert_eq!(
            told(Admission::Refused(none)),
            pairs(&[
                ("ratelimit", "\"payouts\";r=0;t=1"),
                ("ratelimit-policy", "\"payouts\";q=50;w=60"),
                ("retry-after", "1")
            ])
        );
        assert_eq!(told(Admission::Unlimited), pairs(&[]));
    }
}
