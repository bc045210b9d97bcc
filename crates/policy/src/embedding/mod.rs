//! Static embedding of a text: the mean of its tokens' rows, of unit length. No network, no model run, a few microseconds.
//!
//! Reads the packed file that `catalog/embedding/build` writes ([`StaticEmbedding::from_bytes`]) in place: nothing is
//! copied, so a process that embeds nothing pays nothing for it. It says how alike two texts sound, not whether they
//! ask the same: "capital of France" and "capital of Germany" are neighbours here. See [`crate::semantic`] for that.

use std::fmt;

pub mod vector;
mod wordpiece;

use crate::embedding::vector::Vector;
use crate::embedding::wordpiece::Pieces;

const MAGIC: &[u8; 8] = b"JSEMBED1";
const HEADER: usize = 24;
const EMPTY: u16 = u16::MAX;
/// The most that is read of a long text: this many bytes from its head and [`TAIL_BYTES_MAX`] from its tail.
pub const HEAD_BYTES_MAX: usize = 3_072;
/// See [`HEAD_BYTES_MAX`]. The end of a long text is more often the question than its middle.
pub const TAIL_BYTES_MAX: usize = 1_024;

/// A table of tokens and their rows, read in place from a packed file.
#[derive(Clone, Copy)]
pub struct StaticEmbedding {
    dims: usize,
    rows: usize,
    /// `rows + 1` little-endian `u32`.
    offsets: &'static [u8],
    /// Little-endian `u16`, a power of two of them.
    slots: &'static [u8],
    tokens: &'static [u8],
    /// `rows × dims` bytes, each an `i8`.
    values: &'static [u8],
}

/// Why bytes are no packed embedding; for people who build the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(&'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read the packed embedding: {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

impl fmt::Debug for StaticEmbedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticEmbedding({} × {})", self.rows, self.dims)
    }
}

impl StaticEmbedding {
    /// Takes a packed file (`catalog/embedding/build` describes it), after checking its lengths and offsets.
    ///
    /// # Errors
    /// [`Unreadable`] when the bytes are cut, of another format, or point outside themselves.
    pub fn from_bytes(bytes: &'static [u8]) -> Result<StaticEmbedding, Unreadable> {
        if bytes.len() < HEADER || &bytes[..8] != MAGIC {
            return Err(Unreadable("it does not begin with JSEMBED1"));
        }
        let field = |at: usize| word(bytes, at) as usize;
        let (rows, dims, tokens_len, slots_len) = (field(8), field(12), field(16), field(20));
        if rows == 0 || rows >= usize::from(EMPTY) || dims == 0 || dims > 4_096 {
            return Err(Unreadable("its numbers of rows and dimensions are out of range"));
        }
        if !slots_len.is_power_of_two() || slots_len <= rows || slots_len > 1 << 20 || tokens_len > 1 << 26 {
            return Err(Unreadable("its token table is out of range"));
        }
        let mut rest = &bytes[HEADER..];
        let mut cut = |len: usize| -> Result<&'static [u8], Unreadable> {
            let (part, after) = rest.split_at_checked(len).ok_or(Unreadable("it is cut short"))?;
            rest = after;
            Ok(part)
        };
        let offsets = cut((rows + 1) * 4)?;
        let slots = cut(slots_len * 2)?;
        let tokens = cut(tokens_len)?;
        let values = cut(rows * dims)?;
        if !rest.is_empty() {
            return Err(Unreadable("bytes follow its end"));
        }
        let mut before = 0;
        for at in (0..offsets.len()).step_by(4) {
            let offset = word(offsets, at) as usize;
            if offset < before || offset > tokens_len {
                return Err(Unreadable("a token lies outside"));
            }
            before = offset;
        }
        let mut used = 0;
        for at in (0..slots.len()).step_by(2) {
            let row = u16::from_le_bytes([slots[at], slots[at + 1]]);
            if row != EMPTY {
                used += 1;
                if usize::from(row) >= rows {
                    return Err(Unreadable("a slot names no row"));
                }
            }
        }
        // A full table would be searched for ever.
        if used >= slots_len {
            return Err(Unreadable("its token table is full"));
        }
        Ok(StaticEmbedding {
            dims,
            rows,
            offsets,
            slots,
            tokens,
            values,
        })
    }

    /// Length of the vectors it gives.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The text's vector, of unit length; `None` when it has no token that the table knows.
    ///
    /// Of a text longer than [`HEAD_BYTES_MAX`] + [`TAIL_BYTES_MAX`] bytes only head and tail count.
    pub fn embed(&self, text: &str) -> Option<Vector> {
        // Rows are i8 and the tokens of at most 4 KB few enough that their sums stay far inside an i32.
        let mut sums = vec![0_i32; self.dims];
        let (head, tail) = head_and_tail(text);
        for part in [head, tail] {
            let mut pieces = Pieces::new(part);
            while let Some(token) = pieces.next(self) {
                let row = &self.values[token * self.dims..][..self.dims];
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += i32::from(value.cast_signed());
                }
            }
        }
        // The mean and the model's scale fall away with the length.
        Vector::new(sums.into_iter().map(|sum| sum as f32).collect())
    }

    /// The row of a token; `continues` asks for its `##` form.
    fn row(&self, continues: bool, token: &str) -> Option<usize> {
        let prefix: &[u8] = if continues { b"##" } else { b"" };
        let hash = fnv1a(prefix, token.as_bytes());
        let mask = self.slots.len() / 2 - 1;
        let mut slot = hash as usize & mask;
        loop {
            let row = u16::from_le_bytes([self.slots[slot * 2], self.slots[slot * 2 + 1]]);
            if row == EMPTY {
                return None;
            }
            let row = usize::from(row);
            let (start, end) = (word(self.offsets, row * 4), word(self.offsets, row * 4 + 4));
            let kept = &self.tokens[start as usize..end as usize];
            if kept.strip_prefix(prefix) == Some(token.as_bytes()) {
                return Some(row);
            }
            slot = (slot + 1) & mask;
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn head_and_tail(text: &str) -> (&str, &str) {
    if text.len() <= HEAD_BYTES_MAX + TAIL_BYTES_MAX {
        return (text, "");
    }
    let head = text.floor_char_boundary(HEAD_BYTES_MAX);
    let tail = text.ceil_char_boundary(text.len() - TAIL_BYTES_MAX);
    (&text[..head], &text[tail..])
}

/// 32-bit FNV-1a of both parts, one after the other.
fn fnv1a(prefix: &[u8], token: &[u8]) -> u32 {
    let step = |state: u32, byte: &u8| (state ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    prefix.iter().chain(token).fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static PACKED: &[u8] = include_bytes!("../../../../catalog/embedding/minilm-128-int8.bin");

    fn model() -> StaticEmbedding {
        StaticEmbedding::from_bytes(PACKED).unwrap()
    }

    /// Text, tokens known to the model, first four values: from the tokenizer and rows of the original files, computed
    /// with Python's `tokenizers` and `numpy`.
    const REFERENCE: &[(&str, usize, [f32; 4])] = &[
        ("What is the capital of France?", 7, [-0.086, 0.0607, 0.3287, 0.1264]),
        (
            "How do I reverse a list in Python?",
            9,
            [-0.1898, -0.3872, 0.0911, -0.1025],
        ),
        ("Ünïcödé naïve café — déjà vu…", 8, [0.2478, -0.0834, 0.1745, 0.0961]),
        (
            "Was ist die Hauptstadt von Frankreich?",
            11,
            [0.3188, 0.0893, 0.0984, -0.0893],
        ),
        ("¿Cuál es la capital de España?", 9, [0.1396, 0.1576, 0.3084, 0.1418]),
        ("東京の天気は？ 你好世界", 7, [0.2712, 0.1182, 0.226, 0.2607]),
        (
            "Compute 3.14159 * 2^10, in km/h (approx. 12,000 mi)",
            22,
            [0.1133, -0.2062, 0.7021, -0.3211],
        ),
        (
            "pneumonoultramicroscopicsilicovolcanoconiosis antidisestablishmentarianism",
            25,
            [0.5251, -0.0052, 0.0355, 0.1612],
        ),
        ("Привет, как дела? Ελλάδα Ἀθῆναι", 27, [0.6942, -0.0965, 0.1277, 0.1838]),
        ("안녕하세요 한국어", 20, [0.6387, -0.2195, 0.1379, 0.2155]),
        ("don't can't it's", 9, [0.0974, -0.3977, 0.0487, -0.2597]),
        (
            "tabs\tand\nnew\r\nlines \u{200b} zero\u{a0}width�",
            7,
            [-0.0887, -0.3898, 0.3169, -0.1965],
        ),
        ("e\u{301}te\u{301} ﬁne ＡＢＣ", 4, [0.383, -0.1088, 0.1492, -0.004]),
        ("emoji 🙂🚀 ok", 4, [0.3461, -0.3247, 0.1677, -0.1463]),
        (
            "«guillemets» “quotes” ‘x’ €5 £6 ²",
            17,
            [0.2337, -0.2518, 0.1906, -0.1656],
        ),
        (
            "CONSTANT_CASE fooBar std::vec::Vec<String>",
            18,
            [0.1704, -0.3268, 0.2451, -0.1634],
        ),
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa word",
            1,
            [-0.047, -0.3136, -0.1881, 0.0627],
        ),
    ];

    #[test]
    fn vectors_are_those_of_the_original_model() {
        for (text, tokens, values) in REFERENCE {
            let (model, mut pieces) = (model(), Pieces::new(text));
            let mut known = 0;
            while pieces.next(&model).is_some() {
                known += 1;
            }
            assert_eq!(known, *tokens, "tokens of {text:?}");
            let vector = model.embed(text).unwrap();
            for (ours, theirs) in vector.values().iter().zip(values) {
                assert!((ours - theirs).abs() < 1e-4, "{text:?}: {:?}", &vector.values()[..4]);
            }
        }
    }

    #[test]
    fn near_misses_are_neighbours_which_is_why_a_guard_stands_behind_it() {
        let embed = |text: &str| model().embed(text).unwrap();
        let asked = embed("What is the capital of France?");
        let miss = asked.similarity(&embed("What is the capital of Germany?"));
        let same = asked.similarity(&embed("Tell me which city is the French capital"));
        assert!(miss > same, "{miss} {same}");
    }

    #[test]
    fn a_text_of_nothing_known_has_no_vector() {
        for text in ["", "  \n", "🙂🙂", "\u{fffd}"] {
            assert_eq!(model().embed(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_megabyte_costs_its_head_and_tail() {
        let middle = "x".repeat(1_000_000);
        let (head, tail) = ("é ".repeat(1_024), " end".repeat(256));
        let a = model().embed(&format!("{head}{middle}{tail}"));
        let b = model().embed(&format!("{head}{middle} more {middle}{tail}"));
        assert_eq!(a, b);
    }

    #[test]
    fn cut_or_foreign_bytes_are_refused() {
        for bytes in [
            &b""[..],
            b"JSEMBED1",
            b"JSEMBED2aaaaaaaaaaaaaaaaaaaaaaa",
            &PACKED[..1_000],
            &PACKED[..PACKED.len() - 1],
        ] {
            assert!(StaticEmbedding::from_bytes(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_vector_of_unit_length_or_none(text in any::<String>()) {
            if let Some(vector) = model().embed(&text) {
                prop_assert!((vector.similarity(&vector) - 1.0).abs() < 1e-4);
                prop_assert_eq!(Some(vector), model().embed(&text));
            }
        }
    }
}
