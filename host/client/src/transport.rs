//! The way to a service: plain, or TLS with a trust that is named.

use reqwest::ClientBuilder;

use crate::ClientError;

/// How to reach a service: over plain HTTP the machine's certificates, which it may not have, are
/// not read. A proxy is used for HTTPS only, as `HTTPS_PROXY` and `NO_PROXY` say: over plain HTTP
/// it would read the token. This machine is never reached through one.
///
/// # Errors
/// [`ClientError::Setup`] if that is no address, or there is no certificate in `ca_pem`.
pub fn transport(base_url: &str, ca_pem: Option<&[u8]>) -> Result<ClientBuilder, ClientError> {
    let failed = |detail: &str| ClientError::setup(base_url, detail);
    let url: reqwest::Url = base_url.parse().map_err(|_| failed("not a URL"))?;
    // Without a provider reqwest panics. Somebody else having installed one meanwhile is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let builder =
        if url.scheme() == "http" || is_loopback(&url) { builder.no_proxy() } else { builder };
    match (url.scheme(), ca_pem) {
        ("http", _) => Ok(builder.tls_certs_only([])),
        ("https", None) => Ok(builder),
        ("https", Some(pem)) => {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| failed(&error.to_string()))?;
            if certificates.is_empty() {
                return Err(failed("the CA file has no certificate in PEM form"));
            }
            Ok(builder.tls_certs_only(certificates))
        }
        (other, _) => Err(failed(&format!("{other} is neither http nor https"))),
    }
}

/// Whether a URL is of this machine.
pub fn is_loopback(url: &reqwest::Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback()),
        None => false,
    }
}
