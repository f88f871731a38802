//! Choices of a seed.

use std::time::Duration;

use ostler_env::Env;

/// Where one part of a simulation draws its choices, so that what one part does more or less does
/// not change what the others draw.
#[derive(Clone)]
pub struct Dice(Env);

impl Dice {
    pub fn of(env: &Env) -> Self {
        Self(env.process(env.random_u64(), Duration::ZERO))
    }

    pub fn fork(&self) -> Self {
        Self::of(&self.0)
    }

    pub fn seed(&self) -> u64 {
        self.0.random_u64()
    }

    /// Less than `end`, which is not 0.
    pub fn below(&self, end: u64) -> u64 {
        self.0.random_u64() % end
    }

    pub fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }

    pub fn pick<T: Copy>(&self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
