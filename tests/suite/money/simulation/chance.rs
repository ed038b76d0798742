/// Numbers that look like chance and follow from a seed (xorshift64*; Vigna, "An experimental
/// exploration of Marsaglia's xorshift generators, scrambled").
#[derive(Debug, Default)]
pub struct Chance {
    state: u64,
    /// Things that went wrong so far.
    pub accidents: u32,
    accidents_max: u32,
}

impl Chance {
    pub fn new(seed: u64, accidents_max: u32) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, accidents: 0, accidents_max }
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    /// Milliseconds from nothing to nearly so many.
    pub fn ms(&mut self, limit: i64) -> i64 {
        i64::try_from(self.below(limit.unsigned_abs())).unwrap()
    }

    /// Whether something goes wrong that does so one time in `times`. Never any more once enough
    /// has.
    pub fn accident(&mut self, times: u64) -> bool {
        let happens = self.below(times) == 0 && !self.is_calm();
        self.accidents += u32::from(happens);
        happens
    }

    /// Nothing goes wrong any more.
    pub fn is_calm(&self) -> bool {
        self.accidents >= self.accidents_max
    }

    /// From now on nothing goes wrong.
    pub fn calm_down(&mut self) {
        self.accidents_max = self.accidents;
    }
}
