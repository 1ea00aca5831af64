//! The policy: the immutable snapshot of all that the edge must know, and how it runs over a request. (being built)

mod diagnostic;
mod document;
mod hosts;

pub use diagnostic::{Diagnostic, Severity, Step};
pub use document::{
    BodySettings, CertificateFiles, CompressionSettings, EdgeSettings, Hsts, Listen, NormalizationKind,
    NormalizationSettings, PastLimit, SpoolSettings, TlsSettings, TlsVersion,
};
pub use hosts::HostTable;
