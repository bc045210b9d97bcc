//! Bytes of a stream as `openai_responses` would send them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpseat_fuzz::stream(types::dialect::DialectName::OpenaiResponses, data));
