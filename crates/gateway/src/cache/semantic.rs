//! Questions whose answers are kept, by what stands around them: who may have the answer, the route, and the request but for what it
//! asks last.
//!
//! Only this process's own: a question that another instance answered is met here when it is asked here in the same words. What
//! is alike enough, and what must agree besides, is `policy::semantic`'s. All of it is work for a thread of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use policy::embedding::StaticEmbedding;
use policy::embedding::vector::Vector;
use policy::semantic::fingerprint::Fingerprint;
use policy::semantic::{Candidate, Recall, recall};

use crate::cache::key::Key;
use crate::fleet::memory::lock;

/// The shipped model.
static MODEL: &[u8] = include_bytes!("../../../../catalog/embedding/minilm-128-int8.bin");
/// Longer questions are not compared: they are documents, and what they ask is a small part of them.
pub const QUESTION_BYTES_MAX: usize = 8 * 1024;
/// Questions kept in all; at the limit the surroundings that were asked about longest ago go first.
const QUESTIONS_MAX: usize = 50_000;
/// What they may take in memory, about; the same go first.
const BYTES_MAX: usize = 64 << 20;
/// What a question takes beside its vector, its key and its words.
const ASKED_BYTES: usize = 512;

/// Questions by their surroundings.
#[derive(Debug, Default)]
pub struct Questions(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    kinds: HashMap<Arc<str>, Kind>,
    count: usize,
    bytes: usize,
    turn: u64,
}

#[derive(Debug, Default)]
struct Kind {
    asked: VecDeque<Kept>,
    turn: u64,
}

#[derive(Debug)]
struct Kept {
    asked: Asked,
    bytes: usize,
}

/// A question that was asked, as it is compared.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What its answer is kept under.
    pub key: Key,
    /// Its embedding.
    pub vector: Arc<Vector>,
    /// What must agree.
    pub fingerprint: Arc<Fingerprint>,
}

/// What is kept near a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Near {
    /// An answer that may serve.
    Answer {
        /// What it is kept under.
        key: Key,
        /// Cosine.
        similarity: f32,
    },
    /// Something alike that asks for something else: the category that differs.
    Other(&'static str),
    /// Nothing.
    Nothing,
}

/// The embedding of a text by the shipped model. A few microseconds.
pub fn embed(text: &str) -> Option<Vector> {
    static READ: OnceLock<Option<StaticEmbedding>> = OnceLock::new();
    let model = READ.get_or_init(|| StaticEmbedding::from_bytes(MODEL).ok());
    model.as_ref()?.embed(text)
}

impl Questions {
    /// What is kept near a question. Work in proportion to the number of candidates.
    pub fn near(&self, kind: &str, vector: &Vector, fingerprint: &Fingerprint, threshold: f64) -> Near {
        let asked: Vec<Asked> = {
            let mut held = lock(&self.0);
            held.turn += 1;
            let turn = held.turn;
            match held.kinds.get_mut(kind) {
                Some(kind) => {
                    kind.turn = turn;
                    // Cheap: pointers. Compared without the lock.
                    kind.asked.iter().map(|kept| kept.asked.clone()).collect()
                }
                None => return Near::Nothing,
            }
        };
        let candidates = asked.iter().map(|asked| Candidate {
            key: &asked.key,
            vector: &asked.vector,
            fingerprint: &asked.fingerprint,
        });
        match recall(vector, fingerprint, candidates, threshold as f32) {
            Recall::Hit { key, similarity } => Near::Answer {
                key: key.clone(),
                similarity,
            },
            Recall::Barred { differs, .. } => Near::Other(differs.name()),
            Recall::Nothing => Near::Nothing,
        }
    }

    /// Keeps a question, at most `candidates` of its kind.
    pub fn keep(&self, kind: &str, asked: Asked, candidates: usize) {
        // Counted before the lock is taken.
        let bytes = bytes_of(&asked);
        let mut held = lock(&self.0);
        let held = &mut *held;
        held.turn += 1;
        if !held.kinds.contains_key(kind) {
            held.kinds.insert(kind.into(), Kind::default());
        }
        let kind = held.kinds.get_mut(kind).expect("it was put there if it was not");
        kind.turn = held.turn;
        let (mut gone, mut gone_bytes) = kind.forget(&asked.key);
        // Asked again, it is the youngest.
        kind.asked.push_back(Kept { asked, bytes });
        while kind.asked.len() > candidates
            && let Some(oldest) = kind.asked.pop_front()
        {
            gone += 1;
            gone_bytes += oldest.bytes;
        }
        held.count = held.count + 1 - gone;
        held.bytes = held.bytes + bytes - gone_bytes;
        held.make_room();
    }

    /// Forgets a question whose answer is gone.
    pub fn forget(&self, kind: &str, key: &Key) {
        let mut held = lock(&self.0);
        let Some(of) = held.kinds.get_mut(kind) else { return };
        let (gone, gone_bytes) = of.forget(key);
        let is_empty = of.asked.is_empty();
        held.count -= gone;
        held.bytes -= gone_bytes;
        if is_empty {
            held.kinds.remove(kind);
        }
    }
}

impl Kind {
    /// Forgets what a key's answer is kept for: how many, and their bytes.
    fn forget(&mut self, key: &Key) -> (usize, usize) {
        let (mut gone, mut bytes) = (0, 0);
        self.asked.retain(|kept| {
            let stays = kept.asked.key != *key;
            if !stays {
                gone += 1;
                bytes += kept.bytes;
            }
            stays
        });
        (gone, bytes)
    }
}

impl Held {
    fn make_room(&mut self) {
        while self.count > QUESTIONS_MAX || self.bytes > BYTES_MAX {
            let oldest = self.kinds.iter().min_by_key(|(_, kind)| kind.turn);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else {
                return;
            };
            let Some(kind) = self.kinds.get_mut(&name) else {
                return;
            };
            while (self.count > QUESTIONS_MAX || self.bytes > BYTES_MAX)
                && let Some(gone) = kind.asked.pop_front()
            {
                self.count -= 1;
                self.bytes -= gone.bytes;
            }
            if kind.asked.is_empty() {
                self.kinds.remove(&name);
            }
        }
    }
}

/// What a question takes in memory. Its fingerprint is a list of words: each takes about twice what it takes written down.
fn bytes_of(asked: &Asked) -> usize {
    let words = serde_json::to_vec(&*asked.fingerprint).map_or(QUESTION_BYTES_MAX, |words| words.len());
    size_of_val(asked.vector.values()) + asked.key.as_str().len() + 2 * words + ASKED_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(key: &str, text: &str) -> Asked {
        Asked {
            key: Key::of_test(key),
            vector: Arc::new(embed(text).unwrap()),
            fingerprint: Arc::new(Fingerprint::of(text)),
        }
    }

    fn near(questions: &Questions, kind: &str, text: &str) -> Near {
        questions.near(kind, &embed(text).unwrap(), &Fingerprint::of(text), 0.5)
    }

    #[test]
    fn questions_are_found_among_their_own_kind_and_forgotten_at_the_limit() {
        let questions = Questions::default();
        questions.keep("a", asked("1", "What is the capital of France?"), 2);
        assert!(matches!(
            near(&questions, "a", "What is the capital of France?"),
            Near::Answer { .. }
        ));
        assert_eq!(near(&questions, "b", "What is the capital of France?"), Near::Nothing);
        assert!(matches!(
            near(&questions, "a", "What is the capital of Germany?"),
            Near::Other(_)
        ));
        questions.keep("a", asked("2", "How do I boil an egg?"), 2);
        questions.keep("a", asked("3", "Who wrote Hamlet?"), 2);
        assert_eq!(
            near(&questions, "a", "What is the capital of France?"),
            Near::Nothing,
            "the oldest went"
        );
        questions.forget("a", &Key::of_test("3"));
        assert_eq!(near(&questions, "a", "Who wrote Hamlet?"), Near::Nothing);
        questions.forget("a", &Key::of_test("2"));
        let held = lock(&questions.0);
        assert_eq!((held.count, held.bytes, held.kinds.len()), (0, 0, 0));
    }

    #[test]
    fn questions_are_bounded_in_bytes_too_and_those_of_the_oldest_kind_go_first() {
        let questions = Questions::default();
        let large = |n: usize| Asked {
            vector: Arc::new(Vector::new(vec![1.0; 256 * 1024]).unwrap()),
            ..asked(&n.to_string(), "Who wrote Hamlet?")
        };
        questions.keep("old", large(0), 1000);
        for n in 1..200 {
            questions.keep("new", large(n), 1000);
        }
        let held = lock(&questions.0);
        assert!(
            held.bytes <= BYTES_MAX && held.count > 30,
            "{} {}",
            held.bytes,
            held.count
        );
        assert!(!held.kinds.contains_key("old"));
        let kept: usize = held
            .kinds
            .values()
            .flat_map(|kind| &kind.asked)
            .map(|kept| kept.bytes)
            .sum();
        assert_eq!(held.bytes, kept);
    }
}
