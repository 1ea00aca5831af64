//! What a rule asks, as it is written: `!@pmFromFile words.data`.

/// A question, not yet judged.
pub(super) struct Asked<'t> {
    /// Whether the answer is turned round.
    pub negated: bool,
    /// The operator's name.
    pub operator: &'t [u8],
    pub argument: &'t [u8],
}

impl<'t> Asked<'t> {
    pub fn of(text: &'t [u8]) -> Self {
        let text = text.trim_ascii_start();
        let (negated, text) = match text.strip_prefix(b"!") {
            Some(rest) => (true, rest.trim_ascii_start()),
            None => (false, text),
        };
        let (operator, argument) = match text.strip_prefix(b"@") {
            None => (&b"rx"[..], text),
            Some(text) => {
                let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
                (&text[..end], text[end..].trim_ascii())
            }
        };
        Self { negated, operator, argument }
    }
}
