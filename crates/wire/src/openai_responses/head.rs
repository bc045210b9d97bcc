//! Reads the [`Head`] of a request: the fields that routing needs, in one pass. The one wish that is refused here is
//! `background`: there is nobody to work on an answer that no connection waits for.

use std::ops::Range;

use bytes::Bytes;
use types::features::Features;

use crate::framing::json::{Cursor, Fault, Kind, Surrogates, Text};
use crate::head::{
    Head, MEDIA_CHARS, UsageAt, Wrong, count_text, duplicate, missing, read_bool, read_limit, read_model, utf8, wrong,
    wrong_type,
};
use crate::openai_responses::request::INCLUDE_LOGPROBS;
use crate::request::BadRequest;

/// Reads a request's head. The error is a 400 that names the place.
pub fn read_head(body: &Bytes) -> Result<Head, BadRequest> {
    let text = utf8(body)?;
    let mut reader = HeadReader::new(text);
    reader.read().map_err(|wrong| wrong.into_bad_request(text))?;
    reader.into_head()
}

struct HeadReader<'a> {
    cursor: Cursor<'a>,
    body_len: usize,
    model: Option<(String, Range<usize>)>,
    stream: Option<bool>,
    features: Features,
    max_output_tokens: Option<u64>,
    prompt_chars: u64,
    /// Items of the input; a string is one.
    items: Option<u32>,
    instructions: bool,
    /// What is asked is known to the provider (an earlier response, a conversation, a prompt).
    elsewhere: bool,
}

impl<'a> HeadReader<'a> {
    fn new(text: &'a str) -> HeadReader<'a> {
        HeadReader {
            cursor: Cursor::new(text, Surrogates::Paired),
            body_len: text.len(),
            model: None,
            stream: None,
            features: Features::NONE,
            max_output_tokens: None,
            prompt_chars: 0,
            items: None,
            instructions: false,
            elsewhere: false,
        }
    }

    fn into_head(self) -> Result<Head, BadRequest> {
        let (model, model_at) = self.model.ok_or_else(|| missing("model"))?;
        let items = match self.items {
            None | Some(0) if !self.instructions && !self.elsewhere => return Err(missing("input")),
            items => items.unwrap_or(0),
        };
        Ok(Head {
            model,
            stream: self.stream.unwrap_or(false),
            include_usage: true,
            features: self.features,
            max_output_tokens: self.max_output_tokens,
            n: 1,
            prompt_chars: self.prompt_chars,
            messages: items + u32::from(self.instructions),
            model_at: Some(model_at),
            usage_at: UsageAt::Always,
            body_len: self.body_len,
        })
    }

    fn read(&mut self) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Object {
            return Err(Wrong::Request(BadRequest::body("the body must be a JSON object")));
        }
        let mut more = self.cursor.open_object()?;
        while more {
            let key = self.cursor.key()?;
            self.member(&key.unescaped())?;
            more = self.cursor.more_members()?;
        }
        Ok(self.cursor.finish()?)
    }

    fn member(&mut self, key: &str) -> Result<(), Wrong> {
        match key {
            "model" => {
                if self.model.is_some() {
                    return duplicate(key);
                }
                self.model = Some(read_model(&mut self.cursor)?);
            }
            "stream" => {
                if self.stream.is_some() {
                    return duplicate(key);
                }
                self.stream = Some(read_bool(&mut self.cursor, key)?);
            }
            "input" => self.input()?,
            "instructions" => match self.cursor.peek()? {
                Kind::String => {
                    self.instructions = true;
                    self.count_text()?;
                }
                // Some clients send items here, as they come back in a response.
                Kind::Null | Kind::Array => self.count_text()?,
                Kind::Object | Kind::Number | Kind::Bool => return wrong_type(key, "a string"),
            },
            "background" => {
                if read_bool(&mut self.cursor, key)? {
                    let message =
                        "`background` is not supported: answers are given on the connection that asks for them";
                    return wrong(key, "unsupported_parameter", message);
                }
            }
            "previous_response_id" | "conversation" | "prompt" => {
                self.elsewhere |= self.cursor.peek()? != Kind::Null;
                self.cursor.skip()?;
            }
            "max_output_tokens" => self.max_output_tokens = read_limit(&mut self.cursor, key)?,
            "tools" => self.tools()?,
            "text" => self.each_member(|reader, name| {
                if name != "format" {
                    return Ok(reader.cursor.skip()?);
                }
                reader.each_member(HeadReader::format)
            })?,
            "reasoning" => self.each_member(|reader, name| {
                if name != "effort" {
                    return Ok(reader.cursor.skip()?);
                }
                if reader
                    .string_if_any()?
                    .is_some_and(|effort| effort.unescaped() != "none")
                {
                    reader.features.insert(Features::REASONING);
                }
                Ok(())
            })?,
            "top_logprobs" => {
                if read_limit(&mut self.cursor, key)?.is_some_and(|k| k > 0) {
                    self.features.insert(Features::LOGPROBS);
                }
            }
            "include" => {
                let mut asked = false;
                self.cursor
                    .visit_strings(|word| asked |= word.raw() == INCLUDE_LOGPROBS)?;
                if asked {
                    self.features.insert(Features::LOGPROBS);
                }
            }
            _ => self.cursor.skip()?,
        }
        Ok(())
    }

    /// Walks an object's members; anything else is skipped.
    fn each_member(&mut self, member: impl Fn(&mut Self, &str) -> Result<(), Wrong>) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Object {
            return Ok(self.cursor.skip()?);
        }
        let mut more = self.cursor.open_object()?;
        while more {
            let key = self.cursor.key()?;
            member(self, &key.unescaped())?;
            more = self.cursor.more_members()?;
        }
        Ok(())
    }

    fn format(&mut self, name: &str) -> Result<(), Wrong> {
        if name != "type" {
            // The schema is part of the prompt.
            return self.count_text();
        }
        match self.string_if_any()?.map(Text::unescaped).as_deref() {
            Some("json_object") => self.features.insert(Features::JSON_OBJECT),
            Some("json_schema") => self.features.insert(Features::JSON_SCHEMA),
            Some(_) | None => {}
        }
        Ok(())
    }

    fn tools(&mut self) -> Result<(), Wrong> {
        match self.cursor.peek()? {
            Kind::Array => {}
            Kind::Null => return Ok(self.cursor.skip()?),
            Kind::Object | Kind::Number | Kind::String | Kind::Bool => return wrong_type("tools", "an array"),
        }
        let mut more = self.cursor.open_array()?;
        if more {
            self.features.insert(Features::TOOLS);
        }
        while more {
            self.count_text()?;
            more = self.cursor.more_items()?;
        }
        Ok(())
    }

    fn input(&mut self) -> Result<(), Wrong> {
        if self.items.is_some() {
            return duplicate("input");
        }
        match self.cursor.peek()? {
            Kind::Array => {}
            Kind::String => {
                self.items = Some(1);
                return self.count_text();
            }
            Kind::Null => return Ok(self.cursor.skip()?),
            Kind::Object | Kind::Number | Kind::Bool => return wrong_type("input", "a string or an array of items"),
        }
        let mut count = 0;
        let mut more = self.cursor.open_array()?;
        while more {
            if self.cursor.peek()? != Kind::Object {
                return wrong_type(&format!("input[{count}]"), "an object");
            }
            self.each_member(HeadReader::item)?;
            count += 1;
            more = self.cursor.more_items()?;
        }
        self.items = Some(count);
        Ok(())
    }

    fn item(&mut self, name: &str) -> Result<(), Wrong> {
        match name {
            "type" | "id" | "status" | "role" | "call_id" | "encrypted_content" => Ok(self.cursor.skip()?),
            // Tools offered by an item.
            "tools" => self.tools(),
            "content" | "output" if self.cursor.peek()? == Kind::Array => {
                let mut more = self.cursor.open_array()?;
                while more {
                    if self.cursor.peek()? == Kind::Object {
                        self.each_member(HeadReader::part)?;
                    } else {
                        self.count_text()?;
                    }
                    more = self.cursor.more_items()?;
                }
                Ok(())
            }
            _ => self.count_text(),
        }
    }

    /// A member of a part. Its kind may come behind its content, so media are known by the member that holds them.
    fn part(&mut self, name: &str) -> Result<(), Wrong> {
        match name {
            "type" => {
                let feature = match self.string_if_any()?.map(Text::raw) {
                    Some("input_image") => Features::VISION,
                    Some("input_audio") => Features::AUDIO,
                    Some("input_file") => Features::DOCUMENTS,
                    Some(_) | None => Features::NONE,
                };
                self.features.insert(feature);
                Ok(())
            }
            "image_url" | "file_data" | "file_url" | "file_id" | "input_audio" => {
                if self.cursor.peek()? != Kind::Null {
                    self.prompt_chars += MEDIA_CHARS;
                }
                Ok(self.cursor.skip()?)
            }
            _ => self.count_text(),
        }
    }

    fn count_text(&mut self) -> Result<(), Wrong> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(body: &str) -> Result<Head, BadRequest> {
        read_head(&Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn routing_facts_are_read_wherever_they_stand() {
        let head = head(
            r#" {"input":[{"role":"user","content":[{"text":"héllo","type":"input_text"},{"image_url":"data:image/png;base64,AAAA","type":"input_image"}]},
                {"type":"function_call_output","call_id":"c","output":[{"type":"input_file","file_id":"f","filename":null}]}],
                "instructions":"be brief","tools":[{"type":"function","name":"f"}],"text":{"format":{"type":"json_schema","name":"n","schema":{}}},
                "reasoning":{"effort":"low","summary":"auto"},"include":["message.output_text.logprobs"],"x":{"model":"no"},
                "max_output_tokens":9,"stream":true,"background":false,"model":"a\/b"} "#,
        )
        .unwrap();
        assert_eq!(
            (head.model.as_str(), head.stream, head.include_usage),
            ("a/b", true, true)
        );
        assert_eq!((head.messages, head.max_output_tokens, head.n), (3, Some(9), 1));
        assert_eq!(
            head.features.words().collect::<Vec<_>>(),
            ["tools", "vision", "documents", "json_schema", "reasoning", "logprobs"]
        );
        let text = "héllo".chars().count() + "be brief".len();
        let tools = "typefunctionnamef".len();
        let schema_name = "n".len();
        assert_eq!(head.prompt_chars, (text + tools + schema_name) as u64 + 2 * MEDIA_CHARS);
    }

    #[test]
    fn complaints_name_the_place() {
        let rows: &[(&str, Option<&str>, Option<&str>)] = &[
            ("", None, Some("invalid_json")),
            ("[]", None, Some("invalid_json")),
            (r#"{"model":"m"}"#, Some("input"), Some("missing_required_parameter")),
            (
                r#"{"model":"m","input":[]}"#,
                Some("input"),
                Some("missing_required_parameter"),
            ),
            (
                r#"{"model":"m","input":null}"#,
                Some("input"),
                Some("missing_required_parameter"),
            ),
            (r#"{"input":"hi"}"#, Some("model"), Some("missing_required_parameter")),
            (r#"{"model":"m","input":7}"#, Some("input"), Some("invalid_type")),
            (
                r#"{"model":"m","input":["hi"]}"#,
                Some("input[0]"),
                Some("invalid_type"),
            ),
            (
                r#"{"model":"m","input":"a","input":"b"}"#,
                Some("input"),
                Some("duplicate_parameter"),
            ),
            (
                r#"{"model":"m","input":"a","stream":1}"#,
                Some("stream"),
                Some("invalid_type"),
            ),
            (
                r#"{"model":"m","input":"a","tools":{}}"#,
                Some("tools"),
                Some("invalid_type"),
            ),
            (
                r#"{"model":"m","input":"a","background":true}"#,
                Some("background"),
                Some("unsupported_parameter"),
            ),
        ];
        for (body, param, code) in rows {
            let bad = head(body).unwrap_err();
            assert_eq!((bad.param.as_deref(), bad.code), (*param, *code), "{body}");
        }
        for body in [
            r#"{"model":"m","input":"a"}"#,
            r#"{"model":"m","previous_response_id":"resp_1"}"#,
            r#"{"model":"m","instructions":"a","input":[]}"#,
            r#"{"model":"m","prompt":{"id":"p"}}"#,
        ] {
            head(body).unwrap();
        }
    }

    #[test]
    fn a_splice_changes_the_model_and_nothing_else() {
        let body = Bytes::from_static(br#"{ "input" : "hi", "model":"a" ,"stream":true, "new_field" : 1.50 }"#);
        let head = read_head(&body).unwrap();
        assert_eq!(
            head.splice(&body, "b", true),
            r#"{ "input" : "hi", "model":"b" ,"stream":true, "new_field" : 1.50 }"#
        );
        assert_eq!(head.splice(&body, "a", true).as_ptr(), body.as_ptr());
    }

    proptest! {
        #[test]
        fn no_body_panics(body in any::<Vec<u8>>()) {
            let _ = read_head(&Bytes::from(body));
        }
    }
}
