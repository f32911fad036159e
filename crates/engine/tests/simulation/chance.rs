//! Chance from a seed: the same seed is the same run.

use std::sync::Mutex;

use severance_engine::ports::Entropy;

pub struct Chance(Mutex<u64>);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d))
    }

    /// The next 64 bits (`SplitMix64`).
    pub fn bits(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub fn below(&self, n: u64) -> u64 {
        self.bits() % n.max(1)
    }

    /// Whether something of so many in ten thousand happens.
    pub fn happens(&self, in_ten_thousand: u64) -> bool {
        self.below(10_000) < in_ten_thousand
    }

    /// Between two bounds, the upper one included.
    pub fn between(&self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(u64::try_from(high - low + 1).unwrap())).unwrap()
    }
}

impl Entropy for Chance {
    fn next_u64(&self) -> u64 {
        self.bits()
    }
}
