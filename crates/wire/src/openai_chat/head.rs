//! Reads the [`Head`] of a chat completion: the fields that routing needs, in one pass.

use std::ops::Range;

use bytes::Bytes;
use types::features::Features;

use crate::framing::json::{Cursor, Fault, Kind, Surrogates, Text};
use crate::head::{
    Head, MEDIA_CHARS, UsageAt, Wrong, count_text, duplicate, missing, read_bool, read_limit, read_model, utf8, wrong,
    wrong_type,
};
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
    text: &'a str,
    model: Option<(String, Range<usize>)>,
    stream: Option<bool>,
    options: Option<(bool, UsageAt)>,
    features: Features,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: u32,
    prompt_chars: u64,
    messages: Option<u32>,
}

impl<'a> HeadReader<'a> {
    fn new(text: &'a str) -> HeadReader<'a> {
        HeadReader {
            cursor: Cursor::new(text, Surrogates::Paired),
            text,
            model: None,
            stream: None,
            options: None,
            features: Features::NONE,
            max_tokens: None,
            max_completion_tokens: None,
            n: 1,
            prompt_chars: 0,
            messages: None,
        }
    }

    fn into_head(self) -> Result<Head, BadRequest> {
        let (model, model_at) = self.model.ok_or_else(|| missing("model"))?;
        let messages = self.messages.ok_or_else(|| missing("messages"))?;
        let (include_usage, usage_at) = self.options.unwrap_or((false, UsageAt::Absent));
        Ok(Head {
            model,
            stream: self.stream.unwrap_or(false),
            include_usage,
            features: self.features,
            max_output_tokens: self.max_completion_tokens.or(self.max_tokens),
            n: self.n,
            prompt_chars: self.prompt_chars,
            messages,
            model_at: Some(model_at),
            usage_at,
            body_len: self.text.len(),
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
            "model" => self.model(),
            "messages" => self.messages(),
            "stream" => self.stream(),
            "stream_options" => self.stream_options(),
            "max_tokens" => {
                self.max_tokens = read_limit(&mut self.cursor, "max_tokens")?;
                Ok(())
            }
            "max_completion_tokens" => {
                self.max_completion_tokens = read_limit(&mut self.cursor, "max_completion_tokens")?;
                Ok(())
            }
            "n" => self.n(),
            "tools" | "functions" => self.tools(),
            "response_format" => self.response_format(),
            "reasoning_effort" => {
                let effort = self.string_if_any()?;
                if effort.is_some_and(|effort| effort.unescaped() != "none") {
                    self.features.insert(Features::REASONING);
                }
                Ok(())
            }
            "logprobs" => {
                if self.cursor.peek()? == Kind::Bool {
                    if self.cursor.bool()? {
                        self.features.insert(Features::LOGPROBS);
                    }
                    return Ok(());
                }
                Ok(self.cursor.skip()?)
            }
            "modalities" => {
                let mut audio = false;
                self.cursor.visit_strings(|text| audio |= text.raw() == "audio")?;
                if audio {
                    self.features.insert(Features::AUDIO);
                }
                Ok(())
            }
            _ => Ok(self.cursor.skip()?),
        }
    }

    fn model(&mut self) -> Result<(), Wrong> {
        if self.model.is_some() {
            return duplicate("model");
        }
        self.model = Some(read_model(&mut self.cursor)?);
        Ok(())
    }

    fn stream(&mut self) -> Result<(), Wrong> {
        if self.stream.is_some() {
            return duplicate("stream");
        }
        self.stream = Some(read_bool(&mut self.cursor, "stream")?);
        Ok(())
    }

    fn stream_options(&mut self) -> Result<(), Wrong> {
        if self.options.is_some() {
            return duplicate("stream_options");
        }
        let start = self.cursor.offset();
        match self.cursor.peek()? {
            Kind::Object => {}
            Kind::Null => {
                self.cursor.skip()?;
                self.options = Some((false, UsageAt::Null(start..self.cursor.end())));
                return Ok(());
            }
            Kind::Array | Kind::Number | Kind::String | Kind::Bool => {
                return wrong_type("stream_options", "an object");
            }
        }
        let mut found = None;
        let mut more = self.cursor.open_object()?;
        let empty = !more;
        while more {
            if self.cursor.key()?.unescaped() == "include_usage" {
                if found.is_some() {
                    return duplicate("stream_options.include_usage");
                }
                let start = self.cursor.offset();
                let value = match self.cursor.peek()? {
                    Kind::Bool => self.cursor.bool()?,
                    Kind::Null => {
                        self.cursor.skip()?;
                        false
                    }
                    Kind::Object | Kind::Array | Kind::Number | Kind::String => {
                        return wrong_type("stream_options.include_usage", "true or false");
                    }
                };
                found = Some((value, UsageAt::Usage(start..self.cursor.end())));
            } else {
                self.cursor.skip()?;
            }
            more = self.cursor.more_members()?;
        }
        let inside = start + 1;
        self.options = Some(found.unwrap_or((false, UsageAt::Object { inside, empty })));
        Ok(())
    }

    fn n(&mut self) -> Result<(), Wrong> {
        self.n = match read_limit(&mut self.cursor, "n")? {
            None => 1,
            Some(n @ 1..=128) => n as u32,
            Some(_) => return wrong("n", "invalid_value", "`n` must be between 1 and 128"),
        };
        if self.n > 1 {
            self.features.insert(Features::CHOICES);
        }
        Ok(())
    }

    fn tools(&mut self) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Array {
            return Ok(self.cursor.skip()?);
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

    fn response_format(&mut self) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Object {
            return Ok(self.cursor.skip()?);
        }
        let mut more = self.cursor.open_object()?;
        while more {
            if self.cursor.key()?.unescaped() == "type" {
                match self.string_if_any()?.map(Text::unescaped).as_deref() {
                    Some("json_object") => self.features.insert(Features::JSON_OBJECT),
                    Some("json_schema") => self.features.insert(Features::JSON_SCHEMA),
                    Some(_) | None => {}
                }
            } else {
                self.cursor.skip()?;
            }
            more = self.cursor.more_members()?;
        }
        Ok(())
    }

    fn messages(&mut self) -> Result<(), Wrong> {
        if self.messages.is_some() {
            return duplicate("messages");
        }
        match self.cursor.peek()? {
            Kind::Array => {}
            Kind::Null => return wrong("messages", "missing_required_parameter", "`messages` is required"),
            Kind::Object | Kind::Number | Kind::String | Kind::Bool => return wrong_type("messages", "an array"),
        }
        let mut count = 0;
        let mut more = self.cursor.open_array()?;
        if !more {
            return wrong("messages", "empty_array", "`messages` must hold at least one message");
        }
        while more {
            self.message(count)?;
            count += 1;
            more = self.cursor.more_items()?;
        }
        self.messages = Some(count);
        Ok(())
    }

    fn message(&mut self, index: u32) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Object {
            return wrong_type(&format!("messages[{index}]"), "an object");
        }
        let mut has_role = false;
        let mut more = self.cursor.open_object()?;
        while more {
            match &*self.cursor.key()?.unescaped() {
                "role" => {
                    if self.cursor.peek()? != Kind::String {
                        return wrong_type(&format!("messages[{index}].role"), "a string");
                    }
                    self.cursor.string()?;
                    has_role = true;
                }
                "content" => self.content()?,
                _ => self.count_text()?,
            }
            more = self.cursor.more_members()?;
        }
        if has_role {
            return Ok(());
        }
        let param = format!("messages[{index}].role");
        wrong(&param, "missing_required_parameter", format!("`{param}` is required"))
    }

    fn content(&mut self) -> Result<(), Wrong> {
        if self.cursor.peek()? != Kind::Array {
            return self.count_text();
        }
        let mut more = self.cursor.open_array()?;
        while more {
            if self.cursor.peek()? == Kind::Object {
                self.part()?;
            } else {
                self.count_text()?;
            }
            more = self.cursor.more_items()?;
        }
        Ok(())
    }

    /// A part of a message. Its kind may come behind its content, so media are known by the member that holds them.
    fn part(&mut self) -> Result<(), Wrong> {
        let mut more = self.cursor.open_object()?;
        while more {
            match &*self.cursor.key()?.unescaped() {
                "type" => {
                    let feature = match self.string_if_any()?.map(Text::raw) {
                        Some("image_url") => Features::VISION,
                        Some("input_audio") => Features::AUDIO,
                        Some("file") => Features::DOCUMENTS,
                        Some(_) | None => Features::NONE,
                    };
                    self.features.insert(feature);
                }
                "image_url" | "input_audio" | "file" => {
                    self.prompt_chars += MEDIA_CHARS;
                    self.cursor.skip()?;
                }
                _ => self.count_text()?,
            }
            more = self.cursor.more_members()?;
        }
        Ok(())
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

    const HELLO: &str = r#"[{"role":"user","content":"hello"}]"#;

    fn head(body: &str) -> Result<Head, BadRequest> {
        read_head(&Bytes::copy_from_slice(body.as_bytes()))
    }

    fn with(fields: &str) -> String {
        format!(r#"{{"model":"m","messages":{HELLO}{fields}}}"#)
    }

    #[test]
    fn routing_facts_are_read_wherever_they_stand() {
        let body = r#" {"messages":[{"content":[{"text":"héllo\n","type":"text"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}],
            "role":"user"},{"role":"tool","tool_call_id":"c","content":"ok"}], "tools":[{"type":"function","function":{"name":"f"}}],
            "x":{"model":"no","stream":false}, "n":2, "max_tokens":5, "max_completion_tokens":7, "str\u0065am":true,
            "stream_options":{"include_usage":true}, "logprobs":true, "reasoning_effort":"low",
            "response_format":{"type":"json_schema","json_schema":{}}, "modalities":["text","audio"], "model":"a\/b\u0041"} "#;
        let head = head(body).unwrap();
        assert_eq!(head.model, "a/bA");
        assert!(head.stream && head.include_usage);
        assert_eq!((head.max_output_tokens, head.n, head.messages), (Some(7), 2, 2));
        assert_eq!(
            head.features.words().collect::<Vec<_>>(),
            [
                "tools",
                "vision",
                "audio",
                "json_schema",
                "reasoning",
                "choices",
                "logprobs"
            ]
        );
        let text = "héllo\n".chars().count() + "c".len() + "ok".len();
        let tools = "type function function name f".replace(' ', "").len();
        assert_eq!(head.prompt_chars, (text + tools) as u64 + MEDIA_CHARS);
    }

    #[test]
    fn media_count_for_a_fixed_number_of_characters() {
        let data = "A".repeat(1 << 20);
        let parts = [
            format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#),
            format!(r#"{{"type":"input_audio","input_audio":{{"data":"{data}","format":"wav"}}}}"#),
            format!(r#"{{"type":"file","file":{{"file_data":"data:application/pdf;base64,{data}"}}}}"#),
            format!(r#"{{"video":"data:video/mp4;base64,{data}"}}"#),
        ];
        for part in parts {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
            let chars = head(&body).unwrap().prompt_chars;
            assert!((MEDIA_CHARS..MEDIA_CHARS + 10).contains(&chars), "{chars}");
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_its_place() {
        let rows: &[(&str, Option<&str>, &str)] = &[
            (
                "",
                None,
                "the body is not valid JSON: the text ends where a value is expected (line 1, column 1)",
            ),
            ("[]", None, "the body must be a JSON object"),
            (
                "{",
                None,
                "the body is not valid JSON: expected a name in quotes (line 1, column 2)",
            ),
            (
                "{\n \"model\": \"\u{1}\"}",
                None,
                "the body is not valid JSON: a raw control character in a string (line 2, column 12)",
            ),
            (
                r#"{"model":"m","x":"\ud800"}"#,
                None,
                "the body is not valid JSON: half of a surrogate pair (line 1, column 19)",
            ),
            (
                r#"{"messages":[{"role":"user"}]}"#,
                Some("model"),
                "`model` is required",
            ),
            (r#"{"model":null}"#, Some("model"), "`model` is required"),
            (r#"{"model":""}"#, Some("model"), "`model` is required, and it is empty"),
            (r#"{"model":7}"#, Some("model"), "`model` must be a string"),
            (
                r#"{"model":"a\u0000"}"#,
                Some("model"),
                "`model` must be at most 512 bytes without NUL",
            ),
            (r#"{"model":"m","model":"m"}"#, Some("model"), "`model` is given twice"),
            (
                r#"{"model":"m","mod\u0065l":"m"}"#,
                Some("model"),
                "`model` is given twice",
            ),
            (r#"{"model":"m"}"#, Some("messages"), "`messages` is required"),
            (
                r#"{"model":"m","messages":null}"#,
                Some("messages"),
                "`messages` is required",
            ),
            (
                r#"{"model":"m","messages":[]}"#,
                Some("messages"),
                "`messages` must hold at least one message",
            ),
            (
                r#"{"model":"m","messages":{}}"#,
                Some("messages"),
                "`messages` must be an array",
            ),
            (
                r#"{"model":"m","messages":["hi"]}"#,
                Some("messages[0]"),
                "`messages[0]` must be an object",
            ),
            (
                r#"{"model":"m","messages":[{"role":"user"},{"role":1}]}"#,
                Some("messages[1].role"),
                "`messages[1].role` must be a string",
            ),
            (
                r#"{"model":"m","messages":[{}]}"#,
                Some("messages[0].role"),
                "`messages[0].role` is required",
            ),
        ];
        for (body, param, message) in rows {
            let bad = head(body).unwrap_err();
            assert_eq!(
                (bad.param.as_deref(), bad.message.as_str()),
                (*param, *message),
                "{body}"
            );
        }
        for (fields, message) in [
            (r#","stream":1"#, "`stream` must be true or false"),
            (r#","stream":true,"stream":false"#, "`stream` is given twice"),
            (r#","messages":[{"role":"user"}]"#, "`messages` is given twice"),
            (r#","stream_options":[]"#, "`stream_options` must be an object"),
            (
                r#","stream_options":null,"stream_options":{}"#,
                "`stream_options` is given twice",
            ),
            (
                r#","stream_options":{"include_usage":"yes"}"#,
                "`stream_options.include_usage` must be true or false",
            ),
            (r#","n":0"#, "`n` must be between 1 and 128"),
            (r#","n":"2""#, "`n` must be an integer"),
            (r#","max_tokens":1.5"#, "`max_tokens` must be an integer"),
            (
                r#","max_completion_tokens":{}"#,
                "`max_completion_tokens` must be an integer",
            ),
        ] {
            assert_eq!(head(&with(fields)).unwrap_err().message, message, "{fields}");
        }
        let bad = read_head(&Bytes::from_static(b"{\"model\":\"m\",\n\"x\":\"\xff\"}")).unwrap_err();
        assert_eq!(bad.message, "the body is not UTF-8 (line 2, column 6)");
        assert!(
            head(&format!("{{\"x\":{}", "[".repeat(1_000_000)))
                .unwrap_err()
                .message
                .contains("128 levels")
        );
    }

    #[test]
    fn a_splice_changes_the_model_and_the_usage_option_and_nothing_else() {
        let rows: &[(&str, &str, &str)] = &[
            (
                r#"{"model" : "m","stream":true,"messages":M}"#,
                "x/\"y",
                r#"{"model" : "x/\"y","stream_options":{"include_usage":true},"stream":true,"messages":M}"#,
            ),
            (
                r#"{"messages":M,"stream":true,"stream_options":{},"model":"m"}"#,
                "new",
                r#"{"messages":M,"stream":true,"stream_options":{"include_usage":true},"model":"new"}"#,
            ),
            (
                r#"{"model":"m","messages":M,"stream":true,"stream_options":{"x":1}}"#,
                "m",
                r#"{"model":"m","messages":M,"stream":true,"stream_options":{"include_usage":true,"x":1}}"#,
            ),
            (
                r#"{"model":"m","messages":M,"stream":true,"stream_options":null}"#,
                "m",
                r#"{"model":"m","messages":M,"stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"model":"m","messages":M,"stream":true,"stream_options":{"include_usage": false }}"#,
                "m",
                r#"{"model":"m","messages":M,"stream":true,"stream_options":{"include_usage": true }}"#,
            ),
            (
                r#"{"model":"m","messages":M,"stream":true,"stream_options":{"include_usage":true}}"#,
                "k",
                r#"{"model":"k","messages":M,"stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"model":"m","messages":M,"stream":false}"#,
                "k",
                r#"{"model":"k","messages":M,"stream":false}"#,
            ),
        ];
        for (body, model, wanted) in rows {
            let body = Bytes::from(body.replace('M', HELLO));
            let head = read_head(&body).unwrap();
            let got = head.splice(&body, model, true);
            assert_eq!(std::str::from_utf8(&got).unwrap(), wanted.replace('M', HELLO));
            let again = read_head(&got).unwrap();
            assert_eq!((again.model.as_str(), again.include_usage), (*model, head.stream));
            let plain = head.splice(&body, "m", false);
            assert_eq!(plain.as_ptr(), body.as_ptr(), "nothing to change, nothing copied");
        }
    }

    proptest! {
        #[test]
        fn random_fields_and_key_order_survive_byte_for_byte(
            fields in proptest::collection::vec(("x_[a-z\u{e9}🙂\"\\\\]{0,6}", value()), 0..6),
            order in any::<proptest::sample::Index>(), stream in any::<bool>(), blank in "[ \n\t]{0,3}", model in "\\PC{1,20}",
        ) {
            let mut members: Vec<String> = fields.iter()
                .map(|(key, value)| format!("{}{blank}:{blank}{value}", serde_json::to_string(key).unwrap())).collect();
            members.push(format!("\"stream\":{stream}"));
            members.push(format!("\"messages\":{HELLO}"));
            members.push("\"model\":\u{1}".to_owned());
            let turn = order.index(members.len());
            members.rotate_left(turn);
            let template = format!("{{{}}}", members.join(&format!(",{blank}")));
            let body = Bytes::from(template.replace('\u{1}', "\"before\""));
            let head = read_head(&body).unwrap();
            prop_assert_eq!(head.stream, stream);
            let spliced = head.splice(&body, &model, false);
            let wanted = template.replace('\u{1}', &serde_json::to_string(&model).unwrap());
            prop_assert_eq!(std::str::from_utf8(&spliced).unwrap(), &wanted);
            let with_usage = head.splice(&body, &model, true);
            let read = read_head(&with_usage).unwrap();
            prop_assert_eq!(read.include_usage, stream);
            prop_assert_eq!(String::from_utf8(with_usage.to_vec()).unwrap().replace(",\"stream_options\":{\"include_usage\":true}", ""), wanted);
        }

        #[test]
        fn random_bytes_never_panic_and_what_is_taken_is_json(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let body = Bytes::from(bytes);
            if read_head(&body).is_ok() {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
            }
        }

        #[test]
        fn a_body_with_a_random_hole_never_panics(at in any::<proptest::sample::Index>(), with in any::<Vec<u8>>()) {
            let body = with_everything();
            let at = at.index(body.len());
            let mut bytes = body.as_bytes()[..at].to_vec();
            bytes.extend(with);
            bytes.extend_from_slice(&body.as_bytes()[(at + 1).min(body.len())..]);
            let _ = read_head(&Bytes::from(bytes));
        }
    }

    fn with_everything() -> String {
        with(
            r#","stream":true,"stream_options":{"include_usage":false},"n":1,"max_tokens":5,"tools":[{"a":"\ud83d\ude00"}],"response_format":{"type":"text"}"#,
        )
    }

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("1.50e+3".to_owned()),
            "\\PC{0,10}".prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just(r#""\u00e9\/""#.to_owned()),
        ];
        leaf.prop_recursive(4, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
                proptest::collection::vec(inner, 0..3).prop_map(|items| {
                    let members: Vec<_> = items
                        .iter()
                        .enumerate()
                        .map(|(n, v)| format!("\"k{n}\": {v}"))
                        .collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }
}
