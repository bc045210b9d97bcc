//! A whole answer or error body of `cohere_chat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpseat_fuzz::answer(types::dialect::DialectName::CohereChat, data));
