//! What a target cannot do, asked for in words and read back: tools offered and called in text, the form of an answer described
//! and checked.
//!
//! [`in_words`] rewrites the question, [`Contract`] holds the answer to what the client asked, [`repair`] asks once more with what
//! was wrong. Whether to do so at all, and how often, is policy's decision. The words are English: models follow
//! instructions in it best, whatever they are asked in.

mod ask;
mod contract;

pub use ask::{asked_in_words, in_words, repair};
pub use contract::{Contract, Malformed, check_format};

/// What stands before and behind the calls in a model's text.
const CALLS: (&str, &str) = ("<tool_calls>", "</tool_calls>");
/// What stands before and behind the results in ours.
const RESULTS: (&str, &str) = ("<tool_results>", "</tool_results>");
