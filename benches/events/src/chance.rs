//! Numbers that look like chance and are the same in every run: each row has a stream of its own, made of its number.

/// A stream of numbers (splitmix64).
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of that number.
    pub fn of(number: u64) -> Self {
        Self(mix(number))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// One below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// From 0 to 1, without 1.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True for one in so many.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// About the normal distribution: most within ±1, none beyond ±3.5.
    pub fn normal(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.fraction()).sum();
        (sum - 2.0) * 1.732
    }
}

/// Spreads a number over all bits.
pub fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Places 0 to `count` - 1, of which place k comes about 1 / (k + 1)^exponent as often as the first.
#[derive(Debug)]
pub struct Zipf(Vec<f64>);

impl Zipf {
    pub fn new(count: usize, exponent: f64) -> Self {
        let mut sums = Vec::with_capacity(count);
        let mut sum = 0.0;
        for place in 0..count {
            sum += ((place + 1) as f64).powf(-exponent);
            sums.push(sum);
        }
        Self(sums)
    }

    /// One of the places.
    pub fn draw(&self, chance: &mut Chance) -> usize {
        let wanted = chance.fraction() * self.0.last().copied().unwrap_or(0.0);
        self.0.partition_point(|&sum| sum <= wanted).min(self.0.len() - 1)
    }
}
