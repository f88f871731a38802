//! TLS, with an authority of our own. Its key was thrown away; the certificates hold for a century.

use std::{net::SocketAddr, path::Path, sync::Arc};

use ostler_env::{Env, JoinHandle};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::world::{World, command, finish, run};

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls");
    folder
        .join(name)
        .to_str()
        .expect("a path of text")
        .to_owned()
}

/// Takes TLS off and passes on what is in it.
async fn terminator(to: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let chain = CertificateDer::from_pem_file(file("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(file("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("the key fits");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let env = Env::system();
    let serve = {
        let env = env.clone();
        async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // Ends with its connection, or with the runtime of the test.
                drop(env.spawn("test.tls", async move {
                    let Ok(mut outer) = acceptor.accept(socket).await else {
                        return;
                    };
                    let mut inner = TcpStream::connect(to).await.expect("the node listens");
                    // Either side may go away at any time.
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                }));
            }
        }
    };
    (address, env.spawn("test.terminator", serve))
}

#[tokio::test]
async fn an_authority_that_the_machine_trusts_is_enough() {
    let world = World::open().await;
    let (address, serving) = terminator(world.node.edge).await;
    let url = format!("https://{address}/mcp");
    for arguments in [&["call", "greet", "name=Ada"][..], &["doctor"]] {
        let mut trusting = command(&url, arguments);
        trusting.env("SSL_CERT_FILE", file("authority.pem"));
        let ran = finish(trusting).await.exits(0);
        assert!(
            ran.out.contains("Hello, Ada!") || ran.out.contains("TLSv1_3"),
            "{ran:?}"
        );
    }
    serving.abort();
    world.stop().await;
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_nothing() {
    let world = World::open().await;
    let (address, serving) = terminator(world.node.edge).await;
    let url = format!("https://{address}/mcp");
    let ran = run(&url, &["call", "greet", "name=Ada"]).await.exits(6);
    assert!(ran.err.contains("TLS"), "{ran:?}");
    serving.abort();
    world.stop().await;
}
