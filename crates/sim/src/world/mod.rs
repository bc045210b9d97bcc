//! Worlds to play: [`written`] by hand, one fear each, and [`random`] from a seed.

pub mod random;
pub mod written;
