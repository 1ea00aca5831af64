//! Names of TLS versions and cipher suites, as Cloudflare's documentation and logs write them.
//!
//! `cf.tls_version` is `TLSv1.3`; `cf.tls_cipher` and Logpush's `ClientSSLCipher` carry OpenSSL's name for suites up to
//! TLS 1.2 (`ECDHE-RSA-AES128-GCM-SHA256`) and, for those of TLS 1.3, `BoringSSL`'s old form with `AEAD-` in the place of
//! the key exchange, which such a suite no longer names (`AEAD-AES128-GCM-SHA256`, not `TLS_AES_128_GCM_SHA256`).

use rustls::{CipherSuite, ProtocolVersion};

pub(crate) fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "none",
    }
}

pub(super) fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "AEAD-AES128-GCM-SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "AEAD-AES256-GCM-SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "AEAD-CHACHA20-POLY1305-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::cipher_name;

    #[test]
    fn every_suite_that_can_be_negotiated_has_a_name_of_its_own() {
        let mut names: Vec<_> =
            super::super::provider().cipher_suites.iter().map(|suite| cipher_name(suite.suite())).collect();
        assert!(!names.contains(&"unknown"), "{names:?}");
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
