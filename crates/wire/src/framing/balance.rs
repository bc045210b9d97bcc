//! Tells when a JSON object that comes in pieces is whole. It does not check it: broken arguments are the model's to answer for.

/// Where in the object the pieces have come to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Balance {
    depth: u32,
    in_string: bool,
    escaped: bool,
    whole: bool,
}

impl Balance {
    /// Takes in the next piece.
    pub(crate) fn take(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole |= self.depth == 0;
                }
                _ => {}
            }
        }
    }

    /// Nothing can follow but white space.
    pub(crate) fn is_whole(self) -> bool {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_whole_with_its_last_brace_and_not_before() {
        let object = r#" {"a":"}\"}\\","b":[{},"{"],"é":{}}"#;
        for cut in (0..object.len()).filter(|cut| object.is_char_boundary(*cut)) {
            let mut balance = Balance::default();
            balance.take(&object[..cut]);
            assert!(!balance.is_whole(), "{}", &object[..cut]);
            balance.take(&object[cut..]);
            assert!(balance.is_whole());
        }
    }
}
