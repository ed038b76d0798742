//! The way to a service: plain, or TLS with a trust that is named.

use reqwest::ClientBuilder;

use crate::client::ClientError;

/// How to reach a service: over plain HTTP the machine's certificates, which it may not have, are not read.
///
/// # Errors
/// [`ClientError::Setup`] if that is no address, or there is no certificate in `ca_pem`.
pub fn transport(base_url: &str, ca_pem: Option<&[u8]>) -> Result<ClientBuilder, ClientError> {
    let failed = |detail: &str| ClientError::setup(base_url, detail);
    let url: reqwest::Url = base_url.parse().map_err(|_| failed("not a URL"))?;
    // Without a provider reqwest panics. Somebody else having installed one meanwhile is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    match (url.scheme(), ca_pem) {
        ("http", _) => Ok(builder.tls_certs_only([])),
        ("https", None) => Ok(builder),
        ("https", Some(pem)) => {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| failed(&error.to_string()))?;
            if certificates.is_empty() {
                return Err(failed("the CA file has no certificate in PEM form"));
            }
            Ok(builder.tls_certs_only(certificates))
        }
        (other, _) => Err(failed(&format!("{other} is neither http nor https"))),
    }
}
