//! Reads the [`Head`] of a generateContent or countTokens request: the fields that routing needs, in one pass. The model and
//! whether a stream is wanted stand in the path.

use bytes::Bytes;
use types::features::Features;

use crate::framing::json::{Cursor, Fault, Kind, Surrogates, Text};
use crate::gemini::carried::camel;
use crate::gemini::contents::mime_type_of;
use crate::head::{
    Head, MEDIA_CHARS, UsageAt, Wrong, check_model, count_text, missing, read_limit, utf8, wrong, wrong_type,
};
use crate::request::BadRequest;

/// Reads a request's head. The error is a 400 that names the place.
pub fn read_head(body: &Bytes, model: &str, stream: bool) -> Result<Head, BadRequest> {
    let text = utf8(body)?;
    let mut reader = HeadReader {
        cursor: Cursor::new(text, Surrogates::Paired),
        features: Features::NONE,
        json: false,
        schema: false,
        max_tokens: None,
        n: 1,
        prompt_chars: 0,
        contents: None,
    };
    check_model(model).map_err(|wrong| wrong.into_bad_request(text))?;
    reader.read().map_err(|wrong| wrong.into_bad_request(text))?;
    let messages = reader.contents.ok_or_else(|| missing("contents"))?;
    if reader.json {
        reader.features.insert(if reader.schema {
            Features::JSON_SCHEMA
        } else {
            Features::JSON_OBJECT
        });
    }
    Ok(Head {
        model: model.to_owned(),
        stream,
        include_usage: true,
        features: reader.features,
        max_output_tokens: reader.max_tokens,
        n: reader.n,
        prompt_chars: reader.prompt_chars,
        messages,
        model_at: None,
        usage_at: UsageAt::Always,
        body_len: text.len(),
    })
}

struct HeadReader<'a> {
    cursor: Cursor<'a>,
    features: Features,
    json: bool,
    schema: bool,
    max_tokens: Option<u64>,
    n: u32,
    prompt_chars: u64,
    contents: Option<u32>,
}

impl<'a> HeadReader<'a> {
    fn read(&mut self) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Object {
            return Err(Wrong::Request(BadRequest::body("the body must be a JSON object")));
        }
        self.members(Self::member)?;
        Ok(self.cursor.finish()?)
    }

    /// Shows each member of the object that comes next.
    fn members(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<(), Wrong>) -> Result<(), Wrong> {
        let mut more = self.cursor.open_object()?;
        while more {
            let key = self.cursor.key()?.unescaped();
            member(self, &camel(&key))?;
            more = self.cursor.more_members()?;
        }
        Ok(())
    }

    /// Shows each item of the array that comes next; anything else is skipped.
    fn items(&mut self, mut item: impl FnMut(&mut Self, u32) -> Result<(), Wrong>) -> Result<u32, Wrong> {
        if self.cursor.peek()? != Kind::Array {
            self.cursor.skip()?;
            return Ok(0);
        }
        let mut count = 0;
        let mut more = self.cursor.open_array()?;
        while more {
            item(self, count)?;
            count += 1;
            more = self.cursor.more_items()?;
        }
        Ok(count)
    }

    fn member(&mut self, key: &str) -> Result<(), Wrong> {
        match key {
            "contents" => self.contents(),
            "systemInstruction" => Ok(self.count_text()?),
            "tools" => {
                let count = self.items(|it, _| Ok(it.count_text()?))?;
                if count > 0 {
                    self.features.insert(Features::TOOLS);
                }
                Ok(())
            }
            "generationConfig" if self.cursor.peek()? == Kind::Object => self.members(Self::setting),
            // A question for a count may hold a whole request.
            "generateContentRequest" if self.cursor.peek()? == Kind::Object => self.members(Self::member),
            _ => Ok(self.cursor.skip()?),
        }
    }

    fn setting(&mut self, key: &str) -> Result<(), Wrong> {
        match key {
            "maxOutputTokens" => self.max_tokens = read_limit(&mut self.cursor, "generationConfig.maxOutputTokens")?,
            "candidateCount" => {
                let place = "generationConfig.candidateCount";
                self.n = match read_limit(&mut self.cursor, place)? {
                    None => 1,
                    Some(n @ 1..=128) => n as u32,
                    Some(_) => return wrong(place, "invalid_value", format!("`{place}` must be between 1 and 128")),
                };
                if self.n > 1 {
                    self.features.insert(Features::CHOICES);
                }
            }
            "responseMimeType" => {
                self.json |= self
                    .string_if_any()?
                    .is_some_and(|t| t.unescaped() == "application/json")
            }
            "responseSchema" | "responseJsonSchema" => {
                self.schema |= self.cursor.peek()? != Kind::Null;
                self.count_text()?;
            }
            "responseLogprobs" if self.cursor.peek()? == Kind::Bool => {
                if self.cursor.bool()? {
                    self.features.insert(Features::LOGPROBS);
                }
            }
            "responseModalities" => {
                let mut audio = false;
                self.cursor
                    .visit_strings(|text| audio |= text.raw().eq_ignore_ascii_case("audio"))?;
                if audio {
                    self.features.insert(Features::AUDIO);
                }
            }
            "thinkingConfig" if self.cursor.peek()? == Kind::Object => self.thinking()?,
            _ => self.cursor.skip()?,
        }
        Ok(())
    }

    fn thinking(&mut self) -> Result<(), Wrong> {
        let (mut budget, mut asked) = (None, false);
        self.members(|it, key| {
            match key {
                "thinkingBudget" if it.cursor.peek()? == Kind::Number => budget = Some(it.cursor.number()?.to_owned()),
                "thinkingLevel" => asked |= it.string_if_any()?.is_some(),
                "includeThoughts" if it.cursor.peek()? == Kind::Bool => asked |= it.cursor.bool()?,
                _ => it.cursor.skip()?,
            }
            Ok(())
        })?;
        let asked = match budget.as_deref() {
            Some("0") => false,
            Some("-1") | None => asked,
            Some(_) => true,
        };
        if asked {
            self.features.insert(Features::REASONING);
        }
        Ok(())
    }

    fn contents(&mut self) -> Result<(), Wrong> {
        match self.cursor.peek()? {
            Kind::Array => {}
            Kind::Null => return wrong("contents", "missing_required_parameter", "`contents` is required"),
            Kind::Object | Kind::Number | Kind::String | Kind::Bool => return wrong_type("contents", "an array"),
        }
        let count = self.items(|it, index| {
            if it.cursor.peek()? != Kind::Object {
                return wrong_type(&format!("contents[{index}]"), "an object");
            }
            it.members(|it, key| match key {
                "parts" => {
                    it.items(|it, part| {
                        if it.cursor.peek()? != Kind::Object {
                            return wrong_type(&format!("contents[{index}].parts[{part}]"), "an object");
                        }
                        it.part()
                    })?;
                    Ok(())
                }
                _ => Ok(it.cursor.skip()?),
            })
        })?;
        if count == 0 {
            return wrong("contents", "empty_array", "`contents` must hold at least one content");
        }
        self.contents = Some(count);
        Ok(())
    }

    fn part(&mut self) -> Result<(), Wrong> {
        self.members(|it, key| match key {
            "inlineData" | "fileData" if it.cursor.peek()? == Kind::Object => it.media(),
            "thoughtSignature" => Ok(it.cursor.skip()?),
            "functionResponse" if it.cursor.peek()? == Kind::Object => it.members(|it, key| match key {
                "parts" => {
                    it.items(|it, _| {
                        if it.cursor.peek()? == Kind::Object {
                            return it.part();
                        }
                        Ok(it.cursor.skip()?)
                    })?;
                    Ok(())
                }
                _ => Ok(it.count_text()?),
            }),
            _ => Ok(it.count_text()?),
        })
    }

    fn media(&mut self) -> Result<(), Wrong> {
        let (mut kind, mut guess) = (None, None);
        self.members(|it, key| {
            match key {
                "mimeType" => kind = it.string_if_any()?.map(|text| text.unescaped().into_owned()),
                "fileUri" => guess = it.string_if_any()?.and_then(|uri| mime_type_of(&uri.unescaped())),
                _ => it.cursor.skip()?,
            }
            Ok(())
        })?;
        self.features
            .insert(match kind.as_deref().or(guess).unwrap_or_default() {
                kind if kind.starts_with("image/") => Features::VISION,
                kind if kind.starts_with("audio/") => Features::AUDIO,
                _ => Features::DOCUMENTS,
            });
        self.prompt_chars += MEDIA_CHARS;
        Ok(())
    }

    fn count_text(&mut self) -> Result<(), Fault> {
        self.prompt_chars += count_text(&mut self.cursor)?;
        Ok(())
    }

    fn string_if_any(&mut self) -> Result<Option<Text<'a>>, Fault> {
        if self.cursor.peek()? == Kind::String {
            return self.cursor.string().map(Some);
        }
        self.cursor.skip()?;
        Ok(None)
    }
}
