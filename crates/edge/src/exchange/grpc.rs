//! gRPC, which no rule set looks into: both sides talk at once, so a body that is held could wait for ever.
//!
//! What is spared so must be gRPC. A body that only calls itself that would pass rules unseen to an origin that does not look
//! at its type, and JSON and XML do not begin as messages of gRPC do ("Length-Prefixed-Message": a byte that is 0 or 1, and four
//! with the length). A form can be put into such a message; the guide of the WAF says what to do about that.

use http1::{Headers, Known};

/// Whether a message calls its body gRPC and nothing else: who sends the type twice may mean that some reader takes the other.
pub(super) fn is_grpc(headers: &Headers) -> bool {
    headers.contains(Known::ContentType) && headers.known_all(Known::ContentType).all(is_type_of_grpc)
}

/// Whether a content type is that of gRPC over HTTP/2 ("Requests"), with whatever codec: that of gRPC-Web is another. What has
/// a comma may be read as several.
fn is_type_of_grpc(kind: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let (name, rest) = kind.split_at(kind.len().min(NAME.len()));
    name.eq_ignore_ascii_case(NAME)
        && matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';'))
        && !rest.contains(&b',')
}

/// The messages of a body, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// Bytes of the prefix that have come, and what they say of the length.
    prefix: u8,
    length: u32,
    /// Bytes of the message that have not.
    left: u32,
}

impl Messages {
    /// Whether the next piece of the body goes on with messages.
    pub(super) fn go_on(&mut self, mut piece: &[u8]) -> bool {
        while let Some((byte, rest)) = piece.split_first() {
            if self.left > 0 {
                let taken = piece.len().min(self.left as usize);
                self.left -= taken as u32;
                piece = &piece[taken..];
                continue;
            }
            match self.prefix {
                0 if *byte > 1 => return false,
                0 => (self.prefix, self.length) = (1, 0),
                at => {
                    self.length = self.length << 8 | u32::from(*byte);
                    self.prefix = at + 1;
                }
            }
            if self.prefix == 5 {
                (self.prefix, self.left) = (0, self.length);
            }
            piece = rest;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_what_only_begins_like_it() {
        for kind in ["application/grpc", "Application/GRPC", "application/grpc+proto", "application/grpc ; a=b"] {
            assert!(is_type_of_grpc(kind.as_bytes()), "{kind}");
        }
        for kind in [
            "",
            "application/grp",
            "application/grpc-web",
            "application/grpc-web+json",
            "application/grpcx",
            "application/grpc, application/json",
            "application/grpc;a=b, application/json",
        ] {
            assert!(!is_type_of_grpc(kind.as_bytes()), "{kind}");
        }
    }

    #[test]
    fn messages_go_on_wherever_pieces_end_and_nothing_else_does() {
        let two = b"\0\0\0\0\x03abc\x01\0\0\x01\x00".iter().copied().chain([b'{'; 256]).collect::<Vec<u8>>();
        for size in 1..=two.len() {
            let mut messages = Messages::default();
            assert!(two.chunks(size).all(|piece| messages.go_on(piece)), "{size}");
            assert!(!messages.go_on(b"{"), "{size}: behind a message comes a message");
        }
        for other in [&b"{\"q\": 1}"[..], b"a=1", b"<a/>", b"--b", b"\x80\0\0\0\0", b"\0\0\0\0\0\0\0\0\0\x01xy"] {
            assert!(!Messages::default().go_on(other), "{other:?}");
        }
        assert!(Messages::default().go_on(b""));
    }
}
