//! `policy.sig`: who stands for a bundle.
//!
//! ```toml
//! [[signature]]
//! key = "fe812c12f3ab4ce6"    # the first 8 bytes of the SHA-256 of the public key
//! signature = "…"             # Ed25519, 64 bytes in hex
//! ```

use lucid_model::policies::{BundleSignature, SIGNATURES_MAX};

use crate::{
    problem::{Problem, shown},
    table::{Problems, Table, parse},
};

/// The file in a bundle.
pub const SIGNATURES_FILE: &str = "policy.sig";
/// Largest `policy.sig`.
pub const SIGNATURES_BYTES_MAX: usize = 16 * 1024;

/// Reads `policy.sig`.
///
/// # Errors
/// What is wrong, with its place.
pub fn read(text: &str) -> Result<Vec<BundleSignature>, String> {
    let problems = Problems::default();
    let root = parse(text, &problems);
    let mut signatures = Vec::new();
    for table in
        Table::root(&root, &["signature"], &problems).tables("signature", &["key", "signature"])
    {
        let key = table.parsed("key", "key = \"fe812c12f3ab4ce6\"", |text| {
            text.parse().map_err(|error| format!("{error}"))
        });
        let signature = table.parsed("signature", "signature = \"(128 hex digits)\"", |text| {
            let mut bytes = [0; 64];
            hex::decode_to_slice(text, &mut bytes)
                .map(|()| bytes)
                .map_err(|_| "expected 128 hex digits".to_owned())
        });
        if let (Some(key), Some(signature)) = (key, signature) {
            if signatures.iter().any(|known: &BundleSignature| known.key == key.value) {
                problems.add(Problem::at(
                    key.span,
                    format!("key {} has more than one signature", key.value),
                    "remove all but one",
                ));
            }
            signatures.push(BundleSignature { key: key.value, signature: signature.value });
        }
    }
    if signatures.len() > SIGNATURES_MAX {
        problems.add(Problem::of_all(
            format!("{} signatures, more than {SIGNATURES_MAX}", signatures.len()),
            "",
        ));
    }
    let problems = problems.into_inner();
    signatures.sort_unstable();
    if problems.is_empty() { Ok(signatures) } else { Err(shown(SIGNATURES_FILE, text, problems)) }
}

/// The text of `policy.sig`.
pub fn write(signatures: &[BundleSignature]) -> String {
    let mut text =
        "# Signatures over policy.toml, policy.wasm and golden/. Made by `lucid policy sign`.\n"
            .to_owned();
    for BundleSignature { key, signature } in signatures {
        text.push_str(&format!(
            "\n[[signature]]\nkey = \"{key}\"\nsignature = \"{}\"\n",
            hex::encode(signature)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use lucid_model::policies::KeyId;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let signatures = vec![
            BundleSignature { key: KeyId([1; 8]), signature: [2; 64] },
            BundleSignature { key: KeyId([3; 8]), signature: [4; 64] },
        ];
        assert_eq!(read(&write(&signatures)), Ok(signatures));
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_is() {
        insta::assert_snapshot!(read("[[signature]]\nkey = \"fe81\"\nsignatur = 3\n").unwrap_err());
    }
}
