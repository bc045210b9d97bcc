//! A whole answer as `openai_responses` would send it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpseat_fuzz::answer(types::dialect::DialectName::OpenaiResponses, data));
