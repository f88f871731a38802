//! W3C trace context: the one rule for what goes on to a worker. <https://www.w3.org/TR/trace-context/>

use ostler_types::TraceContext;

/// Only what is well-formed; the rest is dropped, as W3C asks ([SEC-13]).
pub fn context(traceparent: &str, tracestate: Option<&str>) -> Option<TraceContext> {
    is_traceparent(traceparent).then(|| TraceContext {
        traceparent: traceparent.into(),
        tracestate: tracestate
            .filter(|state| is_tracestate(state))
            .unwrap_or_default()
            .into(),
    })
}

/// `version-traceid-parentid-flags`, lower-case hex, ids not all zero; later versions may add fields.
fn is_traceparent(text: &str) -> bool {
    let fields: Vec<&str> = text.splitn(5, '-').collect();
    let hex = |field: &str, len: usize| {
        field.len() == len
            && field
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let id = |field: &str, len| hex(field, len) && field.bytes().any(|b| b != b'0');
    match fields.as_slice() {
        [version, trace, parent, flags, more @ ..] => {
            hex(version, 2)
                && *version != "ff"
                && id(trace, 32)
                && id(parent, 16)
                && hex(flags, 2)
                && (more.is_empty() || *version != "00")
                && text.len() <= 256
                && text.bytes().all(|b| b.is_ascii_graphic())
        }
        _ => false,
    }
}

/// At most 32 `key=value` members and 512 printable characters.
fn is_tracestate(text: &str) -> bool {
    let is_member = |member: &str| {
        let member = member.trim_matches([' ', '\t']);
        member.is_empty()
            || member
                .split_once('=')
                .is_some_and(|(k, v)| !k.is_empty() && !v.is_empty())
    };
    text.len() <= 512
        && text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))
        && text.split(',').count() <= 32
        && text.split(',').all(is_member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_trace_context_goes_on() {
        let ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        for good in [
            format!("00-{ids}-01"),
            format!("cc-{ids}-01"),
            format!("cc-{ids}-01-x"),
        ] {
            assert!(is_traceparent(&good), "{good}");
        }
        let zero = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let upper = format!("00-{}-01", ids.to_uppercase());
        for bad in [
            "",
            "00",
            &zero,
            &upper,
            &format!("ff-{ids}-01"),
            &format!("00-{ids}-01-x"),
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
        assert!(is_tracestate("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE"));
        assert!(!is_tracestate("a=1\r\nb=2") && !is_tracestate("nonsense"));
        assert!(!is_tracestate(&"a=1,".repeat(33)));
    }
}
