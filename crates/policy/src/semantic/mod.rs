//! May an answer to one question serve another that sounds alike? Similarity proposes, the guard disposes.
//!
//! An embedding ranks "capital of France" and "capital of Germany" above most true paraphrases, so it only proposes
//! ([`nearest`]). What decides is [`fingerprint::guard`]: two questions agree only when everything that could change
//! the answer is the same in both. Whether system prompt, tools, parameters and earlier turns are equal is the
//! caller's to know: it offers candidates of one digest alone. Read [`recall`] first.

pub mod fingerprint;
mod forms;
mod lexer;
mod reading;
mod sha256;
mod words;

use crate::embedding::vector::Vector;
use crate::semantic::fingerprint::{Differs, Fingerprint, guard};

/// How many of the nearest candidates the guard is asked about; what is farther is not looked at.
pub const GUARDED_MAX: usize = 16;

/// Raised when a text is read otherwise than before. Fingerprints of two versions must not be compared: whoever stores
/// them puts this into the key.
pub const VERSION: u32 = 1;

/// The least cosine for the shipped static embedding (docs/semantic-cache.md); other models have their own scale.
pub const STATIC_THRESHOLD: f32 = 0.75;

/// An earlier question whose answer is kept. Its system prompt, tools, parameters and earlier turns are the asker's own.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'c, K> {
    /// Whatever leads the caller to the kept answer.
    pub key: K,
    /// Of the earlier question, from the same model as the asker's.
    pub vector: &'c Vector,
    /// Of the earlier question.
    pub fingerprint: &'c Fingerprint,
}

/// What is kept near a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Recall<K> {
    /// This answer may serve.
    Hit {
        /// The candidate's.
        key: K,
        /// Cosine, at least the threshold.
        similarity: f32,
    },
    /// Candidates were near enough, and the guard refused them all. The nearest, and why.
    Barred {
        /// The candidate's.
        key: K,
        /// Cosine, at least the threshold.
        similarity: f32,
        /// What differs between the questions.
        differs: Differs,
    },
    /// Nothing is near enough.
    Nothing,
}

/// The nearest candidate that the guard lets through, else the nearest it refused, else nothing.
///
/// `threshold` is the least cosine. Of equal ones the first offered is taken.
pub fn recall<'c, K: Clone + 'c>(
    vector: &Vector,
    fingerprint: &Fingerprint,
    candidates: impl IntoIterator<Item = Candidate<'c, K>>,
    threshold: f32,
) -> Recall<K> {
    let offered = candidates.into_iter().map(|c| ((c.key, c.fingerprint), c.vector));
    let mut barred = Recall::Nothing;
    for near in nearest(vector, offered, threshold) {
        let ((key, kept), similarity) = (near.key, near.similarity);
        match guard(fingerprint, kept) {
            Ok(()) => return Recall::Hit { key, similarity },
            Err(differs) if matches!(barred, Recall::Nothing) => {
                barred = Recall::Barred {
                    key,
                    similarity,
                    differs,
                };
            }
            Err(_) => {}
        }
    }
    barred
}

/// A candidate and how near it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near<K> {
    /// The candidate's.
    pub key: K,
    /// Cosine.
    pub similarity: f32,
}

/// At most [`GUARDED_MAX`] candidates of at least this cosine, the nearest first, equal ones in the order offered.
/// A vector of another length (of another model) is never near.
pub fn nearest<'c, K>(
    vector: &Vector,
    candidates: impl IntoIterator<Item = (K, &'c Vector)>,
    threshold: f32,
) -> Vec<Near<K>> {
    let mut found: Vec<Near<K>> = Vec::new();
    for (key, candidate) in candidates {
        let similarity = vector.similarity(candidate);
        // Two models share no space: their cosine of 0 must not pass a threshold of 0 either.
        if similarity < threshold || candidate.values().len() != vector.values().len() {
            continue;
        }
        let place = found.partition_point(|near| near.similarity >= similarity);
        if place < GUARDED_MAX {
            found.truncate(GUARDED_MAX - 1);
            found.insert(place, Near { key, similarity });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(x: f32, y: f32) -> Vector {
        Vector::new(vec![x, y]).unwrap()
    }

    #[test]
    fn the_nearest_come_first_and_no_more_than_the_guard_is_asked_about() {
        let all: Vec<Vector> = (0..40).map(|i| vector(1.0, i as f32 / 40.0)).collect();
        let found = nearest(&vector(1.0, 0.0), all.iter().enumerate().rev(), 0.5);
        assert_eq!(
            found.iter().map(|near| near.key).collect::<Vec<_>>(),
            (0..GUARDED_MAX).collect::<Vec<_>>()
        );
        assert!(nearest(&vector(1.0, 0.0), [(0, &vector(0.0, 1.0))], 0.5).is_empty());
    }

    #[test]
    fn vectors_of_another_model_are_never_near() {
        let other = Vector::new(vec![1.0]).unwrap();
        assert!(nearest(&vector(1.0, 0.0), [(0, &other)], 0.0).is_empty());
    }

    #[test]
    fn a_farther_question_that_agrees_wins_over_a_nearer_one_that_does_not() {
        let (asked, near, far) = (vector(1.0, 0.0), vector(1.0, 0.1), vector(1.0, 0.2));
        let [france, germany] = ["capital of France?", "capital of Germany?"].map(Fingerprint::of);
        let offer = |key, vector, fingerprint| Candidate {
            key,
            vector,
            fingerprint,
        };
        let both = [offer("germany", &near, &germany), offer("france", &far, &france)];
        assert!(matches!(
            recall(&asked, &france, both, 0.9),
            Recall::Hit { key: "france", .. }
        ));
        let barred = recall(&asked, &france, [both[0]], 0.9);
        assert!(
            matches!(
                barred,
                Recall::Barred {
                    key: "germany",
                    differs: Differs::Names,
                    ..
                }
            ),
            "{barred:?}"
        );
        assert_eq!(recall(&asked, &france, both, 0.999), Recall::Nothing);
    }
}
