//! The media type that the first bytes of a body show, whatever its headers say.

/// Signatures by offset, from the registrations of each format. The first that fits wins.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"\xFF\xD8\xFF", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1A\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1A\x45\xDF\xA3", "video/webm"),
    (8, b"AVI ", "video/x-msvideo"),
    (8, b"WAVE", "audio/wav"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1F\x8B", "application/gzip"),
    (0, b"7z\xBC\xAF\x27\x1C", "application/x-7z-compressed"),
    (0, b"Rar!\x1A\x07", "application/vnd.rar"),
    (0, b"\x7FELF", "application/x-executable"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
    (0, b"<?xml", "text/xml"),
    (0, b"<!DOCTYPE html", "text/html"),
    (0, b"<!doctype html", "text/html"),
    (0, b"<html", "text/html"),
];

/// The media type of a body, empty where its first bytes show none.
pub(crate) fn detect(body: &[u8]) -> &'static str {
    SIGNATURES
        .iter()
        .find(|(offset, signature, _)| body.get(*offset..).is_some_and(|rest| rest.starts_with(signature)))
        .map_or("", |(_, _, media)| media)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_known_by_its_first_bytes() {
        assert_eq!(detect(b"\x89PNG\r\n\x1A\n...."), "image/png");
        assert_eq!(detect(b"RIFF\x10\0\0\0WEBPVP8 "), "image/webp");
        assert_eq!(detect(b"\0\0\0\x18ftypmp42"), "video/mp4");
        assert_eq!(detect(b"\0\0\0\x18ftypavif"), "image/avif");
        assert_eq!(detect(b"%PDF-1.7"), "application/pdf");
        assert_eq!(detect(b"just text"), "");
        assert_eq!(detect(b""), "");
    }
}
