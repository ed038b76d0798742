//! What a name that nobody knows was meant to be.

/// Distance in letters that is still a slip: one in three of the longer name.
const LETTERS_PER_SLIP: usize = 3;

/// The known name that a given one is a slip of: letters missing, doubled or swapped, another
/// letter case or other separators (`nodeId`), or the name's first or last words alone (`pool` for
/// `pool_id`, `sort_by` for `sort`).
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let words = words(given);
    let distances =
        known.into_iter().filter_map(|name| Some((distance(&words, &self::words(name))?, name)));
    distances.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How far apart two names are; none if neither was meant to be the other.
fn distance(given: &[String], known: &[String]) -> Option<usize> {
    let (one, other) = (given.concat(), known.concat());
    if one.is_empty() {
        return None;
    }
    let letters = strsim::osa_distance(&one, &other);
    let longest = one.chars().count().max(other.chars().count());
    let (short, long) = if given.len() < known.len() { (given, known) } else { (known, given) };
    let part = short.len() < long.len() && (long.starts_with(short) || long.ends_with(short));
    (letters <= longest / LETTERS_PER_SLIP || part).then_some(letters)
}

/// The words of a name, in lower case, without what stands between them.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for letter in name.chars() {
        let begins = lower && letter.is_uppercase();
        lower = letter.is_lowercase();
        if begins || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_word() {
        let known =
            ["page", "limit", "sort", "order", "status", "pool_id", "node_id", "time_range"];
        for (given, meant) in [
            ("statuss", "status"),
            ("state", "status"),
            ("Status", "status"),
            ("stauts", "status"),
            ("poolId", "pool_id"),
            ("pool-id", "pool_id"),
            ("pool", "pool_id"),
            ("nodeID", "node_id"),
            ("pages", "page"),
            ("sort_by", "sort"),
            ("orderBy", "order"),
            ("range", "time_range"),
            ("limt", "limit"),
        ] {
            assert_eq!(nearest(given, known), Some(meant), "{given}");
        }
        for given in
            ["", "_", "q", "t", "trace", "user", "cache_buster", "offset", "utm_source", "ümlaut"]
        {
            assert_eq!(nearest(given, known), None, "{given}");
        }
        assert_eq!(nearest("status", []), None);
    }
}
