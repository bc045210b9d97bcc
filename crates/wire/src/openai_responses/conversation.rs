//! The memory behind `previous_response_id`, as pure functions: what a request wishes for, what an earlier conversation makes of it,
//! and what is to be kept of its answer. Where it is kept, and for how long, is the gateway's affair.
//!
//! What is kept is items, as bytes: the conversation's input and the answer's output, so that a later request is
//! [`expand`]ed to one that stands for itself and any target can serve it. `instructions` are not carried over, as OpenAI
//! documents. Begin at [`read_wishes`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::framing::json::{Cursor, Kind, Surrogates};
use crate::framing::raw::Raw;
use crate::framing::sse::Reader;
use crate::head::{Wrong, utf8};
use crate::openai_responses::carry;
use crate::openai_responses::fields::wrong;
use crate::openai_responses::request::parse;
use crate::request::BadRequest;

/// What a request wishes of the server's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The answer it goes on from.
    pub previous_response_id: Option<String>,
    /// The answer is to be remembered; so unless it says otherwise.
    pub store: bool,
    /// The answer is to be worked on without a connection. Nobody does (`read_head` refuses it).
    pub background: bool,
}

/// Reads the wishes of a request in one pass. The error names the place.
pub fn read_wishes(body: &Bytes) -> Result<Wishes, BadRequest> {
    let text = utf8(body)?;
    wishes(text).map_err(|wrong| wrong.into_bad_request(text))
}

fn wishes(text: &str) -> Result<Wishes, Wrong> {
    let mut cursor = Cursor::new(text, Surrogates::Paired);
    let mut wishes = Wishes {
        previous_response_id: None,
        store: true,
        background: false,
    };
    let mut more = cursor.open_object()?;
    while more {
        let name = cursor.key()?.unescaped();
        match (&*name, cursor.peek()?) {
            ("previous_response_id", Kind::String) => {
                wishes.previous_response_id = Some(cursor.string()?.unescaped().into_owned());
            }
            ("store", Kind::Bool) => wishes.store = cursor.bool()?,
            ("background", Kind::Bool) => wishes.background = cursor.bool()?,
            ("previous_response_id" | "store" | "background", Kind::Null) => cursor.skip()?,
            ("previous_response_id", _) => return Err(Wrong::Request(wrong(&name, "must be a string"))),
            ("store" | "background", _) => return Err(Wrong::Request(wrong(&name, "must be true or false"))),
            _ => cursor.skip()?,
        }
        more = cursor.more_members()?;
    }
    cursor.finish()?;
    Ok(wishes)
}

/// The same request with the earlier conversation before its own input, and without `previous_response_id`: it stands for itself.
/// `earlier` is [`Remembered::items`]. Every other member stays byte for byte.
pub fn expand(body: &Bytes, earlier: &[u8]) -> Result<Bytes, BadRequest> {
    let request = parse(body)?;
    let mut items: Vec<Cow<'_, str>> = Vec::new();
    let earlier = std::str::from_utf8(earlier)
        .ok()
        .and_then(|text| Raw::parse(text, Surrogates::Any).ok());
    items.extend(
        earlier
            .into_iter()
            .flat_map(Raw::items)
            .map(|item| Cow::Borrowed(item.text())),
    );
    items.extend(own_items(request)?);
    let input = format!("[{}]", items.join(","));
    let mut out = Vec::with_capacity(body.len() + input.len());
    let mut put = |name: &str, value: &str| {
        out.extend_from_slice(if out.is_empty() { b"{" } else { b"," });
        out.extend_from_slice(serde_json::to_string(name).expect("a string is always JSON").as_bytes());
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    };
    let mut has_input = false;
    for (name, value) in request.members() {
        match &*name {
            "previous_response_id" => {}
            "input" if has_input => {}
            "input" => {
                has_input = true;
                put("input", &input);
            }
            name => put(name, value.text()),
        }
    }
    if !has_input {
        put("input", &input);
    }
    out.push(b'}');
    Ok(Bytes::from(out))
}

/// The same request with the items its `item_reference`s name in their places, as far as `known` has them: SDKs that rely on
/// the server's memory hand back references instead of items. What is not known stays a reference, which a provider of this
/// dialect may know. Without a known reference the same bytes are given back without a copy. The items put in take at most
/// `room` bytes, and each is looked up once, however often it is referred to: the error is the body's that asks for more.
pub fn dereference(body: &Bytes, room: usize, known: impl Fn(&str) -> Option<String>) -> Result<Bytes, BadRequest> {
    if memchr::memmem::find(body, b"item_reference").is_none() {
        return Ok(body.clone());
    }
    let request = parse(body)?;
    let Some(input) = request.get("input").filter(|input| input.kind() == Kind::Array) else {
        return Ok(body.clone());
    };
    let mut looked_up: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut grown = 0;
    let mut items: Vec<Cow<'_, str>> = Vec::new();
    for item in input.items() {
        let is_reference = item.get("type").and_then(Raw::string).as_deref() == Some("item_reference");
        let id = item.get("id").filter(|_| is_reference).and_then(Raw::string);
        let found = id.and_then(|id| {
            looked_up
                .entry(id.into_owned())
                .or_insert_with_key(|id| known(id))
                .clone()
        });
        grown += found.as_ref().map_or(0, String::len);
        if grown > room {
            return Err(wrong("input", "refers to more than a request may hold"));
        }
        items.push(found.map_or(Cow::Borrowed(item.text()), Cow::Owned));
    }
    if grown == 0 {
        return Ok(body.clone());
    }
    let start = input.text().as_ptr() as usize - body.as_ptr() as usize;
    let behind = start + input.text().len();
    let items = format!("[{}]", items.join(","));
    Ok(Bytes::from(
        [&body[..start], items.as_bytes(), &body[behind..]].concat(),
    ))
}

/// The items of a response object that a later request may refer to, by their ids: those of the answer alone, since the
/// request's bear whatever ids its client chose.
pub fn items_by_id(response: &[u8]) -> Vec<(String, String)> {
    let text = std::str::from_utf8(response).unwrap_or_default();
    let output = Raw::parse(text, Surrogates::Any)
        .ok()
        .and_then(|response| response.get("output"));
    let named = |item: Raw<'_>| Some((item.get("id")?.string()?.into_owned(), item.text().to_owned()));
    let items = output
        .into_iter()
        .flat_map(Raw::items)
        .filter(|item| can_come_back(*item));
    items.filter_map(named).collect()
}

/// The items of a request's own input; a text becomes a message of the user.
fn own_items(request: Raw<'_>) -> Result<Vec<Cow<'_, str>>, BadRequest> {
    let Some(input) = request.get("input") else {
        return Ok(Vec::new());
    };
    match input.kind() {
        Kind::Array => Ok(input.items().map(|item| Cow::Borrowed(item.text())).collect()),
        Kind::String => {
            let content = json!([{"type": "input_text", "text": input.string()}]);
            let message = json!({"type": "message", "role": "user", "content": content});
            Ok(vec![Cow::Owned(message.to_string())])
        }
        Kind::Object | Kind::Number | Kind::Bool | Kind::Null => {
            Err(wrong("input", "must be a string or an array of items"))
        }
    }
}

/// What is to be kept of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The response's id.
    pub id: String,
    /// A JSON array: the request's items and then the answer's. Reasoning without `encrypted_content` is left out, since nobody
    /// could read it without the provider's own memory, and so is reasoning that nobody signed.
    pub items: Vec<u8>,
    /// The response object, as `GET /v1/responses/{id}` gives it back.
    pub response: Vec<u8>,
}

/// What is to be kept of an answer to an [`expand`]ed request. `answer` is a response object, or the frame that ended
/// its stream (frames before it do no harm). `None` when it is no finished answer.
pub fn remember(request: &Bytes, answer: &[u8]) -> Option<Remembered> {
    let framed = last_data(answer);
    let text = std::str::from_utf8(framed.as_deref().unwrap_or(answer)).ok()?;
    let answer = Raw::parse(text.trim_ascii(), Surrogates::Any).ok()?;
    let response = answer.get("response").unwrap_or(answer);
    let status = response.get("status").and_then(Raw::string);
    if !matches!(status.as_deref(), Some("completed" | "incomplete")) {
        return None;
    }
    let id = response.get("id")?.string()?.into_owned();
    let output = response.get("output")?;
    let mut items = own_items(parse(request).ok()?).ok()?;
    items.extend(
        output
            .items()
            .filter(|item| can_come_back(*item))
            .map(|item| Cow::Borrowed(item.text())),
    );
    Some(Remembered {
        id,
        items: format!("[{}]", items.join(",")).into_bytes(),
        response: response.text().as_bytes().to_vec(),
    })
}

fn can_come_back(item: Raw<'_>) -> bool {
    let is_reasoning = item.get("type").and_then(Raw::string).as_deref() == Some("reasoning");
    let sealed = item.get("encrypted_content").and_then(Raw::string);
    !is_reasoning || sealed.is_some_and(|sealed| *sealed != *carry::seal_unsigned())
}

/// The data of the last frame that ends a stream, when these are frames.
fn last_data(answer: &[u8]) -> Option<Vec<u8>> {
    if answer.trim_ascii_start().first() == Some(&b'{') {
        return None;
    }
    let mut reader = Reader::new();
    reader.push(answer);
    reader.finish();
    let frames = std::iter::from_fn(|| reader.poll()).take_while(Result::is_ok).flatten();
    frames
        .filter(|frame| !frame.data.is_empty() && frame.data.trim_ascii() != b"[DONE]")
        .last()
        .map(|frame| frame.data)
}

/// The items of a remembered conversation as `GET /v1/responses/{id}/input_items` lists them: newest first, as OpenAI's default
/// order is, each with an id: what the response answered, without its own output.
pub fn input_items(remembered: &Remembered) -> Vec<u8> {
    let parsed = |bytes| Raw::parse(std::str::from_utf8(bytes).ok()?, Surrogates::Any).ok();
    let (items, response) = (parsed(&remembered.items), parsed(&remembered.response));
    let output = response.and_then(|response| response.get("output"));
    let own = output
        .into_iter()
        .flat_map(Raw::items)
        .filter(|item| can_come_back(*item))
        .count();
    let input_len = items.into_iter().flat_map(Raw::items).count().saturating_sub(own);
    let mut data: Vec<String> = Vec::new();
    let (mut first, mut last) = (Value::Null, Value::Null);
    for (index, item) in items.into_iter().flat_map(Raw::items).take(input_len).enumerate() {
        let known = item.get("id").and_then(Raw::string).map(Cow::into_owned);
        let id = known.clone().unwrap_or_else(|| format!("item_{index}"));
        if last.is_null() {
            last = json!(id);
        }
        first = json!(id);
        let text = item.text();
        data.push(match (known, item.members().next()) {
            (Some(_), _) => text.to_owned(),
            (None, Some(_)) => format!("{{\"id\":\"{id}\",{}", text[1..].trim_start()),
            (None, None) => continue,
        });
    }
    data.reverse();
    let data = data.join(",");
    format!(r#"{{"object":"list","data":[{data}],"first_id":{first},"last_id":{last},"has_more":false}}"#).into_bytes()
}

/// The answer to `DELETE /v1/responses/{id}`.
pub fn deleted(id: &str) -> Vec<u8> {
    json!({"id": id, "object": "response", "deleted": true})
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn a_reference_to_a_known_item_becomes_the_item_and_an_unknown_one_stays() {
        let known = |id: &str| (id == "rs_1").then(|| r#"{"type":"reasoning","id":"rs_1","summary":[]}"#.to_owned());
        let body = bytes(
            r#"{"model":"m", "input": [ {"type":"item_reference","id":"rs_1"},{"type":"item_reference","id":"fc_9"}, {"role":"user","content":"item_reference"}],"x": 1.0}"#,
        );
        assert_eq!(
            dereference(&body, 1000, known).unwrap(),
            r#"{"model":"m", "input": [{"type":"reasoning","id":"rs_1","summary":[]},{"type":"item_reference","id":"fc_9"},{"role":"user","content":"item_reference"}],"x": 1.0}"#
        );
        for same in [
            r#"{"input":"item_reference"}"#,
            r#"{"input":[{"type":"item_reference","id":"x"}]}"#,
        ] {
            assert_eq!(dereference(&bytes(same), 1000, known).unwrap(), same);
        }
        let twice = bytes(r#"{"input":[{"type":"item_reference","id":"rs_1"},{"type":"item_reference","id":"rs_1"}]}"#);
        assert!(dereference(&twice, 100, known).is_ok() && dereference(&twice, 50, known).is_err());
        let answer = br#"{"id":"resp_1","output":[{"type":"reasoning","id":"rs_0"},{"type":"message","id":"msg_1"}]}"#;
        let named = [("msg_1".to_owned(), r#"{"type":"message","id":"msg_1"}"#.to_owned())];
        assert_eq!(
            items_by_id(answer),
            named,
            "reasoning that nobody can read does not come back"
        );
    }

    #[test]
    fn wishes_are_read_and_have_defaults() {
        let none = Wishes {
            previous_response_id: None,
            store: true,
            background: false,
        };
        let all = Wishes {
            previous_response_id: Some("resp_1".into()),
            store: false,
            background: true,
        };
        let rows = [
            (r#"{"model":"m","input":"x"}"#, Ok(none.clone())),
            (
                r#"{"store":null,"background":null,"previous_response_id":null}"#,
                Ok(none),
            ),
            (
                r#"{"x":{"store":false},"background":true,"store":false,"previous_response_id":"resp_1"}"#,
                Ok(all),
            ),
            (r#"{"store":"no"}"#, Err(Some("store"))),
            (r#"{"previous_response_id":7}"#, Err(Some("previous_response_id"))),
            ("[]", Err(None)),
            ("{", Err(None)),
        ];
        for (body, wanted) in rows {
            let read = read_wishes(&bytes(body)).map_err(|bad| bad.param);
            assert_eq!(
                read.as_ref().map_err(Option::as_deref),
                wanted.as_ref().map_err(|param| *param),
                "{body}"
            );
        }
    }

    #[test]
    fn a_request_that_goes_on_stands_for_itself() {
        let earlier = br#"[{"role":"user","content":"a"}, {"type":"message","role":"assistant","content":[]}]"#;
        let rows = [
            (
                r#"{"model":"m","previous_response_id":"resp_1","input":"b\n","temperature":1.50}"#,
                r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"message","role":"assistant","content":[]},{"type":"message","role":"user","content":[{"type":"input_text","text":"b\n"}]}],"temperature":1.50}"#,
            ),
            (
                r#"{"input":[{"x": 1}],"previous_response_id":"resp_1","new":[ 1 ]}"#,
                r#"{"input":[{"role":"user","content":"a"},{"type":"message","role":"assistant","content":[]},{"x": 1}],"new":[ 1 ]}"#,
            ),
            (
                r#"{"previous_response_id":"resp_1"}"#,
                r#"{"input":[{"role":"user","content":"a"},{"type":"message","role":"assistant","content":[]}]}"#,
            ),
        ];
        for (body, wanted) in rows {
            assert_eq!(expand(&bytes(body), earlier).unwrap(), wanted);
        }
        assert_eq!(
            expand(&bytes(r#"{"input":7}"#), b"[]").unwrap_err().param.as_deref(),
            Some("input")
        );
    }

    #[test]
    fn an_answer_is_remembered_with_what_it_answered() {
        let request = bytes(r#"{"model":"m","input":"hi"}"#);
        let response = r#"{"id":"resp_1","object":"response","status":"completed","output":[{"id":"rs_1","type":"reasoning","summary":[]},{"id":"rs_2","type":"reasoning","encrypted_content":"g"},{"id":"msg_1","type":"message"}]}"#;
        let wanted = r#"[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},{"id":"rs_2","type":"reasoning","encrypted_content":"g"},{"id":"msg_1","type":"message"}]"#;
        let framed = format!(
            "event: response.completed\ndata: {{\"type\":\"response.completed\",\"sequence_number\":9,\"response\":{response}}}\n\ndata: [DONE]\n\n"
        );
        for answer in [response, &framed] {
            let kept = remember(&request, answer.as_bytes()).unwrap();
            assert_eq!(kept.id, "resp_1");
            assert_eq!(String::from_utf8(kept.items).unwrap(), wanted);
            assert_eq!(String::from_utf8(kept.response).unwrap(), response);
        }
        for none in [
            "",
            "{}",
            "data: {}\n\n",
            r#"{"id":"resp_1","status":"failed","output":[]}"#,
            "event: error\ndata: {\"type\":\"error\"}\n\n",
        ] {
            assert_eq!(remember(&request, none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn remembered_items_are_listed_newest_first_with_ids() {
        let kept = |items: &[u8], response: &[u8]| Remembered {
            id: "resp_1".into(),
            items: items.to_vec(),
            response: response.to_vec(),
        };
        let list = input_items(&kept(
            br#"[{"role":"user"},{"id":"msg_1","type":"message"},{"id":"msg_2","type":"message"}]"#,
            br#"{"output":[{"type":"reasoning"},{"id":"msg_2","type":"message"}]}"#,
        ));
        assert_eq!(
            String::from_utf8(list).unwrap(),
            r#"{"object":"list","data":[{"id":"msg_1","type":"message"},{"id":"item_0","role":"user"}],"first_id":"msg_1","last_id":"item_0","has_more":false}"#
        );
        assert_eq!(
            String::from_utf8(input_items(&kept(b"[]", b"{}"))).unwrap(),
            r#"{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}"#
        );
        assert_eq!(
            String::from_utf8(deleted("resp_1")).unwrap(),
            r#"{"id":"resp_1","object":"response","deleted":true}"#
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(body in any::<Vec<u8>>(), text in ".*") {
            let body = Bytes::from(body);
            let _ = (read_wishes(&body), expand(&body, text.as_bytes()), remember(&body, text.as_bytes()));
            let kept = Remembered { id: String::new(), items: body.to_vec(), response: body.to_vec() };
            let _ = (input_items(&kept), remember(&Bytes::from(r#"{"input":"a"}"#), &body));
        }
    }
}
