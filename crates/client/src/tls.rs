//! TLS as this client speaks it: rustls, and whom the machine trusts.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tokio_rustls::TlsConnector;

use crate::{dial::Step, error::Error};

/// Ready to shake hands.
#[derive(Clone)]
pub struct Tls(pub(crate) TlsConnector);

impl Tls {
    /// With the certificate authorities of the machine, so that a company's own work too;
    /// `SSL_CERT_FILE` goes before them.
    pub fn system() -> Result<Tls, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (good, _) = roots.add_parsable_certificates(found.certs);
        if good == 0 {
            return Err(Error::Connect {
                step: Step::Tls,
                target: "any https server".to_owned(),
                reason: "this machine has no certificate authorities (ca-certificates)".to_owned(),
            });
        }
        Ok(Tls::trusting(roots))
    }

    /// With these authorities only.
    pub fn trusting(roots: RootCertStore) -> Tls {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions");
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Tls(TlsConnector::from(Arc::new(config)))
    }
}
