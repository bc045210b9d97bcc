//! Bytes of a stream as `cohere_chat` would send them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpseat_fuzz::stream(types::dialect::DialectName::CohereChat, data));
