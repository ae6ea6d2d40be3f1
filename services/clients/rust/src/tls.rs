//! Whom to trust behind `wss://`, where that is not for the system to say.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

pub use rustls;

use crate::Error;

/// Trusts the authorities whose certificates these are, in PEM, and nobody else: for servers with certificates of one's own.
///
/// # Errors
/// There is none among them, or one that cannot be read.
pub fn trusting(pem: &[u8]) -> Result<Arc<ClientConfig>, Error> {
    let wrong = |what: String| Error::Impossible(format!("no authority can be read: {what}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(Arc::new(
        config.with_root_certificates(roots).with_no_client_auth(),
    ))
}
