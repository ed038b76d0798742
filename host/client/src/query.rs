//! Addresses of requests: whatever a value holds, it stays the value of its parameter, or one piece
//! of its path.

/// A path with a query.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        pairs.iter().map(|(key, value)| format!("{key}={}", percent_encoded(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// A text as one piece of a path or a query.
pub fn percent_encoded(text: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_break_out_of_its_parameter_and_keeps_every_sign() {
        assert_eq!(with_query("/nodes", &[]), "/nodes");
        let pairs = [("status", "a&b=c d"), ("from", "2026-11-30T00:00:00+01:00")];
        assert_eq!(
            with_query("/nodes", &pairs),
            "/nodes?status=a%26b%3Dc%20d&from=2026-11-30T00%3A00%3A00%2B01%3A00"
        );
        assert_eq!(percent_encoded("a/b?c#d"), "a%2Fb%3Fc%23d");
    }
}
