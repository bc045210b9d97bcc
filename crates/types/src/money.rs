//! Money as integers: what one token costs in pico-dollars, what a call costs in nano-dollars.
//!
//! Hundreds of real prices are no whole number of nano-dollars a token, and none needs more than pico-dollars. A sum of
//! tokens times prices is taken in 128 bits and rounded half up once per attempt: [`PicoSum::round`]. Nothing here
//! overflows: what is too large stays at the largest.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// Pico-dollars in a dollar.
const PICO: u32 = 12;
/// Pico-dollars a token for a dollar a million tokens.
const PICO_PER_MILLION: u32 = 6;
const NANO_PER_DOLLAR: u64 = 1_000_000_000;
const PICO_PER_NANO: u128 = 1_000;

/// 10⁻¹² dollars: the unit of prices, of one token or of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PicoDollars(pub u64);

/// 10⁻⁹ dollars: the unit of amounts. Never negative; the largest is some 18 billion dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoDollars(pub u64);

/// What an attempt's tokens come to before it is rounded, in pico-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PicoSum(u128);

/// Why a text is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPrice {
    /// Something else than digits and one point.
    #[error("not a decimal number such as 0.075")]
    NotDecimal,
    /// A negative price.
    #[error("a price is not negative")]
    Negative,
    /// Finer than a pico-dollar.
    #[error("finer than a pico-dollar, the smallest unit of a price")]
    TooFine,
    /// More than fits.
    #[error("larger than any price")]
    TooLarge,
}

impl PicoDollars {
    /// Nothing.
    pub const ZERO: PicoDollars = PicoDollars(0);

    /// Reads a price of one token from dollars a million tokens, as price pages write it: `0.075`. Exact.
    pub fn per_token(dollars_per_million: &str) -> Result<PicoDollars, NotAPrice> {
        decimal(dollars_per_million, PICO_PER_MILLION).map(PicoDollars)
    }

    /// Reads a price of one call from dollars: `0.005`. Exact.
    pub fn per_call(dollars: &str) -> Result<PicoDollars, NotAPrice> {
        decimal(dollars, PICO).map(PicoDollars)
    }

    /// A token's price as dollars a million tokens: `0.075`. [`PicoDollars::per_token`] reads it back.
    pub fn dollars_per_million(self) -> String {
        written(self.0, PICO_PER_MILLION)
    }

    /// A call's price as dollars: `0.005`. [`PicoDollars::per_call`] reads it back.
    pub fn dollars(self) -> String {
        written(self.0, PICO)
    }
}

impl NanoDollars {
    /// Nothing.
    pub const ZERO: NanoDollars = NanoDollars(0);

    /// As a number of dollars, for metrics and logs; sums are kept in nano-dollars.
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / NANO_PER_DOLLAR as f64
    }

    /// What is left after taking the other; nothing when that is more.
    pub fn saturating_sub(self, other: NanoDollars) -> NanoDollars {
        NanoDollars(self.0.saturating_sub(other.0))
    }
}

impl Add for NanoDollars {
    type Output = NanoDollars;
    fn add(self, other: NanoDollars) -> NanoDollars {
        NanoDollars(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoDollars {
    fn add_assign(&mut self, other: NanoDollars) {
        *self = *self + other;
    }
}

impl Sum for NanoDollars {
    fn sum<I: Iterator<Item = NanoDollars>>(amounts: I) -> NanoDollars {
        let sum: u128 = amounts.map(|amount| u128::from(amount.0)).sum();
        NanoDollars(u64::try_from(sum).unwrap_or(u64::MAX))
    }
}

/// Dollars, at least to the cent, without needless zeros: `0.00`, `1.25`, `0.000000075`.
impl fmt::Display for NanoDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / NANO_PER_DOLLAR, self.0 % NANO_PER_DOLLAR);
        let digits = format!("{rest:09}");
        let shown = digits.trim_end_matches('0').len().max(2);
        write!(f, "{whole}.{}", &digits[..shown])
    }
}

impl PicoSum {
    /// Adds so many units at a price each.
    pub fn add(&mut self, count: u64, price: PicoDollars) {
        self.0 = self.0.saturating_add(u128::from(count) * u128::from(price.0));
    }

    /// The amount, rounded half up.
    pub fn round(self) -> NanoDollars {
        let nano = self.0.saturating_add(PICO_PER_NANO / 2) / PICO_PER_NANO;
        NanoDollars(u64::try_from(nano).unwrap_or(u64::MAX))
    }
}

/// A decimal number as so many units of 10^-`places`.
fn decimal(text: &str, places: u32) -> Result<u64, NotAPrice> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(NotAPrice::Negative);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(NotAPrice::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places as usize {
        return Err(NotAPrice::TooFine);
    }
    let padded = format!("{whole}{fraction:0<width$}", width = places as usize);
    padded.parse().map_err(|_| NotAPrice::TooLarge)
}

fn written(units: u64, places: u32) -> String {
    let one = 10_u64.pow(places);
    let (whole, rest) = (units / one, units % one);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = format!("{rest:0width$}", width = places as usize);
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_exactly_and_written_as_they_were_read() {
        for (text, pico) in [
            ("0", 0),
            ("3", 3_000_000),
            ("0.075", 75_000),
            ("0.0003", 300),
            ("0.000001", 1),
            ("1.2345", 1_234_500),
            ("18000000000000", 18_000_000_000_000_000_000),
        ] {
            assert_eq!(PicoDollars::per_token(text), Ok(PicoDollars(pico)), "{text}");
            assert_eq!(PicoDollars(pico).dollars_per_million(), text);
        }
        assert_eq!(PicoDollars::per_token("2.50"), Ok(PicoDollars(2_500_000)));
        assert_eq!(PicoDollars::per_token(".5"), Ok(PicoDollars(500_000)));
        assert_eq!(PicoDollars::per_call("0.005"), Ok(PicoDollars(5_000_000_000)));
        assert_eq!(PicoDollars(5_000_000_000).dollars(), "0.005");
        for (text, wrong) in [
            ("", NotAPrice::NotDecimal),
            (".", NotAPrice::NotDecimal),
            ("$3", NotAPrice::NotDecimal),
            ("1e-6", NotAPrice::NotDecimal),
            ("1.2.3", NotAPrice::NotDecimal),
            ("-1", NotAPrice::Negative),
            ("0.0000001", NotAPrice::TooFine),
            ("99999999999999999999", NotAPrice::TooLarge),
        ] {
            assert_eq!(PicoDollars::per_token(text), Err(wrong), "{text}");
        }
    }

    #[test]
    fn a_sum_is_rounded_half_up_once() {
        for (count, pico, nano) in [(1, 499, 0), (1, 500, 1), (3, 500, 2), (2, 750, 2), (0, 9, 0)] {
            let mut sum = PicoSum::default();
            sum.add(count, PicoDollars(pico));
            assert_eq!(sum.round(), NanoDollars(nano), "{count} × {pico}");
        }
        let mut sum = PicoSum::default();
        sum.add(u64::MAX, PicoDollars(u64::MAX));
        sum.add(u64::MAX, PicoDollars(u64::MAX));
        assert_eq!(sum.round(), NanoDollars(u64::MAX), "the largest, no overflow");
    }

    #[test]
    fn amounts_are_shown_as_dollars_and_add_up_without_overflow() {
        for (nano, text) in [
            (0, "0.00"),
            (75, "0.000000075"),
            (1_250_000_000, "1.25"),
            (100_000_000_000, "100.00"),
            (1_500_000_001, "1.500000001"),
        ] {
            assert_eq!(NanoDollars(nano).to_string(), text);
        }
        let most = NanoDollars(u64::MAX);
        assert_eq!(most + NanoDollars(1), most);
        assert_eq!([most, most].into_iter().sum::<NanoDollars>(), most);
        assert_eq!(NanoDollars(1).saturating_sub(NanoDollars(2)), NanoDollars::ZERO);
    }
}
