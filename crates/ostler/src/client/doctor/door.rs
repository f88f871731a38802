//! Whom the server lets in: foreign web pages, and callers without a credential.

use ostler_client::{Endpoint, Error, Http, Reply, knock};
use ostler_types::Secret;

use super::{Cut, Patient, report::Report};
use crate::client::exit::Exit;

/// A web page that has no business here.
const FOREIGN: &str = "https://attacker.invalid";

pub async fn look(patient: &Patient, report: &mut Report) -> Result<(), Cut> {
    let endpoint = &patient.endpoint;
    origin(patient, report).await;
    let bare = Endpoint {
        token: None,
        ..endpoint.clone()
    };
    let is_asked = match knock_as(patient, &bare).await {
        Err(error) => {
            report.fail(
                "auth",
                Exit::ServerFailed,
                error.to_string(),
                "look at the server's log",
            );
            return Err(Cut);
        }
        Ok(reply) => anonymous(patient, &reply, report),
    };
    match (&endpoint.token, is_asked) {
        (None, false) => Ok(()),
        (None, true) => {
            let advice = "put one into OSTLER_TOKEN or a file for --token-file";
            report.fail("credential", Exit::Refused, "none was given", advice);
            Err(Cut)
        }
        (Some(_), _) => with_token(patient, report).await,
    }
}

/// A page that reaches a server through somebody's browser is told by its `Origin` ([OR-1]).
async fn origin(patient: &Patient, report: &mut Report) {
    let endpoint = &patient.endpoint;
    let origin = ("origin".to_owned(), Secret::new(FOREIGN));
    let evil = Endpoint {
        headers: endpoint.headers.iter().cloned().chain([origin]).collect(),
        ..endpoint.clone()
    };
    let advice = "any web page can use it through a visitor's browser (DNS rebinding): check Origin and \
                  answer 403";
    let status = knock_as(patient, &evil).await.map(|reply| reply.status());
    match status {
        Ok(status) if !is_let_in(status) && !matches!(status, 401 | 403 | 404 | 405) => {
            report.skip("Origin", unclear(status));
        }
        Ok(403) => report.ok("Origin", "a foreign web page is refused (403)"),
        Ok(401) => report.skip("Origin", "it wants a credential before it looks at Origin"),
        Ok(404 | 405) => report.skip("Origin", "nothing is served to a POST here"),
        Ok(status) if patient.target.is_local() => {
            let said = format!("a foreign web page is let in (HTTP {status})");
            report.fail("Origin", Exit::ServerFailed, said, advice);
        }
        Ok(status) => {
            report.warn(
                "Origin",
                format!("a foreign web page is let in (HTTP {status})"),
                advice,
            );
        }
        Err(error) => report.skip("Origin", error.to_string()),
    }
}

/// Whether a server took a request in, however it liked it. Every other status may come from
/// whatever stands before it, and says nothing of whom the server itself lets in.
fn is_let_in(status: u16) -> bool {
    matches!(status, 200..=299 | 400)
}

fn unclear(status: u16) -> String {
    format!("cannot be told from HTTP {status}")
}

/// Whether a caller without a credential is asked for one.
fn anonymous(patient: &Patient, reply: &Reply, report: &mut Report) -> bool {
    match (reply.status(), reply.header("www-authenticate")) {
        (401, Some(challenge)) => {
            report.ok("auth", format!("it asks for a credential: {challenge}"));
            true
        }
        (401, None) => {
            let advice = "without WWW-Authenticate clients cannot find out how to get one";
            report.warn("auth", "401 without WWW-Authenticate", advice);
            true
        }
        (status, _) if !is_let_in(status) => {
            report.skip("auth", unclear(status));
            false
        }
        _ if patient.endpoint.token.is_some() => {
            report.ok("auth", "not needed, though one was given");
            false
        }
        _ if patient.target.is_local() => {
            report.ok("auth", "none: everybody on this machine may call");
            false
        }
        _ => {
            let advice = "everybody who reaches this address may call: is that meant?";
            report.warn("auth", "none", advice);
            false
        }
    }
}

async fn with_token(patient: &Patient, report: &mut Report) -> Result<(), Cut> {
    let status = knock_as(patient, &patient.endpoint).await;
    match status.map(|reply| reply.status()) {
        Ok(401 | 403) => {
            let advice = "is it the right token for this URL, and still valid?";
            report.fail("credential", Exit::Refused, "the token is refused", advice);
            Err(Cut)
        }
        Ok(status) if is_let_in(status) => {
            report.ok("credential", "the token is accepted");
            Ok(())
        }
        Ok(status) => {
            report.skip("credential", unclear(status));
            Ok(())
        }
        Err(error) => {
            report.fail(
                "credential",
                Exit::NoConnection,
                error.to_string(),
                "try again",
            );
            Err(Cut)
        }
    }
}

async fn knock_as(patient: &Patient, endpoint: &Endpoint) -> Result<Reply, Error> {
    let http = Http::new(
        patient.env.clone(),
        endpoint,
        patient.options.limits.clone(),
    )?;
    patient.within(knock(&http)).await
}
