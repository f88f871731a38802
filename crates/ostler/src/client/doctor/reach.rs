//! Name, socket, handshake.

use ostler_client::{Error, Tls, connect, resolve, secure};

use super::{Cut, Patient, report::Report};
use crate::client::exit::Exit;

pub async fn look(patient: &Patient, report: &mut Report) -> Result<(), Cut> {
    let target = &patient.target;
    let found = patient.within(resolve(target)).await;
    let addresses = settle(
        report,
        "DNS",
        found,
        "is the name spelled right, and known here?",
    )?;
    let shown: Vec<_> = addresses
        .iter()
        .map(|address| address.ip().to_string())
        .collect();
    report.ok("DNS", format!("{} is {}", target.host, shown.join(", ")));

    let span = patient.options.limits.connect_max;
    let found = patient
        .within(connect(&patient.env, target, &addresses, span))
        .await;
    let advice = "is the server running, on this port, and does a firewall let you through?";
    let tcp = settle(report, "TCP", found, advice)?;
    report.ok("TCP", format!("connected to port {}", target.port));

    if !target.is_tls {
        match patient.target.is_local() {
            true => report.skip("TLS", "not needed on this machine"),
            false => report.warn(
                "TLS",
                "plain http",
                "credentials and data travel in the clear: put a TLS terminator in front",
            ),
        }
        return Ok(());
    }
    let tls = settle(
        report,
        "TLS",
        Tls::system(),
        "install the package ca-certificates",
    )?;
    let found = patient.within(secure(target, &tls, tcp)).await;
    let advice = "does this port speak TLS, does the certificate name this host, is it current, and is its \
                  authority known here (SSL_CERT_FILE adds one)?";
    let shaken = settle(report, "TLS", found, advice)?;
    let version = shaken.get_ref().1.protocol_version();
    let version = version.and_then(|version| version.as_str().map(str::to_owned));
    report.ok("TLS", version.unwrap_or_else(|| "good".to_owned()));
    Ok(())
}

fn settle<T>(
    report: &mut Report,
    step: &str,
    found: Result<T, Error>,
    advice: &str,
) -> Result<T, Cut> {
    found.map_err(|error| {
        report.fail(step, Exit::NoConnection, error.to_string(), advice);
        Cut
    })
}
