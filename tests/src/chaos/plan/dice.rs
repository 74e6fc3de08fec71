//! Numbers that look random and follow from a seed (SplitMix64, Steele, Lea and Flood 2014).

/// The numbers of one cycle.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, cycle: u64) -> Self {
        // Through the mixer once, so that neighbouring cycles have nothing in common.
        let mut seeds = Self(seed);
        let mixed = seeds.next();
        Self(mixed ^ cycle.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not with, `end`; 0 for 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }
}
