//! Whether a stream that is quiet for long reaches the client, whatever proxies stand between.

use ostler_client::{Client, Error, EventStream, Reply};
use ostler_protocol::sse::decode::Frame;

use super::{Patient, report::Report};
use crate::client::exit::Exit;

pub async fn look(client: &Client, patient: &Patient, report: &mut Report) {
    let reply = match patient.within(client.open_stream()).await {
        Ok(reply) => reply,
        Err(Error::NotOffered(_)) => {
            return report.skip("stream", "the server offers none: changes are not told");
        }
        Err(error) => {
            let advice = "does a proxy refuse long answers, or the method GET?";
            return report.fail("stream", Exit::ServerFailed, error.to_string(), advice);
        }
    };
    if !reply.is_stream() {
        let advice = "a listen is answered by text/event-stream; does a proxy rewrite it?";
        return report.fail(
            "stream",
            Exit::ServerFailed,
            "the answer is no stream",
            advice,
        );
    }
    headers(&reply, report);
    quiet(reply.events(), patient, report).await;
}

/// What proxies are told ([SH-6]).
fn headers(reply: &Reply, report: &mut Report) {
    let header = |name: &str| reply.header(name).unwrap_or_default().to_ascii_lowercase();
    let encoding = header("content-encoding");
    if !encoding.is_empty() && encoding != "identity" {
        let said = format!("compressed ({encoding})");
        let advice = "compression holds events back: turn it off for text/event-stream";
        report.warn("buffering", said, advice);
    } else if header("x-accel-buffering") == "no"
        || header("cache-control").contains("no-transform")
    {
        report.ok("buffering", "proxies are told to keep nothing back");
    } else {
        let advice = "send X-Accel-Buffering: no and Cache-Control: no-cache, no-transform";
        report.warn(
            "buffering",
            "proxies are not told to keep nothing back",
            advice,
        );
    }
}

/// Waits for a comment: a quiet stream without any is cut by most proxies after a minute.
async fn quiet(mut events: EventStream, patient: &Patient, report: &mut Report) {
    if patient.output.err_is_terminal {
        let seconds = patient.patience.as_secs();
        patient.output.tell(&format!(
            "      (waiting for a keep-alive, {seconds} s at most)"
        ));
    }
    let start = patient.env.now();
    let comment = async {
        loop {
            match events.next_frame().await {
                Ok(Some(Frame::Comment)) => return Ok(true),
                Ok(Some(Frame::Event(_))) => {}
                Ok(None) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    };
    let advice =
        "proxies cut what is quiet: send a comment every 15 to 25 s, and raise their read timeout";
    match patient.env.until(start + patient.patience, comment).await {
        Some(Ok(true)) => {
            let after = patient.env.now().since(start).as_secs_f64();
            report.ok("keep-alive", format!("one came after {after:.0} s"));
        }
        Some(Ok(false)) => {
            report.fail("keep-alive", Exit::ServerFailed, "the stream ended", advice);
        }
        Some(Err(error)) => {
            report.fail("keep-alive", Exit::ServerFailed, error.to_string(), advice);
        }
        None => {
            let said = format!("none within {} s", patient.patience.as_secs());
            report.warn("keep-alive", said, advice);
        }
    }
}
