//! What in the last user turn could change the answer, and the guard that compares two of them.
//!
//! The guard is strict by construction: it does not look for known differences, it looks for agreement. Two questions
//! agree when every word that counts stands in both, in the same order, but for the few differences of form listed
//! here. What it does not understand it refuses. Read [`guard`] first.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::semantic::forms::{ACRONYMS, PLAIN_NAMES, is_gerund, is_plural, is_slip};
use crate::semantic::lexer::Kind;
use crate::semantic::reading::{Article, Phrase, Reading, Word};
use crate::semantic::sha256::sha256;
use crate::semantic::words::{Language, turns_meaning};

/// A longer text is not read: only the very same text agrees with it.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// What in a text could change the answer to it. Holds its words: it may be stored where the text itself may, beside the
/// kept answer, and its `Debug` says nothing of them. Fingerprints of another [`crate::semantic::VERSION`] are not comparable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(Form);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint([redacted])")
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Read(Reading),
    /// Longer than [`TEXT_BYTES_MAX`]: its SHA-256.
    Long([u8; 32]),
}

/// What differs between two questions. A category, never a word of them: it may stand in logs, metrics and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Differs {
    /// One is too long to be read, and they are not the same text.
    Length,
    /// Language or script.
    Language,
    /// Code, paths, addresses, identifiers.
    Code,
    /// Text between quotation marks.
    Quoted,
    /// Numbers, dates, versions, percentages, amounts, formulas.
    Numbers,
    /// Negation and words that have a counterpart: enable and disable, before and after.
    Polarity,
    /// Words written with a capital.
    Names,
    /// What is asked: who, when, how, whether.
    Question,
    /// Past, present or future.
    Tense,
    /// One or many, "a" or "the".
    Form,
    /// The same words in another order.
    Order,
    /// Any other word.
    Words,
}

impl Differs {
    /// Every category, for tables and metrics.
    pub const ALL: [Differs; 12] = [
        Differs::Length,
        Differs::Language,
        Differs::Code,
        Differs::Quoted,
        Differs::Numbers,
        Differs::Polarity,
        Differs::Names,
        Differs::Question,
        Differs::Tense,
        Differs::Form,
        Differs::Order,
        Differs::Words,
    ];

    /// Its word in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Differs::Length => "length",
            Differs::Language => "language",
            Differs::Code => "code",
            Differs::Quoted => "quoted",
            Differs::Numbers => "numbers",
            Differs::Polarity => "polarity",
            Differs::Names => "names",
            Differs::Question => "question",
            Differs::Tense => "tense",
            Differs::Form => "form",
            Differs::Order => "order",
            Differs::Words => "words",
        }
    }
}

impl Fingerprint {
    /// Reads the text of the last user turn.
    pub fn of(text: &str) -> Fingerprint {
        if text.len() <= TEXT_BYTES_MAX {
            return Fingerprint(Form::Read(Reading::of(text)));
        }
        Fingerprint(Form::Long(sha256(text.as_bytes())))
    }
}

/// Whether an answer to one question may serve the other. Symmetric; a text always agrees with itself.
///
/// # Errors
/// The first category, in the order of [`Differs`], in which the two differ.
pub fn guard(a: &Fingerprint, b: &Fingerprint) -> Result<(), Differs> {
    let (a, b) = match (&a.0, &b.0) {
        (Form::Read(a), Form::Read(b)) => (a, b),
        (Form::Long(a), Form::Long(b)) if a == b => return Ok(()),
        (Form::Long(_) | Form::Read(_), Form::Long(_)) | (Form::Long(_), Form::Read(_)) => return Err(Differs::Length),
    };
    if a == b {
        return Ok(());
    }
    if a.language != b.language {
        return Err(Differs::Language);
    }
    let how = How::of(a, b);
    let agree = how.agree(&a.phrases, &b.phrases)
        || fronted(&a.phrases).is_some_and(|moved| how.agree(&moved, &b.phrases))
        || fronted(&b.phrases).is_some_and(|moved| how.agree(&a.phrases, &moved));
    if !agree {
        return Err(difference(a, b));
    }
    // Without a word that asks, only the question mark tells "You are done?" from "You are done."
    let asks = |reading: &Reading| {
        reading
            .phrases
            .iter()
            .any(|phrase| category_of_lead(&phrase.led_by) == Differs::Question)
    };
    if !asks(a) && !asks(b) && a.is_question != b.is_question {
        return Err(Differs::Question);
    }
    if a.tenses != b.tenses {
        return Err(Differs::Tense);
    }
    Ok(())
}

/// "In Python, how …" read as "how … in Python": the first phrase put at the end of the text. Only one phrase that says
/// where or with what may move, and only to the end of one plain question: "In Paris, I read that he died" is not
/// "I read that he died in Paris".
fn fronted(phrases: &[Phrase]) -> Option<Vec<Phrase>> {
    const MAY_MOVE: &[&str] = &[
        "in", "on", "with", "using", "for", "en", "bei", "auf", "nel", "nella", "em", "no", "na", "op",
    ];
    const ASK: &[&str] = &[
        "?how-to", "what", "which", "comment", "cómo", "come", "como", "hoe", "wie",
    ];
    const JOIN: &[&str] = &["that", "who", "and", "or", "then", "but"];
    let (first, rest) = phrases.split_first()?;
    let (asked, others) = rest.split_first()?;
    let ends = rest.iter().position(|phrase| phrase.ends).unwrap_or(rest.len() - 1);
    let joins = |word: &Word| word.kind == Kind::Word && JOIN.contains(&word.text.as_str());
    let plain = MAY_MOVE.contains(&first.led_by.as_str())
        && !first.words.is_empty()
        && ASK.contains(&asked.led_by.as_str())
        && (asked.led_by != "what" || asked.words.first().is_some_and(|word| word.article != Article::None))
        && others
            .iter()
            .all(|phrase| category_of_lead(&phrase.led_by) != Differs::Question)
        && !rest.iter().flat_map(|phrase| &phrase.words).any(joins)
        && ends + 1 == rest.len();
    plain.then(|| rest.iter().chain([first]).cloned().collect())
}

/// What differences of form the kind of question bears.
struct How {
    /// Asks for a way or a reason in general: "a tire" and "tires" are one there.
    bears_number: bool,
    /// Asks for a way: "my password" and "the password" are one there.
    bears_owner: bool,
    /// One of the two has no capitals at all but at the start: it was written by someone who leaves them out.
    bears_case: bool,
}

impl How {
    fn of(a: &Reading, b: &Reading) -> How {
        let asked = |reading: &Reading| -> String {
            let mut leads = reading.phrases.iter().map(|phrase| phrase.led_by.as_str());
            leads
                .find(|lead| lead.starts_with('?') || matches!(*lead, "how" | "why" | "what"))
                .unwrap_or("")
                .to_owned()
        };
        let (asked_a, asked_b) = (asked(a), asked(b));
        let both = |lead: &str| asked_a == lead && asked_b == lead;
        let short = a.phrases.len() == 1;
        let definition = |lead: &str| lead == "?explain" || (lead == "what" && short);
        How {
            bears_number: ["?how-to", "how", "why"].into_iter().any(both)
                || (definition(&asked_a) && definition(&asked_b)),
            bears_owner: both("?how-to"),
            bears_case: a.language == Language::English && (has_no_case(a) || has_no_case(b)),
        }
    }

    fn agree(&self, a: &[Phrase], b: &[Phrase]) -> bool {
        let alone = a.len() == 1;
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same_phrase(a, b, alone))
    }

    fn same_phrase(&self, a: &Phrase, b: &Phrase, alone: bool) -> bool {
        // "Explain compound interest" asks what it is; "explain the price of gold" does not ask what it is.
        const SELF: &[&str] = &["yourself", "this", "that", "it", "these", "those"];
        let general = alone
            && [a, b].iter().all(|p| {
                p.words
                    .first()
                    .is_some_and(|word| word.article != Article::The && !SELF.contains(&word.text.as_str()))
            });
        let led_by_way = a.led_by == "?how-to" && b.led_by == "?how-to";
        let explains = |one: &str, other: &str| one == "?explain" && other == "what";
        let led_alike =
            a.led_by == b.led_by || general && (explains(&a.led_by, &b.led_by) || explains(&b.led_by, &a.led_by));
        // "a tire" and "tires" differ in their article as well.
        let pairs = || a.words.iter().zip(&b.words);
        let one_and_many = pairs().any(|(a, b)| self.one_and_many(a, b));
        let same = |(at, (a, b)): (usize, (&Word, &Word))| self.same_word(a, b, at == 0 && led_by_way, one_and_many);
        let by_means = |lead: &str| matches!(lead, "with" | "using");
        let led_alike = led_alike || self.bears_owner && by_means(&a.led_by) && by_means(&b.led_by);
        led_alike && a.words.len() == b.words.len() && pairs().enumerate().all(same)
    }

    /// `doing`: the word stands where "how to" asks for a verb, so that "change" and "changing" are one.
    fn same_word(&self, a: &Word, b: &Word, doing: bool, one_and_many: bool) -> bool {
        if a.kind != b.kind || !self.same_article(a, b, one_and_many) {
            return false;
        }
        if a.text == b.text {
            return self.same_case(a, b);
        }
        let plain = a.kind == Kind::Word && !a.is_name && !b.is_name;
        let (short, long) = if a.text.len() <= b.text.len() { (a, b) } else { (b, a) };
        self.one_and_many(a, b) || plain && (doing && is_gerund(&short.text, &long.text) || is_slip(&a.text, &b.text))
    }

    fn one_and_many(&self, a: &Word, b: &Word) -> bool {
        let (one, many) = if a.text.len() <= b.text.len() { (a, b) } else { (b, a) };
        let plain = a.kind == Kind::Word && b.kind == Kind::Word && !a.is_name && !b.is_name;
        plain
            && self.bears_number
            && one.is_any
            && !(many.is_any || one.is_definite || many.is_definite)
            && is_plural(&one.text, &many.text)
    }

    fn same_case(&self, a: &Word, b: &Word) -> bool {
        if a.cased == b.cased {
            return true;
        }
        let is_plain = [PLAIN_NAMES, ACRONYMS]
            .iter()
            .any(|names| names.contains(&a.text.as_str()));
        let one_has_none = a.cased.is_empty() || b.cased.is_empty();
        one_has_none && self.bears_case && is_plain
    }

    fn same_article(&self, a: &Word, b: &Word, one_and_many: bool) -> bool {
        use Article::{Any, None, Own, The};
        match (a.article, b.article) {
            (None, None) | (Any, Any) | (The, The) | (Own, Own) => true,
            (None, Any) | (Any, None) => one_and_many,
            (The, Own) | (Own, The) => self.bears_owner,
            (None, Own) | (Own, None) => false,
            (None, The) | (The, None) => a.is_name && b.is_name,
            (Any, The | Own) | (The | Own, Any) => false,
        }
    }
}

fn has_no_case(reading: &Reading) -> bool {
    reading
        .phrases
        .iter()
        .flat_map(|phrase| &phrase.words)
        .all(|word| word.cased.is_empty())
}

/// The first category in which two readings that do not agree differ.
fn difference(a: &Reading, b: &Reading) -> Differs {
    let said = |reading: &Reading| {
        let mut said: Vec<(Differs, String)> = Vec::new();
        for phrase in &reading.phrases {
            if !phrase.led_by.is_empty() {
                said.push((category_of_lead(&phrase.led_by), phrase.led_by.clone()));
            }
            said.extend(phrase.words.iter().map(|word| (category(word), word.text.clone())));
        }
        said.sort();
        said
    };
    let (a_said, b_said) = (said(a), said(b));
    if a_said == b_said {
        let order = |reading: &Reading| -> Vec<String> {
            let words = |phrase: &Phrase| -> Vec<String> {
                std::iter::once(&phrase.led_by)
                    .chain(phrase.words.iter().map(|word| &word.text))
                    .cloned()
                    .collect()
            };
            reading.phrases.iter().flat_map(words).collect()
        };
        return if order(a) == order(b) {
            Differs::Form
        } else {
            Differs::Order
        };
    }
    // Both are sorted: what stands more often in one than in the other comes to light in one walk through both.
    let (mut ours, mut theirs, mut first) = (a_said.as_slice(), b_said.as_slice(), Differs::Words);
    loop {
        let (differs, step_ours, step_theirs) = match (ours.first(), theirs.first()) {
            (Some(a), Some(b)) if a == b => (Differs::Words, true, true),
            (Some(a), Some(b)) if a < b => (a.0, true, false),
            (_, Some(b)) => (b.0, false, true),
            (Some(a), None) => (a.0, true, false),
            (None, None) => return first,
        };
        first = first.min(differs);
        ours = &ours[usize::from(step_ours)..];
        theirs = &theirs[usize::from(step_theirs)..];
    }
}

fn category(word: &Word) -> Differs {
    match word.kind {
        Kind::Quoted => Differs::Quoted,
        Kind::Code => Differs::Code,
        Kind::Number | Kind::Symbol => Differs::Numbers,
        Kind::Word | Kind::Owner | Kind::Break if turns_meaning(&word.text) => Differs::Polarity,
        Kind::Word | Kind::Owner | Kind::Break if word.is_name => Differs::Names,
        Kind::Word | Kind::Owner | Kind::Break => Differs::Words,
    }
}

fn category_of_lead(led_by: &str) -> Differs {
    const TURNS: &[&str] = &[
        "without", "before", "after", "since", "until", "above", "below", "over", "under", "against", "from", "ohne",
        "sans", "sin", "senza", "sem", "zonder",
    ];
    const ASKS: &[&str] = &["who", "whom", "whose", "what", "which", "when", "where", "why", "how"];
    if led_by.starts_with('?') || ASKS.contains(&led_by) {
        Differs::Question
    } else if TURNS.contains(&led_by) {
        Differs::Polarity
    } else {
        Differs::Words
    }
}
