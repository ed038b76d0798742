//! The one encoding of everything that is hashed or signed: fixed-width little-endian integers,
//! texts and bytes behind a `u32` length. Neither JSON nor the text of a float is ever hashed.

/// Builds canonical bytes.
#[derive(Debug, Clone, Default)]
pub struct Canonical(Vec<u8>);

impl Canonical {
    /// Starts with a domain tag and a zero byte, so that bytes of one purpose never pass for
    /// another's.
    pub fn tagged(tag: &str) -> Self {
        let mut bytes = tag.as_bytes().to_vec();
        bytes.push(0);
        Self(bytes)
    }
    /// Appends bytes as they are; for fields of a fixed length.
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// Appends a length and the bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        // No field comes near 4 GiB: every input has a limit far below.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }
    /// Appends a text as UTF-8 behind its length.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }
    /// Appends one byte.
    #[must_use]
    pub fn u8(self, value: u8) -> Self {
        self.fixed(&[value])
    }
    /// Appends four bytes.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.fixed(&value.to_le_bytes())
    }
    /// Appends eight bytes.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.fixed(&value.to_le_bytes())
    }
    /// Appends eight bytes, two's complement.
    #[must_use]
    pub fn i64(self, value: i64) -> Self {
        self.fixed(&value.to_le_bytes())
    }
    /// Appends a zero byte, or a one and what `write` appends.
    #[must_use]
    pub fn maybe<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => write(self.u8(1), value),
            None => self.u8(0),
        }
    }
    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads canonical bytes back; every method answers `None` at a truncation.
#[derive(Debug, Clone, Copy)]
pub struct CanonicalReader<'a>(pub &'a [u8]);

impl<'a> CanonicalReader<'a> {
    /// The next `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    /// A length and so many bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
    /// A length and a UTF-8 text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
    /// Four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        self.fixed().map(u32::from_le_bytes)
    }
    /// Eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        self.fixed().map(u64::from_le_bytes)
    }
    /// Eight bytes, two's complement.
    pub fn i64(&mut self) -> Option<i64> {
        self.fixed().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_what_the_committed_vector_says() {
        let bytes = Canonical::tagged("lucid/v1/test")
            .u8(7)
            .u32(1)
            .i64(-2)
            .text("ü")
            .fixed(&[9, 9])
            .finish();
        assert_eq!(
            hex::encode(&bytes),
            "6c756369642f76312f746573740007 01000000 feffffffffffffff 02000000c3bc 0909"
                .replace(' ', "")
        );
        let mut reader = CanonicalReader(bytes.get(15..).unwrap());
        assert_eq!(
            (reader.u32(), reader.i64(), reader.text(), reader.fixed::<2>(), reader.u32()),
            (Some(1), Some(-2), Some("ü"), Some([9, 9]), None)
        );
    }
}
