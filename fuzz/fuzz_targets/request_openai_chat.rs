//! A client's body read into the neutral model, and written for every dialect: always JSON, always readable again by its own.
#![no_main]

use types::dialect::DialectName;
use wire::request::UpstreamModel;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let Ok(request) = wire::openai_chat::decode_request(body) else {
        return;
    };
    for dialect in [
        DialectName::OpenaiChat,
        DialectName::AnthropicMessages,
        DialectName::Gemini,
        DialectName::BedrockConverse,
        DialectName::CohereChat,
        DialectName::OllamaChat,
    ] {
        let upstream = UpstreamModel {
            model: ["a-model", "anthropic.claude-sonnet-4-5", "amazon.nova-pro"][usize::from(choice >> 1) % 3],
            max_output_default: 4096,
            reasoning: choice & 1 == 1,
        };
        let Ok(encoded) = wire::dialect::encode_request(dialect, &request, upstream) else {
            continue;
        };
        let written: serde_json::Value = serde_json::from_slice(&encoded.body).expect("what is sent is JSON");
        assert!(written.is_object());
        if dialect == DialectName::OpenaiChat {
            wire::openai_chat::decode_request(&encoded.body).expect("our own dialect reads what we wrote");
        }
    }
});
