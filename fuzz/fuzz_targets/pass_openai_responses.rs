//! The pass-through of a stream of responses: the same frames are forwarded, and the same end is told, wherever the input is cut.
//! Blank lines beyond the one that ends a frame mean nothing and may differ.
#![no_main]

use bytes::Bytes;
use wire::framing::sse::{Frame, Reader};
use wire::framing::pass::{Pass, PassScanner, Passed};
use wire::openai_responses::PassJudge;

fn pass(pieces: &[&[u8]]) -> (Vec<Frame>, String, u32) {
    let mut scanner = PassScanner::new(PassJudge::new());
    let (mut forwarded, mut end) = (Vec::new(), String::new());
    let mut take = |scanner: &mut PassScanner<PassJudge>| {
        while let Some(passed) = scanner.poll() {
            assert!(end.is_empty(), "nothing comes after the end");
            match passed {
                Passed::Preamble(bytes) | Passed::Content(bytes) => forwarded.extend_from_slice(&bytes),
                Passed::Done(bytes) => {
                    forwarded.extend_from_slice(&bytes);
                    end = "done".to_owned();
                }
                Passed::Error(failure) => end = format!("{failure:?}"),
            }
        }
    };
    for piece in pieces {
        scanner.push(Bytes::copy_from_slice(piece));
        take(&mut scanner);
    }
    scanner.finish();
    take(&mut scanner);
    assert!(!end.is_empty(), "a stream has an end");
    let mut reader = Reader::new();
    reader.push(&forwarded);
    reader.finish();
    let frames = std::iter::from_fn(|| reader.poll())
        .map(|it| it.expect("small frames"))
        .collect();
    (frames, end, scanner.malformed())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&cut, body)) = data.split_first() else { return };
    let whole = pass(&[body]);
    let at = usize::from(cut) * body.len() / 256;
    assert_eq!(whole, pass(&[&body[..at], &body[at..]]), "cut at {at}");
    if body.len() < 512 {
        assert_eq!(whole, pass(&body.chunks(1).collect::<Vec<_>>()), "byte by byte");
    }
});
