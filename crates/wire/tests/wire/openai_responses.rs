//! Responses against golden files from the documents: requests, answers, streams, both roles; what comes back of other dialects'
//! reasoning; and every reader against bytes nobody meant.

use bytes::Bytes;
use http::HeaderMap;
use jumpseat_wire::call_error::{AttemptSummary, CallError};
use jumpseat_wire::dialect;
use jumpseat_wire::framing::pass::{Pass, PassScanner, Passed};
use jumpseat_wire::openai_responses::conversation::{expand, remember};
use jumpseat_wire::openai_responses::{
    PassJudge, StreamDecoder, StreamEncoder, classify, decode_answer, decode_request, encode_answer, encode_request,
    error_event, inspect_answer, read_head,
};
use jumpseat_wire::request::{UNTRANSLATABLE, UpstreamModel};
use jumpseat_wire::response::{Decode, Encode, EncoderOptions, RawAnswer};
use proptest::prelude::*;
use serde_json::{Value, json};
use types::answer::{AnswerPart, ChatAnswer, Choice, FinishReason};
use types::chat::{
    ChatRequest, Json, Media, Message, Part, Reasoning, ReasoningRequest, ResponseFormat, Role, Tool, ToolCall,
    ToolChoice,
};
use types::dialect::DialectName;
use types::event::StreamEvent;
use types::outcome::{Failure, OutcomeClass};
use types::time::UnixMillis;
use types::usage::Usage;

const REQUEST: &str = include_str!("../../golden/openai_responses/request_full.json");
const ANSWER: &str = include_str!("../../golden/openai_responses/answer_full.json");
const REFUSAL: &str = include_str!("../../golden/openai_responses/answer_refusal.json");
const STREAMS: [(&str, &str); 3] = [
    ("full", include_str!("../../golden/openai_responses/stream_full.sse")),
    (
        "raw_reasoning",
        include_str!("../../golden/openai_responses/stream_raw_reasoning.sse"),
    ),
    (
        "failed",
        include_str!("../../golden/openai_responses/stream_failed.sse"),
    ),
];
/// Streams of the other dialects, with signed and opaque reasoning, calls and signed calls.
const OTHERS: [(&str, DialectName, &str); 4] = [
    (
        "openai_chat",
        DialectName::OpenaiChat,
        include_str!("../../golden/openai_chat/stream_tools.sse"),
    ),
    (
        "anthropic",
        DialectName::AnthropicMessages,
        include_str!("../../golden/anthropic_messages/stream_full.sse"),
    ),
    (
        "gemini_tools",
        DialectName::Gemini,
        include_str!("../../golden/gemini/stream_tools.sse"),
    ),
    (
        "gemini_text",
        DialectName::Gemini,
        include_str!("../../golden/gemini/stream_text.sse"),
    ),
];
const UPSTREAM: UpstreamModel<'_> = UpstreamModel {
    model: "up-1",
    max_output_default: 4096,
    reasoning: true,
};

// Requests.

#[test]
fn everything_a_request_says_is_read() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    insta::assert_snapshot!("responses_request_neutral", pretty(&request));
    let head = read_head(&Bytes::from_static(REQUEST.as_bytes())).unwrap();
    assert_eq!(head.features, request.features());
    assert_eq!(
        (head.max_output_tokens, head.stream, head.messages),
        (Some(512), true, 11)
    );
}

#[test]
fn a_request_that_is_read_and_written_again_means_the_same() {
    let request = decode_request(REQUEST.as_bytes()).unwrap();
    let encoded = encode_request(&request, UPSTREAM).unwrap();
    insta::assert_snapshot!("responses_request_again", told(&encoded.body, &encoded.dropped));
    let mut again = decode_request(&encoded.body).unwrap();
    assert_eq!(again.model, "up-1");
    again.model = request.model.clone();
    // What was dropped is told above; the rest is the same.
    let (mut request, mut left) = (request, Vec::new());
    request.extra.retain(|(name, value)| {
        let place = name.contains('[');
        if place {
            left.push((name.clone(), value.clone()));
        }
        !place
    });
    let Part::Text { cache, .. } = &mut request.messages[2].parts[0] else {
        panic!("a text")
    };
    *cache = None;
    request.extra.sort_by(|a, b| a.0.cmp(&b.0));
    again.extra.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(again, request);
    assert_eq!(left.len(), 1);
}

#[test]
fn what_only_openais_servers_can_do_is_untranslatable() {
    let item = |item: &str| format!(r#"{{"model":"m","input":[{{"role":"user","content":"x"}},{item}]}}"#);
    let with = |fields: &str| format!(r#"{{"model":"m","input":"x",{fields}}}"#);
    let rows = [
        (item(r#"{"type":"item_reference","id":"msg_1"}"#), "input[1]"),
        (item(r#"{"id":"msg_1"}"#), "input[1]"),
        (
            item(r#"{"type":"web_search_call","id":"ws_1","status":"completed"}"#),
            "input[1].type",
        ),
        (
            item(r#"{"type":"compaction","encrypted_content":"x"}"#),
            "input[1].type",
        ),
        (item(r#"{"type":"local_shell_call","call_id":"c"}"#), "input[1].type"),
        (
            item(r#"{"role":"user","content":[{"type":"input_video"}]}"#),
            "input[1].content[0].type",
        ),
        (with(r#""tool_choice":{"type":"web_search"}"#), "tool_choice"),
        (with(r#""previous_response_id":"resp_1""#), "previous_response_id"),
        (with(r#""conversation":"conv_1""#), "conversation"),
        (with(r#""prompt":{"id":"p"}"#), "prompt"),
    ];
    for (body, param) in rows {
        let bad = decode_request(body.as_bytes()).unwrap_err();
        assert_eq!(
            (bad.param.as_deref(), bad.code),
            (Some(param), Some(UNTRANSLATABLE)),
            "{body}"
        );
    }
}

#[test]
fn bad_requests_name_the_place() {
    let rows = [
        (r#"{"model":"m","input":[{"content":"x"}]}"#, "input[0].type"),
        (
            r#"{"model":"m","input":[{"role":"tool","content":"x"}]}"#,
            "input[0].role",
        ),
        (r#"{"model":"m","input":[{"role":"user"}]}"#, "input[0].content"),
        (
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}"#,
            "input[0].content[0].text",
        ),
        (
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}"#,
            "input[0].content[0].image_url",
        ),
        (
            r#"{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f"}]}"#,
            "input[0].arguments",
        ),
        (
            r#"{"model":"m","input":[{"type":"function_call_output","output":"x"}]}"#,
            "input[0].call_id",
        ),
        (r#"{"model":"m","input":"x","tools":[{"name":"f"}]}"#, "tools[0].type"),
        (
            r#"{"model":"m","input":"x","text":{"format":{"type":"yaml"}}}"#,
            "text.format.type",
        ),
        (r#"{"model":"m","input":"x","temperature":"hot"}"#, "temperature"),
        (r#"{"model":"m","input":"x","tool_choice":"maybe"}"#, "tool_choice"),
    ];
    for (body, param) in rows {
        let bad = decode_request(body.as_bytes()).unwrap_err();
        assert_eq!(bad.param.as_deref(), Some(param), "{body}");
        assert_ne!(bad.code, Some(UNTRANSLATABLE), "{body}");
    }
}

#[test]
fn small_spellings_mean_what_they_should() {
    let with = |fields: &str| decode_request(format!(r#"{{"model":"m","input":"hi",{fields}}}"#).as_bytes()).unwrap();
    assert_eq!(with(r#""top_logprobs":3"#).logprobs, Some(3));
    assert_eq!(with(r#""top_logprobs":0"#).logprobs, None);
    assert_eq!(with(r#""include":["message.output_text.logprobs"]"#).logprobs, Some(0));
    assert_eq!(with(r#""include":["file_search_call.results"]"#).extra.len(), 1);
    assert_eq!(with(r#""instructions":"a""#).messages[0].role, Role::System);
    let allowed = with(
        r#""tools":[{"type":"function","name":"a"},{"type":"custom","name":"b"}],
           "tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"custom","name":"b"}]}"#,
    );
    assert_eq!(
        (allowed.tools.len(), allowed.tools[0].name.as_str(), allowed.tool_choice),
        (1, "b", Some(ToolChoice::Required))
    );
}

#[test]
fn what_this_dialect_cannot_say_is_refused_or_told() {
    let chat = |fields: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi","name":"bo"}}],{fields}}}"#);
        let request = jumpseat_wire::openai_chat::decode_request(body.as_bytes()).unwrap();
        encode_request(&request, UPSTREAM)
    };
    for (field, param) in [(r#""n":2"#, "n"), (r#""stop":["a"]"#, "stop")] {
        assert_eq!(chat(field).unwrap_err().param.as_deref(), Some(param));
    }
    let encoded = chat(
        r#""seed":1,"presence_penalty":0.5,"logit_bias":{"1":2},"verbosity":"low","metadata":{"a":"b"},"prompt_cache_key":"k",
           "tools":[{"type":"function","function":{"name":"f"}}]"#,
    )
    .unwrap();
    let dropped: Vec<_> = encoded.dropped.iter().map(|d| d.0.as_str()).collect();
    assert_eq!(dropped, ["name", "presence_penalty", "seed", "logit_bias"]);
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(
        (
            &body["text"]["verbosity"],
            &body["metadata"]["a"],
            &body["prompt_cache_key"],
            &body["store"]
        ),
        (&json!("low"), &json!("b"), &json!("k"), &json!(false))
    );
    assert_eq!(
        body["tools"][0]["strict"], false,
        "chat's tools are not strict unless they say so"
    );
}

#[test]
fn a_request_of_chat_completions_is_written_as_items() {
    let mut asked = json_of(include_bytes!("../../golden/openai_chat/request_full.json"));
    asked.as_object_mut().unwrap().remove("stop");
    let request = jumpseat_wire::openai_chat::decode_request(asked.to_string().as_bytes()).unwrap();
    let encoded = encode_request(&request, UPSTREAM).unwrap();
    insta::assert_snapshot!("responses_request_from_chat", told(&encoded.body, &encoded.dropped));
    decode_request(&encoded.body).unwrap();
    for (field, _) in &request.extra {
        let body = json_of(&encoded.body);
        let carried = !body[field].is_null() || !body["text"][field].is_null();
        assert!(
            carried || encoded.dropped.iter().any(|dropped| dropped.0 == *field),
            "{field} is lost in silence"
        );
    }
}

// Answers.

#[test]
fn an_answer_is_read_and_written() {
    let headers = HeaderMap::new();
    let answer = decode_answer(raw(200, ANSWER.as_bytes(), &headers)).unwrap();
    insta::assert_snapshot!("responses_answer_neutral", pretty(&answer));
    let written = encode_answer(&answer, &options());
    insta::assert_snapshot!("responses_answer_again", pretty(&json_of(&written)));
    assert_eq!(decode_answer(raw(200, &written, &headers)).unwrap(), answer);
    let facts = inspect_answer(raw(200, ANSWER.as_bytes(), &headers)).unwrap();
    assert_eq!(
        (facts.finish, facts.filtered, facts.usage),
        (Some(FinishReason::ToolCalls), false, answer.usage)
    );
    let refused = inspect_answer(raw(200, REFUSAL.as_bytes(), &headers)).unwrap();
    assert_eq!(
        (refused.finish, refused.filtered),
        (Some(FinishReason::ContentFilter), true)
    );
}

#[test]
fn everything_that_is_no_answer_is_a_failure() {
    use OutcomeClass::*;
    let rows: &[(u16, &str, OutcomeClass)] = &[
        (200, "", BadResponse),
        (200, "<html>", BadResponse),
        (200, "{}", BadResponse),
        (200, "[]", BadResponse),
        (
            200,
            r#"{"id":"resp_1","status":"in_progress","output":[]}"#,
            BadResponse,
        ),
        (200, r#"{"id":"resp_1","status":"cancelled","output":[]}"#, ServerError),
        (200, r#"{"error":"something"}"#, BadResponse),
        (
            200,
            r#"{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"m"},"output":[]}"#,
            ServerError,
        ),
        (
            200,
            r#"{"id":"resp_1","status":"failed","error":{"code":"rate_limit_exceeded","message":"m"},"output":[]}"#,
            RateLimited,
        ),
        (
            400,
            r#"{"error":{"message":"too long","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#,
            ContextTooLong,
        ),
        (500, ANSWER, ServerError),
    ];
    let headers = HeaderMap::new();
    for (status, body, class) in rows {
        let raw = raw(*status, body.as_bytes(), &headers);
        assert_eq!(inspect_answer(raw).unwrap_err().class, *class, "{status} {body}");
        assert_eq!(decode_answer(raw).unwrap_err().class, *class, "{status} {body}");
    }
}

#[test]
fn an_answer_repeats_the_parameters_of_the_request() {
    let answer = json_of(&encode_answer(&ChatAnswer::default(), &options()));
    let request: Value = serde_json::from_str(REQUEST).unwrap();
    for name in [
        "instructions",
        "tools",
        "tool_choice",
        "temperature",
        "top_p",
        "metadata",
        "parallel_tool_calls",
        "reasoning",
        "text",
        "truncation",
        "store",
        "max_output_tokens",
        "user",
        "max_tool_calls",
        "service_tier",
        "top_logprobs",
    ] {
        assert_eq!(answer[name], request[name], "{name}");
    }
    assert_eq!(answer["id"], "resp_call1");
    assert!(answer.get("input").is_none() && answer.get("include").is_none());
    let plain = EncoderOptions {
        request: Bytes::from_static(br#"{"model":"m","input":"x"}"#),
        ..options()
    };
    let answer = json_of(&encode_answer(&ChatAnswer::default(), &plain));
    assert_eq!((&answer["store"], &answer["tools"]), (&json!(true), &json!([])));
}

#[test]
fn a_custom_tools_call_comes_back_as_text() {
    let call = ToolCall {
        id: "call_2".into(),
        name: "apply_patch".into(),
        arguments: r#"{"input":"*** Begin \"Patch\"\n"}"#.into(),
        signature: None,
    };
    let answer = answer_of(vec![AnswerPart::ToolCall(call.clone())], FinishReason::ToolCalls);
    let written = json_of(&encode_answer(&answer, &options()));
    let item = &written["output"][0];
    assert_eq!(
        (&item["type"], &item["input"], &item["call_id"]),
        (
            &json!("custom_tool_call"),
            &json!("*** Begin \"Patch\"\n"),
            &json!("call_2")
        )
    );
    let next = json!({"model": "m", "input": written["output"]}).to_string();
    assert_eq!(
        decode_request(next.as_bytes()).unwrap().messages[0].parts,
        [Part::ToolCall(call)]
    );
}

// Streams.

#[test]
fn streams_are_read_the_same_wherever_they_are_cut() {
    for (name, stream) in STREAMS {
        let whole = decode(stream.as_bytes(), stream.len());
        insta::assert_snapshot!(format!("responses_stream_{name}"), lines(&whole.0));
        assert_eq!(whole.1, 0, "{name}");
        for size in [1, 2, 7, 64, 1000] {
            assert_eq!(decode(stream.as_bytes(), size), whole, "{name} in pieces of {size}");
        }
        for cut in (0..stream.len()).step_by(13) {
            let mut decoder = StreamDecoder::new();
            decoder.push(&stream.as_bytes()[..cut]);
            decoder.finish();
            let last = std::iter::from_fn(|| decoder.poll()).last();
            assert!(
                matches!(last, Some(StreamEvent::End | StreamEvent::Error(_))),
                "{name} cut at {cut} ends: {last:?}"
            );
        }
    }
}

#[test]
fn a_stream_of_its_own_passes_as_it_came_wherever_it_is_cut() {
    let (_, stream) = STREAMS[0];
    for size in [1, 5, 300, stream.len()] {
        let mut scanner = PassScanner::new(PassJudge::new());
        let (mut passed, mut kinds) = (Vec::new(), String::new());
        let mut take = |scanner: &mut PassScanner<PassJudge>| {
            while let Some(piece) = scanner.poll() {
                let (kind, bytes) = match piece {
                    Passed::Preamble(bytes) => ('p', bytes),
                    Passed::Content(bytes) => ('c', bytes),
                    Passed::Done(bytes) => ('d', bytes),
                    Passed::Error(failure) => panic!("{failure:?}"),
                };
                passed.extend_from_slice(&bytes);
                kinds.push(kind);
            }
        };
        for chunk in stream.as_bytes().chunks(size) {
            scanner.push(Bytes::copy_from_slice(chunk));
            take(&mut scanner);
        }
        scanner.finish();
        take(&mut scanner);
        assert_eq!(passed, stream.as_bytes());
        assert!(kinds.ends_with('d'));
        if size == 1 {
            assert!(
                kinds.starts_with("ppppc"),
                "created, in progress, item and part are held: {kinds}"
            );
        }
        let facts = scanner.facts();
        assert_eq!(
            facts
                .usage
                .map(|usage| (usage.input, usage.cached_input, usage.reasoning)),
            Some((36, 10, 64))
        );
        assert_eq!(
            (facts.id.as_deref(), facts.finish),
            (Some("resp_68c1"), Some(FinishReason::ToolCalls))
        );
    }
}

#[test]
fn a_failure_inside_a_stream_is_told_in_both_roles() {
    let (events, _) = decode(STREAMS[2].1.as_bytes(), 10_000);
    let Some(StreamEvent::Error(failure)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(
        (failure.class, failure.retry_after.map(|wait| wait.as_secs())),
        (OutcomeClass::RateLimited, Some(2))
    );
    let attempts = [AttemptSummary {
        target: "a/b".into(),
        outcome: OutcomeClass::Timeout,
        latency_ms: 12,
    }];
    let event = error_event(&CallError {
        id: "call1",
        class: OutcomeClass::StreamBroken,
        timeout: None,
        provider_status: None,
        message: "it broke",
        code: None,
        param: None,
        attempts: &attempts,
        named_target: false,
    });
    insta::assert_snapshot!("responses_error_event", String::from_utf8(event).unwrap());
}

#[test]
fn other_dialects_streams_are_written_in_the_documented_order() {
    for (name, from, stream) in OTHERS {
        let events = events_of(from, stream);
        let written = encode(&events, options());
        insta::assert_snapshot!(
            format!("responses_stream_from_{name}"),
            String::from_utf8(written.clone()).unwrap()
        );
        check_order(&written);
        let (again, malformed) = decode(&written, 37);
        assert_eq!(malformed, 0);
        assert_eq!(said(&again), said(&events), "{name}");
        // Every piece on its way is in the whole at the end, and the whole is what an unary answer would be.
        let (_, last) = frames(&written).pop().unwrap();
        let answer = decode_answer(raw(200, last["response"].to_string().as_bytes(), &HeaderMap::new())).unwrap();
        let text: String = said(&events)
            .into_iter()
            .filter_map(|(kind, text)| (kind == "text").then_some(text))
            .collect();
        assert_eq!(answer.text(), text, "{name}");
    }
}

#[test]
fn a_continued_stream_goes_on_with_the_same_answer() {
    let start = |id: &str| StreamEvent::Start {
        id: id.into(),
        model: "m-1".into(),
        created: 7,
    };
    let text = |text: &str| StreamEvent::Text {
        choice: 0,
        text: text.into(),
        logprobs: None,
    };
    let finish = StreamEvent::Finish {
        choice: 0,
        reason: FinishReason::Stop,
    };
    let whole = encode(
        &[
            start("resp_a"),
            text("one"),
            text(" two"),
            finish.clone(),
            StreamEvent::End,
        ],
        options(),
    );
    let first = encode(&[start("resp_a"), text("one")], options());
    let mut encoder = StreamEncoder::new(options());
    let mut sink = Vec::new();
    [start("resp_a"), text("one")]
        .iter()
        .for_each(|event| encoder.encode(event, &mut sink));
    let mut rest = Vec::new();
    for event in [start("msg_b"), text(" two"), finish, StreamEvent::End] {
        encoder.encode(&event, &mut rest);
    }
    assert_eq!(
        String::from_utf8([first, rest].concat()).unwrap(),
        String::from_utf8(whole).unwrap()
    );
}

#[test]
fn reasoning_and_signatures_come_back_to_their_origin_on_the_next_turn() {
    let anthropic = Reasoning {
        text: "Hm.".into(),
        signature: Some("sig==".into()),
        redacted: None,
        origin: Some(DialectName::AnthropicMessages),
    };
    let opaque = Reasoning {
        redacted: Some("blob".into()),
        origin: Some(DialectName::AnthropicMessages),
        ..Reasoning::default()
    };
    let plain = Reasoning {
        text: "Well.".into(),
        ..Reasoning::default()
    };
    let own = Reasoning {
        text: "So.".into(),
        signature: Some("gAAA".into()),
        redacted: None,
        origin: Some(DialectName::OpenaiResponses),
    };
    let call = ToolCall {
        id: "c1".into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: Some("gemini-sig".into()),
    };
    let thoughts = [anthropic, opaque, plain, own];
    let mut parts: Vec<AnswerPart> = thoughts.iter().cloned().map(AnswerPart::Reasoning).collect();
    parts.push(AnswerPart::ToolCall(call.clone()));
    let mut wanted: Vec<Part> = thoughts.into_iter().map(Part::Reasoning).collect();
    wanted.push(Part::ToolCall(call));

    let asked = Bytes::from_static(br#"{"model":"m","input":"hi"}"#);
    let answer = encode_answer(&answer_of(parts.clone(), FinishReason::ToolCalls), &options());
    // The client hands the items back itself...
    let items = &json_of(&answer)["output"];
    let next = json!({"model": "m", "input": items}).to_string();
    assert_eq!(decode_request(next.as_bytes()).unwrap().messages[0].parts, wanted);
    // ... or asks us to remember them.
    let kept = remember(&asked, &answer).unwrap();
    let next = expand(
        &Bytes::from_static(br#"{"model":"m","input":"go on","previous_response_id":"x"}"#),
        &kept.items,
    );
    let next = decode_request(&next.unwrap()).unwrap();
    let roles: Vec<_> = next.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
    wanted.remove(2); // Reasoning that nobody can verify is not remembered.
    assert_eq!(next.messages[1].parts, wanted);
}

// Generated.

fn small() -> impl Strategy<Value = String> {
    "[a-zé🙂\"\\\\\n ]{1,8}"
}

fn media() -> impl Strategy<Value = Media> {
    prop_oneof![
        Just(Media::Url {
            url: "https://example.com/x".into()
        }),
        Just(Media::Base64 {
            media_type: "image/png".into(),
            data: "AAAA".into()
        }),
        "[a-z]{1,4}".prop_map(|id| Media::FileId { id }),
    ]
}

fn plain_part() -> impl Strategy<Value = Part> {
    prop_oneof![
        small().prop_map(Part::text),
        (media(), proptest::option::of("low|high")).prop_map(|(source, detail)| Part::Image {
            source,
            detail,
            cache: None
        }),
        (media(), proptest::option::of(small())).prop_map(|(source, filename)| Part::File {
            source,
            filename,
            cache: None
        }),
    ]
}

fn own_reasoning() -> impl Strategy<Value = Reasoning> {
    (proptest::option::of(small()), small()).prop_map(|(text, content)| Reasoning {
        signature: text.is_some().then(|| content.clone()),
        redacted: text.is_none().then_some(content),
        text: text.unwrap_or_default(),
        origin: Some(DialectName::OpenaiResponses),
    })
}

fn tool_call() -> impl Strategy<Value = ToolCall> {
    ("c[0-9]{1,3}", "[a-z]{1,5}", small()).prop_map(|(id, name, arguments)| ToolCall {
        id,
        name,
        arguments,
        signature: None,
    })
}

fn turn() -> impl Strategy<Value = Vec<Message>> {
    let message = |role, parts| Message {
        role,
        parts,
        name: None,
    };
    let assistant = prop_oneof![
        small().prop_map(Part::text),
        small().prop_map(|text| Part::Refusal { text }),
        own_reasoning().prop_map(Part::Reasoning),
        tool_call().prop_map(Part::ToolCall),
    ];
    let result = ("r[0-9]{1,3}", prop::collection::vec(plain_part(), 0..3)).prop_map(move |(call_id, content)| {
        message(
            Role::Tool,
            vec![Part::ToolResult {
                call_id,
                name: None,
                content,
                is_error: false,
                cache: None,
            }],
        )
    });
    (
        prop::collection::vec(plain_part(), 1..4),
        prop::collection::vec(assistant, 1..5),
        prop::collection::vec(result, 0..3),
    )
        .prop_map(move |(asked, said, results)| {
            let mut turn = vec![message(Role::User, asked), message(Role::Assistant, said)];
            turn.extend(results);
            turn
        })
}

fn request() -> impl Strategy<Value = ChatRequest> {
    let tool = (
        "[a-z]{1,5}",
        proptest::option::of(small()),
        proptest::option::of(any::<bool>()),
    )
        .prop_map(|(name, description, strict)| Tool {
            name,
            description,
            parameters: Some(Json::parse(r#"{"type":"object","properties":{"b":{},"a":{"minimum":1.50}}}"#).unwrap()),
            strict,
            cache: None,
        });
    let format = prop_oneof![
        Just(ResponseFormat::Text),
        Just(ResponseFormat::JsonObject),
        Just(ResponseFormat::JsonSchema {
            name: "n".into(),
            description: None,
            schema: Json::parse(r#"{"z":1.0}"#).unwrap(),
            strict: Some(true),
        }),
    ];
    (
        (
            proptest::option::of(small()),
            prop::collection::vec(turn(), 1..4),
            prop::collection::vec(tool, 0..3),
        ),
        (
            proptest::option::of(format),
            proptest::option::of(0u32..21),
            proptest::option::of(0i32..200),
        ),
        (
            proptest::option::of(1u64..9999),
            proptest::option::of("low|none|xhigh"),
            any::<bool>(),
        ),
    )
        .prop_map(
            |((system, turns, tools), (response_format, logprobs, hundredths), (limit, effort, stream))| {
                let mut messages: Vec<Message> = system
                    .map(|text| Message {
                        role: Role::System,
                        parts: vec![Part::text(text)],
                        name: None,
                    })
                    .into_iter()
                    .collect();
                messages.extend(turns.into_iter().flatten());
                let mut request = ChatRequest {
                    model: "up-1".into(),
                    messages,
                    tool_choice: (!tools.is_empty()).then_some(ToolChoice::Named("f".into())),
                    parallel_tool_calls: (!tools.is_empty()).then_some(stream),
                    tools,
                    response_format,
                    logprobs,
                    max_output_tokens: limit,
                    reasoning: effort.map(ReasoningRequest::Effort),
                    stream,
                    include_usage: true,
                    user: Some("u".into()),
                    dialect: Some(DialectName::OpenaiResponses),
                    extra: vec![("metadata".into(), Json::parse(r#"{"a": 1}"#).unwrap())],
                    ..ChatRequest::default()
                };
                request.sampling.temperature = hundredths.map(|n| f64::from(n) / 100.0);
                request
            },
        )
}

fn answer() -> impl Strategy<Value = ChatAnswer> {
    let block = prop_oneof![
        small().prop_map(|text| vec![AnswerPart::Text { text }]),
        small().prop_map(|text| vec![AnswerPart::Refusal { text }]),
        own_reasoning().prop_map(|thought| vec![AnswerPart::Reasoning(thought)]),
        prop::collection::vec(tool_call().prop_map(AnswerPart::ToolCall), 1..3),
    ];
    (prop::collection::vec(block, 0..6), 0usize..3, any::<[u16; 5]>()).prop_map(|(blocks, finish, counts)| {
        let mut parts: Vec<AnswerPart> = Vec::new();
        for part in blocks.into_iter().flatten() {
            // Neighbouring texts are one text.
            match (parts.last_mut(), part) {
                (Some(AnswerPart::Text { text }), AnswerPart::Text { text: more })
                | (Some(AnswerPart::Refusal { text }), AnswerPart::Refusal { text: more }) => text.push_str(&more),
                (_, part) => parts.push(part),
            }
        }
        let calls = parts.iter().any(|part| matches!(part, AnswerPart::ToolCall(_)));
        let done = if calls {
            FinishReason::ToolCalls
        } else {
            FinishReason::Stop
        };
        let finish = [done, FinishReason::Length, FinishReason::ContentFilter][finish];
        let [input, output, cached_input, cache_write_input, reasoning] = counts.map(u64::from);
        ChatAnswer {
            usage: Some(Usage {
                input,
                output,
                cached_input,
                cache_write_input,
                reasoning,
                ..Usage::default()
            }),
            ..answer_of(parts, finish)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_a_request_can_say_survives_being_written(request in request()) {
        let encoded = encode_request(&request, UPSTREAM).unwrap();
        prop_assert_eq!(&encoded.dropped, &[]);
        prop_assert_eq!(decode_request(&encoded.body).unwrap(), request);
        read_head(&Bytes::from(encoded.body)).unwrap();
    }

    #[test]
    fn what_an_answer_can_say_survives_being_written(answer in answer()) {
        let written = encode_answer(&answer, &options());
        let headers = HeaderMap::new();
        prop_assert_eq!(decode_answer(raw(200, &written, &headers)).unwrap(), answer);
    }

    #[test]
    fn what_a_stream_says_survives_being_written(answer in answer(), size in 1usize..200) {
        let events = answer_events(&answer);
        let written = encode(&events, options());
        check_order(&written);
        let (again, malformed) = decode(&written, size);
        prop_assert_eq!(malformed, 0);
        prop_assert_eq!(said(&again), said(&events));
        let usage = |events: &[StreamEvent]| events.iter().rfind(|e| matches!(e, StreamEvent::Usage(_))).cloned();
        prop_assert_eq!(usage(&again), usage(&events));
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>(), size in 1usize..50) {
        let headers = HeaderMap::new();
        let _ = (decode_request(&bytes), decode_answer(raw(200, &bytes, &headers)), classify(raw(500, &bytes, &headers)));
        let framed = [b"data: {\"type\":\"response.output_item.done\",\"item\":", &bytes[..], b"}\n\n"].concat();
        for body in [&bytes, &framed] {
            let whole = decode(body, body.len().max(1));
            prop_assert_eq!(decode(body, size), whole);
        }
    }

    #[test]
    fn no_event_panics_the_encoder(order in prop::collection::vec(0usize..12, 0..30)) {
        let kinds = [
            StreamEvent::Start { id: String::new(), model: String::new(), created: 0 },
            StreamEvent::Text { choice: 0, text: "a".into(), logprobs: None },
            StreamEvent::Text { choice: 1, text: "b".into(), logprobs: None },
            StreamEvent::Refusal { choice: 0, text: "c".into() },
            StreamEvent::Reasoning { choice: 0, text: "d".into() },
            StreamEvent::ReasoningSignature { choice: 0, signature: Some("e".into()), redacted: None, origin: DialectName::Gemini },
            StreamEvent::ToolCallStart { choice: 0, index: 0, id: "f".into(), name: "apply_patch".into(), signature: None },
            StreamEvent::ToolCallStart { choice: 0, index: 1, id: "g".into(), name: "h".into(), signature: Some("i".into()) },
            StreamEvent::ToolCallArguments { choice: 0, index: 1, arguments: "{}".into() },
            StreamEvent::Finish { choice: 0, reason: FinishReason::Length },
            StreamEvent::Ping,
            StreamEvent::Error(Failure::new(OutcomeClass::Network, "x")),
        ];
        let mut events: Vec<StreamEvent> = order.into_iter().map(|at| kinds[at].clone()).collect();
        events.push(StreamEvent::End);
        check_order(&encode(&events, options()));
    }
}

// Helpers.

fn options() -> EncoderOptions {
    EncoderOptions {
        id: "call1".into(),
        model: "m".into(),
        created: 1_790_000_000,
        include_usage: true,
        request: Bytes::from_static(REQUEST.as_bytes()),
        ..EncoderOptions::default()
    }
}

fn answer_of(parts: Vec<AnswerPart>, finish: FinishReason) -> ChatAnswer {
    ChatAnswer {
        id: "resp_1".into(),
        model: "m-1".into(),
        created: 1_790_000_000,
        choices: vec![Choice {
            parts,
            finish: Some(finish),
            ..Choice::default()
        }],
        service_tier: Some("default".into()),
        ..ChatAnswer::default()
    }
}

fn answer_events(answer: &ChatAnswer) -> Vec<StreamEvent> {
    let choice = 0;
    let mut events = vec![StreamEvent::Start {
        id: answer.id.clone(),
        model: answer.model.clone(),
        created: answer.created,
    }];
    let mut index = 0;
    for part in &answer.choices[0].parts {
        match part {
            AnswerPart::Text { text } => events.extend(text.chars().map(|c| StreamEvent::Text {
                choice,
                text: c.to_string(),
                logprobs: None,
            })),
            AnswerPart::Refusal { text } => events.push(StreamEvent::Refusal {
                choice,
                text: text.clone(),
            }),
            AnswerPart::Reasoning(thought) => {
                events.push(StreamEvent::Reasoning {
                    choice,
                    text: thought.text.clone(),
                });
                events.push(StreamEvent::ReasoningSignature {
                    choice,
                    signature: thought.signature.clone(),
                    redacted: thought.redacted.clone(),
                    origin: thought.origin.unwrap(),
                });
            }
            AnswerPart::ToolCall(call) => {
                events.push(StreamEvent::ToolCallStart {
                    choice,
                    index,
                    id: call.id.clone(),
                    name: call.name.clone(),
                    signature: None,
                });
                events.push(StreamEvent::ToolCallArguments {
                    choice,
                    index,
                    arguments: call.arguments.clone(),
                });
                index += 1;
            }
        }
    }
    events.push(StreamEvent::Finish {
        choice,
        reason: answer.choices[0].finish.unwrap(),
    });
    events.extend(answer.usage.map(StreamEvent::Usage));
    events.push(StreamEvent::End);
    events
}

/// What a reader of the stream would see, neighbours of a kind joined. Signatures are compared where they are this dialect's
/// own; others come back sealed.
fn said(events: &[StreamEvent]) -> Vec<(&'static str, String)> {
    let mut seen: Vec<(&'static str, String)> = Vec::new();
    let mut calls: Vec<String> = Vec::new();
    for event in events {
        let (kind, text) = match event {
            StreamEvent::Text { choice: 0, text, .. } => ("text", text.clone()),
            StreamEvent::Refusal { choice: 0, text } => ("refusal", text.clone()),
            StreamEvent::Reasoning { choice: 0, text } => ("reasoning", text.clone()),
            StreamEvent::ReasoningSignature {
                signature,
                redacted,
                origin: DialectName::OpenaiResponses,
                ..
            } if !signature
                .iter()
                .chain(redacted)
                .any(|content| content.starts_with("jumpseat-v1.")) =>
            {
                ("signature", format!("{signature:?} {redacted:?}\n"))
            }
            StreamEvent::ToolCallStart { id, name, .. } => {
                calls.push(format!("{id} {name} "));
                continue;
            }
            StreamEvent::ToolCallArguments { index, arguments, .. } => {
                calls[*index as usize].push_str(arguments);
                continue;
            }
            StreamEvent::Finish { choice: 0, reason } => ("finish", format!("{reason:?}")),
            _ => continue,
        };
        if text.is_empty() {
            continue;
        }
        match seen.last_mut() {
            Some((last, all)) if *last == kind => all.push_str(&text),
            _ => seen.push((kind, text)),
        }
    }
    seen.extend(calls.into_iter().map(|call| ("call", call)));
    seen
}

/// The frames of a stream: event names and data.
fn frames(stream: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(stream).unwrap();
    let frames = text.split_terminator("\n\n").filter(|frame| !frame.starts_with(':'));
    frames
        .map(|frame| {
            let (event, data) = frame.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
            (event.to_owned(), serde_json::from_str(data).unwrap())
        })
        .collect()
}

/// What must hold of every stream: numbers rise by one, names are the types, items are added once before they are filled and done
/// once after it, the pieces join to the whole, and the whole is in the last event.
fn check_order(stream: &[u8]) {
    let frames = frames(stream);
    let kinds: Vec<&str> = frames.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"]);
    let mut items: Vec<(Value, String, bool)> = Vec::new();
    for (number, (event, data)) in frames.iter().enumerate() {
        assert_eq!(
            (data["type"].as_str(), data["sequence_number"].as_u64()),
            (Some(event.as_str()), Some(number as u64))
        );
        let Some(at) = data["output_index"].as_u64().map(|at| at as usize) else {
            continue;
        };
        if event == "response.output_item.added" {
            assert_eq!(at, items.len(), "items come in order");
            items.push((data["item"].clone(), String::new(), false));
            continue;
        }
        let (item, pieces, done) = &mut items[at];
        assert!(!*done, "nothing follows a finished item");
        if event == "response.output_item.done" {
            *done = true;
            assert_eq!(
                (&item["id"], &item["type"]),
                (&data["item"]["id"], &data["item"]["type"])
            );
            assert_eq!(item["call_id"], data["item"]["call_id"]);
            let whole = [
                &data["item"]["arguments"],
                &data["item"]["input"],
                &data["item"]["summary"][0]["text"],
            ]
            .into_iter()
            .find_map(Value::as_str);
            let parts = data["item"]["content"].as_array().into_iter().flatten();
            let parts: String = parts
                .filter_map(|part| part["text"].as_str().or(part["refusal"].as_str()))
                .collect();
            assert_eq!(*pieces, whole.map_or(parts, str::to_owned));
            *item = data["item"].clone();
        } else {
            assert_eq!(item["id"], data["item_id"], "{event}");
            if event.ends_with(".delta") {
                pieces.push_str(data["delta"].as_str().unwrap());
            }
        }
    }
    assert!(items.iter().all(|(_, _, done)| *done));
    let (last, data) = frames.last().unwrap();
    assert!(["response.completed", "response.incomplete"].contains(&last.as_str()));
    let items: Vec<Value> = items.into_iter().map(|(item, ..)| item).collect();
    assert_eq!(data["response"]["output"], Value::Array(items));
}

fn encode(events: &[StreamEvent], options: EncoderOptions) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(options);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    out
}

fn decode(stream: &[u8], size: usize) -> (Vec<StreamEvent>, u32) {
    let mut decoder = StreamDecoder::new();
    let mut events = Vec::new();
    for chunk in stream.chunks(size) {
        decoder.push(chunk);
        events.extend(std::iter::from_fn(|| decoder.poll()));
    }
    decoder.finish();
    events.extend(std::iter::from_fn(|| decoder.poll()));
    (events, decoder.malformed())
}

fn events_of(name: DialectName, stream: &str) -> Vec<StreamEvent> {
    let mut decoder = dialect::stream_decoder(name);
    decoder.push(stream.as_bytes());
    decoder.finish();
    std::iter::from_fn(|| decoder.poll()).collect()
}

fn raw<'a>(status: u16, body: &'a [u8], headers: &'a HeaderMap) -> RawAnswer<'a> {
    RawAnswer {
        status,
        headers,
        body,
        received: UnixMillis(0),
    }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn pretty<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn lines(events: &[StreamEvent]) -> String {
    events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap() + "\n")
        .collect()
}

fn told(body: &[u8], dropped: &[jumpseat_wire::request::Dropped]) -> String {
    let dropped: Vec<_> = dropped.iter().map(|d| d.0.as_str()).collect();
    format!("dropped: {}\n{}", dropped.join(", "), pretty(&json_of(body)))
}
