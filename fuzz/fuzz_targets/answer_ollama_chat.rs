//! A whole answer or error body of `ollama_chat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jumpseat_fuzz::answer(types::dialect::DialectName::OllamaChat, data));
