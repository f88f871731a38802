//! Which era a server speaks: the modern one is tried first, because only its answer is certain.

use ostler_protocol::{Era, Revision};

use crate::{
    client::{Dialect, Facts, Options},
    code,
    error::Error,
    legacy::{self, newest_supported},
    modern::Modern,
    way::Way,
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

pub(crate) async fn negotiate(way: &Way, options: &Options) -> Result<(Dialect, Facts), Error> {
    let wanted = match options.choice {
        EraChoice::Auto => return either(way, options).await,
        EraChoice::Modern => return modern(way, options).await.map_err(nowhere),
        EraChoice::Legacy => Revision::LATEST_LEGACY,
        EraChoice::Only(revision) => match revision.era() {
            Era::Modern => return modern(way, options).await.map_err(nowhere),
            Era::Legacy => revision,
        },
    };
    legacy(way, wanted, options).await
}

/// Whichever era answers. One that stays silent for long is asked in the other's words too; its
/// late answer counts all the same, for it may only have been slow to start.
async fn either(way: &Way, options: &Options) -> Result<(Dialect, Facts), Error> {
    // Boxed here and below, because every way to connect is in it.
    let mut asked = Box::pin(modern(way, options));
    let found = tokio::select! {
        biased;
        found = &mut asked => Some(found),
        () = silence(way) => None,
    };
    match found {
        Some(Ok(found)) => Ok(found),
        Some(Err(error)) => legacy(way, legacy_after(error)?, options).await,
        None => {
            let late = async {
                match asked.await {
                    Ok(found) => found,
                    // The other one is asked already.
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                found = late => Ok(found),
                opened = legacy(way, Revision::LATEST_LEGACY, options) => opened,
            }
        }
    }
}

/// Ends when a server that was reached has not answered what it may not know.
async fn silence(way: &Way) {
    way.reached().await;
    let pace = way.pace();
    pace.env.sleep(pace.limits.probe_max).await;
}

async fn legacy(way: &Way, wanted: Revision, options: &Options) -> Result<(Dialect, Facts), Error> {
    let (legacy, facts) = legacy::open(way, wanted, options).await?;
    Ok((Dialect::Legacy(Box::new(legacy)), facts))
}

async fn modern(way: &Way, options: &Options) -> Result<(Dialect, Facts), Error> {
    let revision = Revision::LATEST_MODERN;
    let modern = Modern::new(way.clone(), revision, options);
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
