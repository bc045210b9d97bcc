//! A vector of unit length, so that a dot product is the cosine. From the static table or from any embedding target.

use serde::{Deserialize, Serialize};

/// Finite numbers of unit length, never empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f32>", into = "Vec<f32>")]
pub struct Vector(Vec<f32>);

impl Vector {
    /// The numbers brought to unit length; `None` when they have no direction: empty, all zero, or not finite.
    pub fn new(mut values: Vec<f32>) -> Option<Vector> {
        let length = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if !length.is_normal() {
            return None;
        }
        for value in &mut values {
            *value = (f64::from(*value) / length) as f32;
        }
        Some(Vector(values))
    }

    /// The numbers, of unit length together.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// Cosine of the two, in −1..=1 but for rounding; 0 when their lengths differ, as of two different models.
    pub fn similarity(&self, other: &Vector) -> f32 {
        if self.0.len() != other.0.len() {
            return 0.0;
        }
        // Eight sums side by side: one sum alone must be added in order and cannot use the machine's wide registers.
        let (mut sums, mut rest) = ([0.0_f32; 8], 0.0_f32);
        let ((ours, our_rest), (theirs, their_rest)) = (self.0.as_chunks::<8>(), other.0.as_chunks::<8>());
        for (a, b) in our_rest.iter().zip(their_rest) {
            rest += a * b;
        }
        for (a, b) in ours.iter().zip(theirs) {
            for lane in 0..8 {
                sums[lane] += a[lane] * b[lane];
            }
        }
        sums.iter().sum::<f32>() + rest
    }
}

impl TryFrom<Vec<f32>> for Vector {
    type Error = &'static str;

    fn try_from(values: Vec<f32>) -> Result<Vector, &'static str> {
        Vector::new(values).ok_or("a vector without a direction")
    }
}

impl From<Vector> for Vec<f32> {
    fn from(vector: Vector) -> Vec<f32> {
        vector.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_direction_is_no_vector() {
        for values in [vec![], vec![0.0; 3], vec![f32::NAN, 1.0], vec![f32::INFINITY]] {
            assert_eq!(Vector::new(values), None);
        }
    }

    #[test]
    fn vectors_of_different_models_are_not_alike() {
        let (short, long) = (Vector::new(vec![1.0]).unwrap(), Vector::new(vec![1.0, 0.0]).unwrap());
        assert_eq!(short.similarity(&long), 0.0);
    }

    #[test]
    fn similarity_is_the_cosine_at_any_length() {
        for len in [1, 7, 8, 9, 128, 131] {
            let a = Vector::new((0..len).map(|i| (i as f32).sin() + 0.1).collect()).unwrap();
            let b = Vector::new((0..len).map(|i| (i as f32).cos() - 0.2).collect()).unwrap();
            let plain: f32 = a.values().iter().zip(b.values()).map(|(x, y)| x * y).sum();
            assert!((a.similarity(&b) - plain).abs() < 1e-5);
            assert!((a.similarity(&a) - 1.0).abs() < 1e-5);
        }
    }
}
