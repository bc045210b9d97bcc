//! What each language's words mean to the guard: which say nothing, which say the same, which begin a question or a
//! phrase. A word that no table names counts as it stands: a gap costs a hit and never gives a false one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::semantic::lexer::{Kind, Token};

mod english;
mod others;

pub use crate::semantic::words::english::ABOUT_WORDING;

/// The language of a text, as far as its function words and script tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    English,
    German,
    French,
    Spanish,
    Italian,
    Portuguese,
    Dutch,
    Swedish,
    /// Latin letters, and none of the words that tell.
    Latin,
    Cyrillic,
    Greek,
    Han,
    Kana,
    Hangul,
    Arabic,
    Hebrew,
    /// Any other script.
    Other,
    /// No letters.
    None,
}

/// The words of one language.
pub struct Words {
    /// What is said → what it is read as, longest first by first word. `?how-to` and the like are marks that no text
    /// can contain.
    phrases: BTreeMap<&'static str, Vec<Phrase>>,
    /// Begin a question.
    pub questions: &'static [&'static str],
    /// Begin a phrase whose place in the sentence may matter.
    pub prepositions: &'static [&'static str],
    /// Whether auxiliaries, articles and the genitive are read as in English.
    pub is_english: bool,
}

struct Phrase {
    /// Only at the start of a clause.
    opens: bool,
    words: Vec<&'static str>,
    read_as: Vec<&'static str>,
}

impl Words {
    fn new(
        phrases: &[(&'static str, &'static str)],
        questions: &'static [&'static str],
        prepositions: &'static [&'static str],
        is_english: bool,
    ) -> Words {
        let mut by_first: BTreeMap<&'static str, Vec<Phrase>> = BTreeMap::new();
        for (said, read_as) in phrases {
            let opens = said.starts_with('^');
            let words: Vec<&'static str> = said.trim_start_matches('^').split(' ').collect();
            let read_as: Vec<&'static str> = read_as.split(' ').filter(|word| !word.is_empty()).collect();
            // "Could you tell me" is "can you tell me"; elsewhere the two differ.
            if is_english && opens && words.starts_with(&["can", "you"]) {
                let words = std::iter::once("could").chain(words[1..].iter().copied()).collect();
                by_first.entry("could").or_default().push(Phrase {
                    opens,
                    words,
                    read_as: read_as.clone(),
                });
            }
            by_first
                .entry(words[0])
                .or_default()
                .push(Phrase { opens, words, read_as });
        }
        for phrases in by_first.values_mut() {
            phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
        }
        Words {
            phrases: by_first,
            questions,
            prepositions,
            is_english,
        }
    }

    /// Reads phrases as what they stand for, again as long as one is found, at most six times.
    pub fn rewrite(&self, tokens: Vec<Token>) -> Vec<Token> {
        let mut tokens = tokens;
        for _ in 0..6 {
            let (rewritten, changed) = self.rewrite_once(tokens);
            tokens = rewritten;
            if !changed {
                break;
            }
        }
        tokens
    }

    fn rewrite_once(&self, tokens: Vec<Token>) -> (Vec<Token>, bool) {
        let (mut out, mut changed, mut at, mut opens) = (Vec::with_capacity(tokens.len()), false, 0, false);
        while at < tokens.len() {
            opens |= tokens[at].opens;
            let Some(phrase) = self.phrase_at(&tokens, at, opens) else {
                let mut token = tokens[at].clone();
                token.opens = std::mem::take(&mut opens);
                opens |= token.kind == Kind::Break;
                out.push(token);
                at += 1;
                continue;
            };
            changed = true;
            // A name stays a name under its other name.
            let is_name = tokens[at].is_name;
            for word in &phrase.read_as {
                let number = word.bytes().all(|byte| byte.is_ascii_digit());
                out.push(Token {
                    cased: String::new(),
                    kind: if number { Kind::Number } else { Kind::Word },
                    text: (*word).to_owned(),
                    is_name: is_name && !number,
                    opens: std::mem::take(&mut opens),
                });
            }
            at += phrase.words.len();
        }
        (out, changed)
    }

    fn phrase_at(&self, all: &[Token], at: usize, opens: bool) -> Option<&Phrase> {
        let (before, tokens) = all.split_at(at);
        let first = &tokens[0];
        let fits = |token: &Token, word: &str| match token.kind {
            Kind::Word => token.text == word,
            Kind::Code => token.text.is_ascii() && token.text.eq_ignore_ascii_case(word),
            Kind::Number => token.text == word,
            // A row's full stop is the end of a clause.
            Kind::Break => word == ".",
            Kind::Quoted | Kind::Symbol | Kind::Owner => false,
        };
        let key = match first.kind {
            Kind::Word | Kind::Number => self.phrases.get(first.text.as_str()),
            Kind::Code => self.phrases.get(first.text.to_ascii_lowercase().as_str()),
            Kind::Quoted | Kind::Symbol | Kind::Owner | Kind::Break => None,
        };
        key?.iter().find(|phrase| {
            (opens || !phrase.opens)
                && phrase.words.len() <= tokens.len()
                && phrase.words.iter().zip(tokens).all(|(word, token)| fits(token, word))
                && (!phrase.opens || self.may_go(before, &tokens[phrase.words.len()..], phrase))
                // "How do I look?" asks for no way to do it.
                && (phrase.read_as != ["?how-to"] || tokens.get(phrase.words.len()).is_none_or(|next| !english::STATES.contains(&next.text.as_str())))
                // US is a country, us is not.
                && (!first.is_name || phrase.read_as.iter().all(|word| !word.starts_with('?')) && !phrase.read_as.is_empty())
        })
    }

    /// Politeness goes only from around a question: "Hello, world" is no greeting of the world, and "Can you write?" asks.
    fn may_go(&self, before: &[Token], after: &[Token], phrase: &Phrase) -> bool {
        let count = |tokens: &[Token]| tokens.iter().filter(|token| token.kind != Kind::Break).take(3).count();
        let follows = after.first().is_some_and(|next| next.kind != Kind::Break);
        let last = *phrase.words.last().expect("a row has words");
        if THANKS.contains(&phrase.words[0]) {
            // Thanks belong to no words that follow in their clause.
            return !follows && (count(before) == 3 || count(after) == 3);
        }
        if last == "." {
            return count(after) == 3;
        }
        let asks_ability = matches!(phrase.words[0], "can" | "could");
        if !phrase.read_as.is_empty() {
            return follows && (!asks_ability || count(after) == 3);
        }
        if matches!(
            last,
            "please" | "pls" | "plz" | "kindly" | "bitte" | "to" | "can" | "could"
        ) {
            return follows && count(after) >= if asks_ability { 3 } else { 2 };
        }
        // "I wonder" and "tell me" say nothing before a question only.
        let next = after.iter().find(|token| token.kind != Kind::Break);
        next.is_some_and(|next| self.questions.contains(&next.text.as_str())) || count(after) == 0 && count(before) == 3
    }
}

const THANKS: &[&str] = &[
    "thanks", "thank", "many", "danke", "vielen", "merci", "gracias", "grazie", "obrigado", "obrigada", "bedankt",
];

/// The words of a language; of those without a table, none.
pub fn words_of(language: Language) -> &'static Words {
    static ENGLISH: LazyLock<Words> = LazyLock::new(english::words);
    static GERMAN: LazyLock<Words> = LazyLock::new(others::german);
    static FRENCH: LazyLock<Words> = LazyLock::new(others::french);
    static SPANISH: LazyLock<Words> = LazyLock::new(others::spanish);
    static ITALIAN: LazyLock<Words> = LazyLock::new(others::italian);
    static PORTUGUESE: LazyLock<Words> = LazyLock::new(others::portuguese);
    static DUTCH: LazyLock<Words> = LazyLock::new(others::dutch);
    static HAN: LazyLock<Words> = LazyLock::new(others::chinese);
    static KANA: LazyLock<Words> = LazyLock::new(others::japanese);
    static NONE: LazyLock<Words> = LazyLock::new(|| Words::new(&[], &[], &[], false));
    match language {
        Language::English => &ENGLISH,
        Language::German => &GERMAN,
        Language::French => &FRENCH,
        Language::Spanish => &SPANISH,
        Language::Italian => &ITALIAN,
        Language::Portuguese => &PORTUGUESE,
        Language::Dutch => &DUTCH,
        Language::Han => &HAN,
        Language::Kana => &KANA,
        Language::Swedish
        | Language::Latin
        | Language::Cyrillic
        | Language::Greek
        | Language::Hangul
        | Language::Arabic
        | Language::Hebrew
        | Language::Other
        | Language::None => &NONE,
    }
}

/// The language that most of the words speak for.
pub fn language_of(tokens: &[Token]) -> Language {
    const TELLING: &[(Language, &[&str])] = &[
        (Language::English, english::TELLING),
        (Language::German, others::GERMAN_TELLING),
        (Language::French, others::FRENCH_TELLING),
        (Language::Spanish, others::SPANISH_TELLING),
        (Language::Italian, others::ITALIAN_TELLING),
        (Language::Portuguese, others::PORTUGUESE_TELLING),
        (Language::Dutch, others::DUTCH_TELLING),
        (Language::Swedish, others::SWEDISH_TELLING),
    ];
    let words: Vec<&str> = tokens
        .iter()
        .filter(|t| t.kind == Kind::Word)
        .map(|t| t.text.as_str())
        .collect();
    let script = script_of(&words);
    if script != Language::Latin {
        return script;
    }
    let mut best = (Language::Latin, 0);
    for (language, telling) in TELLING {
        let count = words.iter().filter(|word| telling.contains(word)).count();
        if count > best.1 {
            best = (*language, count);
        }
    }
    // A few plain words tell nothing; they are read as English, whose table has nothing to say of other languages' words.
    let is_plain = words.iter().all(|word| word.is_ascii());
    if best.0 == Language::Latin && is_plain {
        Language::English
    } else {
        best.0
    }
}

/// The script of most letters; a Han or kana character counts twice, as it says more than a letter.
fn script_of(words: &[&str]) -> Language {
    const SCRIPTS: &[Language] = &[
        Language::Latin,
        Language::Cyrillic,
        Language::Greek,
        Language::Han,
        Language::Kana,
        Language::Hangul,
        Language::Arabic,
        Language::Hebrew,
        Language::Other,
    ];
    let mut counts = [0_usize; 9];
    for c in words.iter().flat_map(|word| word.chars()).filter(|c| c.is_alphabetic()) {
        let (script, weight) = match c {
            '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => (0, 1),
            '\u{400}'..='\u{52f}' => (1, 1),
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => (2, 1),
            '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}' => (3, 2),
            '\u{3040}'..='\u{30ff}' => (4, 2),
            '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => (5, 1),
            '\u{600}'..='\u{6ff}' => (6, 1),
            '\u{590}'..='\u{5ff}' => (7, 1),
            _ => (8, 1),
        };
        counts[script] += weight;
    }
    // Japanese is written with Han and kana: some kana make it Japanese.
    if counts[4] > 0 {
        counts[4] += counts[3];
        counts[3] = 0;
    }
    let most = counts.iter().copied().max().unwrap_or_default();
    match counts.iter().position(|count| *count == most) {
        Some(place) if most > 0 => SCRIPTS[place],
        _ => Language::None,
    }
}

/// Words whose presence turns a meaning round; they name the reason of a refusal, they do not decide it.
pub fn turns_meaning(word: &str) -> bool {
    english::POLARITY.contains(&word) || others::POLARITY.contains(&word)
}
