//! Embeddings: OpenAI's shape towards clients, each provider's own behind it.

use bytes::Bytes;
use http::HeaderMap;
use jumpseat_wire::embeddings::{
    decode_answer, decode_request, encode_answer, encode_request, inspect_answer, read_head,
};
use jumpseat_wire::request::UpstreamModel;
use jumpseat_wire::response::RawAnswer;
use proptest::prelude::*;
use serde_json::{Value, json};
use types::dialect::DialectName;
use types::embedding::{EmbeddingAnswer, EmbeddingEncoding, EmbeddingInput, EmbeddingRequest};
use types::outcome::{Failure, OutcomeClass};
use types::time::UnixMillis;
use types::usage::Usage;

#[test]
fn a_head_tells_how_much_is_asked_and_splices_the_model_alone() {
    let rows = [
        (r#"{"input":"héllo","model":"m","x":1}"#, 5, 1),
        (
            r#"{"model":"m","input":["ab","c"],"encoding_format":"base64","user":null}"#,
            3,
            2,
        ),
        (r#"{"model":"m","input":[1,2,3],"dimensions":4}"#, 12, 1),
        (r#"{"model":"m","input":[[1,2],[3]]}"#, 12, 2),
    ];
    for (text, chars, count) in rows {
        let body = Bytes::from_static(text.as_bytes());
        let head = read_head(&body).unwrap();
        assert_eq!((head.model.as_str(), head.stream), ("m", false));
        assert_eq!((head.prompt_chars, head.messages), (chars, count), "{text}");
        assert_eq!(head.splice(&body, "other", true), text.replace(r#""m""#, r#""other""#));
        assert_eq!(decode_request(&body).unwrap().inputs.len(), count as usize);
    }
}

#[test]
fn a_bad_request_names_its_place() {
    let rows = [
        ("[]", None),
        (r#"{"input":"a"}"#, Some("model")),
        (r#"{"model":"m"}"#, Some("input")),
        (r#"{"model":"m","input":null}"#, Some("input")),
        (r#"{"model":"m","input":[]}"#, Some("input")),
        (r#"{"model":"m","input":{}}"#, Some("input")),
        (r#"{"model":"m","input":["a",1]}"#, Some("input[1]")),
        (r#"{"model":"m","input":[[1],["a"]]}"#, Some("input[1][0]")),
        (
            r#"{"model":"m","input":"a","encoding_format":"hex"}"#,
            Some("encoding_format"),
        ),
        (r#"{"model":"m","model":"n","input":"a"}"#, Some("model")),
        (r#"{"model":"m","input":"a""#, None),
    ];
    for (text, param) in rows {
        let bad = read_head(&Bytes::from_static(text.as_bytes())).unwrap_err();
        assert_eq!(bad.param.as_deref(), param, "{text}: {bad}");
    }
    for (text, param) in [
        (r#"{"model":"m","input":"a","dimensions":-1}"#, "dimensions"),
        (r#"{"model":"m","input":[1.5]}"#, "input"),
    ] {
        assert_eq!(
            decode_request(text.as_bytes()).unwrap_err().param.as_deref(),
            Some(param)
        );
    }
}

#[test]
fn each_provider_is_asked_in_its_own_words() {
    let asked = r#"{"model":"m","input":["a","b"],"dimensions":2,"encoding_format":"base64","user":"u",
        "input_type":"search_query","keep_alive":"5m","z":1}"#;
    let request = decode_request(asked.as_bytes()).unwrap();
    use DialectName::{CohereChat, Gemini, OllamaChat, OpenaiChat};
    let one = |text| json!({"model": "models/e", "content": {"parts": [{"text": text}]}, "outputDimensionality": 2});
    let rows = [
        (
            OpenaiChat,
            json!({"model": "e", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 2, "user": "u",
                "input_type": "search_query", "keep_alive": "5m", "z": 1}),
            vec![],
        ),
        (
            Gemini,
            json!({"requests": [one("a"), one("b")]}),
            vec!["user", "input_type", "keep_alive", "z"],
        ),
        (
            CohereChat,
            json!({"model": "e", "texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 2}),
            vec!["keep_alive", "z", "user"],
        ),
        (
            OllamaChat,
            json!({"model": "e", "input": ["a", "b"], "truncate": false, "dimensions": 2, "keep_alive": "5m"}),
            vec!["input_type", "z", "user"],
        ),
    ];
    for (dialect, wanted, drops) in rows {
        let encoded = encode_request(dialect, &request, upstream()).unwrap();
        let dropped: Vec<_> = encoded.dropped.iter().map(|dropped| dropped.0.as_str()).collect();
        assert_eq!(
            (serde_json::from_slice::<Value>(&encoded.body).unwrap(), dropped),
            (wanted, drops)
        );
    }
    let default = EmbeddingRequest {
        inputs: vec![EmbeddingInput::Text("a".into())],
        ..EmbeddingRequest::default()
    };
    let encoded = encode_request(CohereChat, &default, upstream()).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(body["input_type"], "search_document");
}

#[test]
fn what_a_provider_cannot_embed_is_unsupported() {
    let tokens = EmbeddingRequest {
        inputs: vec![EmbeddingInput::Tokens(vec![1])],
        ..EmbeddingRequest::default()
    };
    let many = EmbeddingRequest {
        inputs: vec![EmbeddingInput::Text("a".into()); 101],
        ..EmbeddingRequest::default()
    };
    for dialect in DialectName::ALL {
        let takes_tokens = matches!(dialect, DialectName::OpenaiChat | DialectName::OpenaiResponses);
        assert_eq!(
            encode_request(dialect, &tokens, upstream()).is_ok(),
            takes_tokens,
            "{dialect:?}"
        );
        let takes_many = takes_tokens || dialect == DialectName::OllamaChat;
        assert_eq!(
            encode_request(dialect, &many, upstream()).is_ok(),
            takes_many,
            "{dialect:?}"
        );
    }
}

#[test]
fn each_providers_answer_is_read_and_told_in_openais_shape() {
    use DialectName::{CohereChat, Gemini, OllamaChat, OpenaiChat};
    let rows = [
        (
            OpenaiChat,
            r#"{"object":"list","model":"e-1","data":[{"index":1,"embedding":[-1]},{"index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":7,"total_tokens":7}}"#,
            "e-1",
        ),
        (
            OpenaiChat,
            r#"{"model":"e-1","data":[{"index":0,"embedding":"AAAAPw=="},{"index":1,"embedding":"AACAvw=="}],"usage":{"prompt_tokens":7}}"#,
            "e-1",
        ),
        (
            Gemini,
            r#"{"embeddings":[{"values":[0.5]},{"values":[-1]}],"usageMetadata":{"promptTokenCount":7}}"#,
            "",
        ),
        (
            CohereChat,
            r#"{"id":"x","embeddings":{"float":[[0.5],[-1]]},"texts":["a","b"],"meta":{"billed_units":{"input_tokens":7}}}"#,
            "",
        ),
        (
            OllamaChat,
            r#"{"model":"e-1","embeddings":[[0.5],[-1.0]],"prompt_eval_count":7}"#,
            "e-1",
        ),
    ];
    for (dialect, body, model) in rows {
        let answer = decode(dialect, 200, body).unwrap();
        assert_eq!(answer.vectors, [[0.5], [-1.0]], "{dialect:?}");
        assert_eq!((answer.model.as_str(), answer.usage.unwrap().input), (model, 7));
    }
    let answer = decode(OllamaChat, 200, rows[4].1).unwrap();
    let data = |first: Value, second: Value| {
        json!({"object": "list", "model": "e-1", "usage": {"prompt_tokens": 7, "total_tokens": 7}, "data": [
            {"object": "embedding", "index": 0, "embedding": first},
            {"object": "embedding", "index": 1, "embedding": second},
        ]})
    };
    for (encoding, wanted) in [
        (EmbeddingEncoding::Float, data(json!([0.5]), json!([-1.0]))),
        (EmbeddingEncoding::Base64, data(json!("AAAAPw=="), json!("AACAvw=="))),
    ] {
        let written = encode_answer(&answer, encoding);
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), wanted);
        let facts = inspect(200, std::str::from_utf8(&written).unwrap()).unwrap();
        assert_eq!((facts.model.as_deref(), facts.usage.unwrap().input), (Some("e-1"), 7));
    }
}

#[test]
fn what_is_no_answer_is_a_failure() {
    use OutcomeClass::{Auth, BadResponse, RateLimited};
    for dialect in DialectName::ALL {
        for (status, body, class) in [
            (200, "", BadResponse),
            (200, "<html>", BadResponse),
            (200, "{}", BadResponse),
            (200, r#"{"data":[],"embeddings":[]}"#, BadResponse),
            (401, r#"{"error":{"message":"no"}}"#, Auth),
            (429, "{}", RateLimited),
        ] {
            if matches!(
                dialect,
                DialectName::OpenaiResponses | DialectName::AnthropicMessages | DialectName::Gemini
            ) && status != 200
            {
                continue;
            }
            assert_eq!(
                decode(dialect, status, body).unwrap_err().class,
                class,
                "{dialect:?} {status} {body}"
            );
            if dialect == DialectName::OpenaiChat {
                assert_eq!(inspect(status, body).unwrap_err().class, class, "{status} {body}");
            }
        }
    }
    let error = r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
    assert!(inspect(200, error).is_err());
}

proptest! {
    #[test]
    fn vectors_survive_both_encodings(
        vectors in proptest::collection::vec(proptest::collection::vec(-1e30f32..1e30, 1..5), 1..5),
        tokens in 0u64..1_000_000,
    ) {
        let usage = Some(Usage { input: tokens, ..Usage::default() });
        let answer = EmbeddingAnswer { model: "m".into(), vectors, usage };
        for encoding in [EmbeddingEncoding::Float, EmbeddingEncoding::Base64] {
            let written = encode_answer(&answer, encoding);
            let again = decode(DialectName::OpenaiChat, 200, std::str::from_utf8(&written).unwrap());
            prop_assert_eq!(again.as_ref(), Ok(&answer));
        }
    }

    #[test]
    fn a_request_is_written_as_it_was_read(
        texts in proptest::collection::vec("\\PC{0,12}", 1..5), dimensions in proptest::option::of(1u32..4096), number in any::<i64>(),
    ) {
        let request = EmbeddingRequest {
            model: "e".into(),
            inputs: texts.into_iter().map(EmbeddingInput::Text).collect(),
            dimensions,
            encoding: EmbeddingEncoding::Base64,
            user: Some("u".into()),
            dialect: Some(DialectName::OpenaiChat),
            extra: vec![("x".into(), types::chat::Json::parse(&number.to_string()).unwrap())],
        };
        let encoded = encode_request(DialectName::OpenaiChat, &request, upstream()).unwrap();
        prop_assert_eq!(decode_request(&encoded.body), Ok(request));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), status in 200u16..600) {
        let _ = read_head(&Bytes::from(bytes.clone()));
        let _ = decode_request(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = inspect(status, text);
        }
    }
}

fn upstream() -> UpstreamModel<'static> {
    UpstreamModel {
        model: "e",
        max_output_default: 1,
        reasoning: false,
    }
}

fn decode(dialect: DialectName, status: u16, body: &str) -> Result<EmbeddingAnswer, Failure> {
    decode_answer(dialect, raw(status, body, &HeaderMap::new()))
}

fn inspect(status: u16, body: &str) -> Result<jumpseat_wire::response::AnswerFacts, Failure> {
    inspect_answer(raw(status, body, &HeaderMap::new()))
}

fn raw<'a>(status: u16, body: &'a str, headers: &'a HeaderMap) -> RawAnswer<'a> {
    RawAnswer {
        status,
        headers,
        body: body.as_bytes(),
        received: UnixMillis(0),
    }
}
