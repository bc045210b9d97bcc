//! A question as the guard reads it: phrases in order, each with what leads it, its words, and who or what they belong
//! to. Politeness is gone, ways to ask the same are one, and everything else stands as it was said.

use serde::{Deserialize, Serialize};

use crate::semantic::lexer::{Kind, Token, tokens};
use crate::semantic::words::{ABOUT_WORDING, Language, Words, language_of, words_of};

/// A text read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub language: Language,
    pub phrases: Vec<Phrase>,
    /// The auxiliaries in order: `n` for is, `p` for was and did, `f` for will. Empty when all are of the present.
    pub tenses: String,
    /// Ends with a question mark.
    pub is_question: bool,
}

/// Words up to the next preposition, question word or end of a clause.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phrase {
    /// The preposition or question word that leads it; empty for none.
    pub led_by: String,
    pub words: Vec<Word>,
    /// A clause ends with it. Says how far a phrase may move, and is not compared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends: bool,
}

/// A word that counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    pub kind: Kind,
    pub text: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_name: bool,
    /// As written, where its capitals are not those of a sentence's first word; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cased: String,
    #[serde(default, skip_serializing_if = "Article::is_none")]
    pub article: Article,
    /// "the", "my" or "which" stands before it in its phrase: one is not many there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_definite: bool,
    /// "a" stands before it in its phrase.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_any: bool,
}

/// What stands directly before a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Article {
    #[default]
    None,
    /// a, an
    Any,
    /// the
    The,
    /// my, our
    Own,
}

impl Article {
    fn is_none(&self) -> bool {
        *self == Article::None
    }
}

impl Reading {
    /// Reads a text. Its time is about that of its length; callers bound it.
    pub fn of(text: &str) -> Reading {
        let tokens = tokens(text);
        let language = language_of(&tokens);
        let words = words_of(language);
        let (head, wording) = split_wording(tokens, language == Language::English);
        let tokens = head;
        let is_formula = tokens
            .iter()
            .any(|t| t.kind == Kind::Symbol && t.text.contains(['=', '+', '*', '<', '>', '^', '-', '/', '|', '&']));
        let said_first = tokens.first().map(|token| token.text.clone()).unwrap_or_default();
        let tokens = words.rewrite(tokens);
        // "Can you write it?" is no question once it is read as "write it".
        let is_request =
            REQUESTS.contains(&said_first.as_str()) && tokens.first().is_some_and(|token| token.text != said_first);
        let mut reader = Reader {
            words,
            is_formula,
            reading: Reading {
                language,
                phrases: Vec::new(),
                tenses: String::new(),
                is_question: text.trim_end().ends_with(['?', '？']) && !is_request,
            },
            led_by: String::new(),
            phrase: Vec::new(),
            owners: Vec::new(),
            article: Article::None,
            definite: false,
            any: false,
        };
        for (at, token) in tokens.iter().enumerate() {
            reader.take(token, tokens.get(at + 1));
        }
        for (at, token) in wording.iter().enumerate() {
            // A full stop at the very end is no part of the wording.
            let stops = at + 1 == wording.len()
                && token.kind == Kind::Break
                && matches!(token.text.as_str(), "." | "\n" | ".\n");
            if !stops {
                reader.push(token);
            }
        }
        reader.close();
        if !reader.reading.tenses.contains(['p', 'f']) {
            reader.reading.tenses.clear();
        }
        reader.reading
    }
}

/// What follows a colon is material, and a text that speaks of wording is material as a whole: no word of it is read as
/// another, and its punctuation counts.
fn split_wording(mut tokens: Vec<Token>, is_english: bool) -> (Vec<Token>, Vec<Token>) {
    let is_about = |token: &Token| {
        let about = token.kind == Kind::Word && ABOUT_WORDING.contains(&token.text.as_str());
        is_english && about && (!token.is_name || token.opens)
    };
    // "What does a mean in Spanish" asks for the word, "what does inflation mean" for the thing.
    let is_meant = |pair: &[Token]| pair[1].text.starts_with("mean") && POINTING.contains(&pair[0].text.as_str());
    let politely = tokens
        .iter()
        .take_while(|token| POLITE.contains(&token.text.as_str()) || token.kind == Kind::Break)
        .count();
    if tokens.iter().any(is_about) || tokens.windows(2).any(is_meant) {
        let wording = tokens.split_off(politely);
        return (Vec::new(), wording);
    }
    let colon = tokens.iter().enumerate().position(|(at, token)| {
        let is_colon = matches!(token.kind, Kind::Break | Kind::Symbol) && token.text.contains([':', '：']);
        is_colon && !(at > 0 && matches!(tokens[at - 1].text.as_str(), "question" | "briefly" | "kurz" | "frage"))
    });
    let wording = colon.map(|at| tokens.split_off(at)).unwrap_or_default();
    (tokens, wording)
}

const POINTING: &[&str] = &[
    "a", "an", "the", "i", "me", "please", "thanks", "is", "are", "do", "does", "to", "of", "and", "or", "not",
];

/// What may stand before a text about wording and say nothing.
const POLITE: &[&str] = &["please", "hi", "hello", "hey"];

const REQUESTS: &[&str] = &[
    "can",
    "could",
    "would",
    "will",
    "kannst",
    "können",
    "könnten",
    "könntest",
    "peux",
    "pouvez",
    "puedes",
    "podrías",
    "puoi",
    "kun",
];

struct Reader {
    words: &'static Words,
    /// Letters alone are no articles and pronouns there.
    is_formula: bool,
    reading: Reading,
    led_by: String,
    phrase: Vec<Word>,
    /// What owns the words being read: it is read as "of" it.
    owners: Vec<Word>,
    article: Article,
    definite: bool,
    any: bool,
}

const AUXILIARIES: &[&str] = &[
    "is", "are", "am", "was", "were", "do", "does", "did", "can", "should", "would", "will", "to", "must", "may",
    "might", "has", "have", "had", "not",
];

impl Reader {
    fn take(&mut self, token: &Token, next: Option<&Token>) {
        match token.kind {
            // Between numbers a comma makes a list, and no clause.
            Kind::Break
                if self.phrase.last().is_some_and(|word| word.kind == Kind::Number)
                    && next.is_some_and(|next| next.kind == Kind::Number) =>
            {
                self.push(token);
            }
            Kind::Break => {
                self.close();
                if let Some(last) = self.reading.phrases.last_mut() {
                    last.ends = true;
                }
            }
            Kind::Owner if self.words.is_english => self.own(),
            Kind::Owner => self.push_text(Kind::Symbol, "'s"),
            Kind::Quoted | Kind::Code | Kind::Number | Kind::Symbol => self.push(token),
            Kind::Word => self.take_word(token, next),
        }
    }

    fn take_word(&mut self, token: &Token, next: Option<&Token>) {
        let text = token.text.as_str();
        // "I" is a capital by rule, and no name.
        if text == "i" && self.words.is_english {
            return self.push_text(Kind::Word, "i");
        }
        if token.is_name {
            return self.push(token);
        }
        if self.words.questions.contains(&text) {
            let next_is_auxiliary = next.is_none_or(|next| AUXILIARIES.contains(&next.text.as_str()));
            let led_by = match text {
                // "What country" asks "which country"; "what is" does not.
                "what" if self.words.is_english && !next_is_auxiliary => "which",
                "?what" if self.words.is_english => "what",
                text => text,
            };
            return self.lead(led_by);
        }
        if self.words.prepositions.contains(&text) {
            return self.lead(text);
        }
        // "Please" says nothing at the end of what it is added to.
        let is_polite =
            matches!(text, "please" | "pls" | "plz") || text == "bitte" && self.reading.language == Language::German;
        if is_polite && !self.phrase.is_empty() && next.is_none_or(|next| next.kind == Kind::Break) {
            return;
        }
        if self.words.is_english && self.take_english(token, next) {
            return;
        }
        self.push(token);
    }

    /// Articles and auxiliaries; whether the word was one.
    fn take_english(&mut self, token: &Token, next: Option<&Token>) -> bool {
        let text = token.text.as_str();
        let opens = token.opens && self.led_by.is_empty() && self.phrase.is_empty();
        let asks = self.words.questions.contains(&self.led_by.as_str());
        match text {
            "a" | "an"
                if !self.is_formula
                    && next.is_some_and(|next| {
                        next.kind == Kind::Word && next.text.chars().count() > 1 || next.kind == Kind::Code
                    }) =>
            {
                (self.article, self.any) = (Article::Any, true);
            }
            "the" => (self.article, self.definite) = (Article::The, true),
            "my" | "our" => (self.article, self.definite) = (Article::Own, true),
            "is" | "are" | "am" | "was" | "were" | "does" | "did" | "will" => {
                match text {
                    "was" | "were" | "did" => self.reading.tenses.push('p'),
                    "will" => self.reading.tenses.push('f'),
                    "does" => {}
                    _ => self.reading.tenses.push('n'),
                }
                // "Explain what it does" asks what it does, not what it is.
                if text == "does" && next.is_none_or(|next| next.kind == Kind::Break) {
                    self.push_text(Kind::Word, "do");
                }
                if opens {
                    self.lead("?yes-no");
                }
            }
            "do" if opens && next.is_none_or(|next| next.text != "not") => self.lead("?yes-no"),
            "do" => {
                let subject =
                    next.is_some_and(|next| matches!(next.text.as_str(), "i" | "you" | "we" | "they" | "the" | "not"));
                return asks && (self.phrase.is_empty() || subject);
            }
            "can" | "should" | "would" | "must" | "may" | "might" | "has" | "have" if opens => {
                self.lead("?yes-no");
                return false;
            }
            _ => return false,
        }
        true
    }

    fn push(&mut self, token: &Token) {
        self.phrase.push(Word {
            kind: token.kind,
            text: token.text.clone(),
            is_name: token.is_name,
            cased: token.cased.clone(),
            article: std::mem::take(&mut self.article),
            is_definite: self.definite,
            is_any: self.any,
        });
    }

    fn push_text(&mut self, kind: Kind, text: &str) {
        let (text, cased, is_name, opens) = (text.to_owned(), String::new(), false, false);
        self.push(&Token {
            kind,
            text,
            cased,
            is_name,
            opens,
        });
    }

    /// "France's capital" is read as "the capital of France".
    fn own(&mut self) {
        let names = self.phrase.iter().rev().take_while(|word| word.is_name).count();
        let at = self.phrase.len() - names.max(1).min(self.phrase.len());
        self.owners.extend(self.phrase.drain(at..));
        for owner in &mut self.owners {
            owner.is_definite = false;
            owner.is_any = false;
        }
        (self.article, self.definite) = (Article::The, true);
    }

    fn lead(&mut self, led_by: &str) {
        self.close();
        led_by.clone_into(&mut self.led_by);
        self.definite = led_by == "which";
    }

    fn close(&mut self) {
        let mut words = std::mem::take(&mut self.phrase);
        let mut led_by = std::mem::take(&mut self.led_by);
        // "Explain it to me", "solve it for me": to whom else?
        let first = self
            .reading
            .phrases
            .first()
            .map_or("?", |phrase| phrase.led_by.as_str());
        let is_me = words.len() == 1 && words[0].text == "me";
        if self.words.is_english
            && is_me
            && (led_by == "to" && first == "?explain" || led_by == "for" && first.is_empty())
        {
            words.clear();
            led_by.clear();
        }
        if !led_by.is_empty() || !words.is_empty() {
            self.reading.phrases.push(Phrase {
                led_by,
                words,
                ends: false,
            });
        }
        let owners = std::mem::take(&mut self.owners);
        if !owners.is_empty() {
            let led_by = "of".to_owned();
            self.reading.phrases.push(Phrase {
                led_by,
                words: owners,
                ends: false,
            });
        }
        (self.article, self.definite, self.any) = (Article::None, false, false);
    }
}
