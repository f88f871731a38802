//! Which era a server speaks: the modern one is tried first, because only its answer is certain.

use ostler_protocol::{Era, Revision};

use crate::{
    client::{Dialect, Facts, Options},
    code,
    error::Error,
    http::Http,
    legacy::{self, newest_supported},
    modern::Modern,
};

/// What the caller wants to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EraChoice {
    /// Whatever the server speaks, the newest first.
    #[default]
    Auto,
    Modern,
    Legacy,
    /// Ask for this revision; a legacy server may name another one.
    Only(Revision),
}

pub(crate) async fn negotiate(http: Http, options: &Options) -> Result<(Dialect, Facts), Error> {
    let wanted = match options.choice {
        EraChoice::Auto => {
            tokio::select! {
                biased;
                found = modern(&http, options) => match found {
                    Ok(found) => return Ok(found),
                    Err(error) => legacy_after(error)?,
                },
                () = silence(&http) => Revision::LATEST_LEGACY,
            }
        }
        EraChoice::Modern => return modern(&http, options).await.map_err(nowhere),
        EraChoice::Legacy => Revision::LATEST_LEGACY,
        EraChoice::Only(revision) => match revision.era() {
            Era::Modern => return modern(&http, options).await.map_err(nowhere),
            Era::Legacy => revision,
        },
    };
    let (legacy, facts) = legacy::open(http, wanted, options).await?;
    Ok((Dialect::Legacy(Box::new(legacy)), facts))
}

/// Ends when a server that was reached has not answered what it may not know.
async fn silence(http: &Http) {
    http.reached().await;
    http.env.sleep(http.limits.probe_max).await;
}

async fn modern(http: &Http, options: &Options) -> Result<(Dialect, Facts), Error> {
    let revision = Revision::LATEST_MODERN;
    let modern = Modern::new(http.clone(), revision, options);
    let facts = modern.discover().await?;
    match facts.supported.iter().any(|date| date == revision.as_str()) {
        true => Ok((Dialect::Modern(Box::new(modern)), facts)),
        false => Err(Error::NoRevision {
            server: facts.supported,
        }),
    }
}

/// What 404 and 405 mean where no other era is tried.
pub(crate) fn nowhere(error: Error) -> Error {
    match error {
        Error::Status {
            status: status @ (404 | 405),
            ..
        } => Error::NoEndpoint { status },
        error => error,
    }
}

/// The legacy revision to try after the modern one did not do; the error itself where it says that
/// there is none. A refusal or a broken connection says nothing of the era.
fn legacy_after(error: Error) -> Result<Revision, Error> {
    let newest = |dates: &[String]| {
        let known = dates.iter().filter_map(|date| Revision::parse(date));
        known.filter(|revision| revision.era() == Era::Legacy).max()
    };
    match &error {
        Error::Rpc(rpc) => match rpc.code {
            // By these a server shows that it speaks the modern era.
            code::HEADER_MISMATCH | code::MISSING_CAPABILITY => Err(error),
            code::UNSUPPORTED_REVISION => rpc.data.as_ref().and_then(newest_supported).ok_or(error),
            _ => Ok(Revision::LATEST_LEGACY),
        },
        Error::NoRevision { server } => newest(server).ok_or(error),
        Error::Status {
            status: 400..=499, ..
        }
        | Error::Protocol(_) => Ok(Revision::LATEST_LEGACY),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use ostler_protocol::Raw;

    use super::*;
    use crate::message::RpcError;

    fn rpc(code: i64, data: Option<&'static str>) -> Error {
        Error::Rpc(RpcError {
            code,
            message: "no".to_owned(),
            data: data.map(Raw::from_static),
        })
    }

    fn status(status: u16) -> Error {
        Error::Status {
            status,
            message: String::new(),
        }
    }

    #[test]
    fn only_what_shows_no_modern_server_leads_to_the_legacy_era() {
        let latest = Some(Revision::LATEST_LEGACY);
        let none = r#"{"supported":["2027-01-01"]}"#;
        let old = r#"{"supported":["2027-01-01","2025-03-26","2024-11-05"]}"#;
        let rows = [
            (rpc(-32601, None), latest),
            (rpc(-32600, None), latest),
            (rpc(-32020, None), None),
            (rpc(-32021, None), None),
            (rpc(-32022, Some(none)), None),
            (rpc(-32022, Some(old)), Some(Revision::V2025_03_26)),
            (status(400), latest),
            (status(404), latest),
            (status(405), latest),
            (status(500), None),
            (Error::Protocol("it is HTML".to_owned()), latest),
            (
                Error::Broken {
                    reason: String::new(),
                },
                None,
            ),
        ];
        for (error, expected) in rows {
            assert_eq!(legacy_after(error.clone()).ok(), expected, "{error:?}");
        }
    }
}
