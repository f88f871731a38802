use super::*;
use crate::headers::tests::Lines;

fn header(lines: &[&str]) -> Lines {
    Lines(
        lines
            .iter()
            .map(|v| ("MCP-Protocol-Version", v.as_bytes().to_vec()))
            .collect(),
    )
}

#[test]
fn the_version_header_is_sorted_by_era() {
    let modern = |text: &'static str| VersionHeader::Modern(text.into());
    let unknown = |text: &'static str| VersionHeader::Unknown(text.into());
    for (lines, expected) in [
        (&[][..], VersionHeader::Absent),
        (
            &["2025-11-25"],
            VersionHeader::Legacy(Revision::V2025_11_25),
        ),
        (
            &[" 2024-11-05 "],
            VersionHeader::Legacy(Revision::V2024_11_05),
        ),
        (&["2026-07-28"], modern("2026-07-28")),
        (&["2027-01-01"], modern("2027-01-01")),
        (&["2026-07-27"], unknown("2026-07-27")),
        (&["1900-01-01"], unknown("1900-01-01")),
        (&["v999.0.0"], unknown("v999.0.0")),
        (
            &["2026-07-28, 2026-07-28"],
            unknown("2026-07-28, 2026-07-28"),
        ),
        (&[""], unknown("")),
        (
            &["2025-11-25", "2026-07-28"],
            VersionHeader::Repeated { any_modern: true },
        ),
        (
            &["2026-07-28", "2025-11-25"],
            VersionHeader::Repeated { any_modern: true },
        ),
        (
            &["2025-11-25", "2025-11-25"],
            VersionHeader::Repeated { any_modern: false },
        ),
    ] {
        assert_eq!(VersionHeader::read(&header(lines)), expected, "{lines:?}");
    }
}

/// One line per row of [ERA-2]; what the modern checks make of rows 2 to 5 is tested with them.
#[test]
fn the_table_decides_by_header_meta_session_and_method() {
    const META: u8 = 1;
    const SESSION: u8 = 2;
    const INITIALIZE: u8 = 4;
    let session_required = Decision::Refuse {
        fault: Fault::SessionRequired,
        era: Era::Legacy,
    };
    let no_initialize = Decision::Refuse {
        fault: Fault::MethodNotFound {
            method: "initialize".into(),
        },
        era: Era::Modern,
    };
    for (row, lines, shape, expected) in [
        (1, &["2025-11-25"][..], META | SESSION, Decision::Modern),
        (1, &["2026-07-28"], SESSION, Decision::Modern),
        (2, &[], META, Decision::Modern),
        (3, &["2026-07-28"], META, Decision::Modern),
        (4, &["1900-01-01"], META, Decision::Modern),
        (5, &["2026-07-28"], 0, Decision::Modern),
        (6, &[], INITIALIZE, Decision::Initialize),
        (
            6,
            &["2025-11-25"],
            INITIALIZE | SESSION,
            Decision::Initialize,
        ),
        (6, &["2024-11-05"], INITIALIZE, Decision::Initialize),
        (7, &["2026-07-28"], INITIALIZE, no_initialize),
        (7, &["2026-07-28"], INITIALIZE | META, Decision::Modern),
        (8, &[], SESSION, Decision::Session),
        (8, &["2025-11-25"], SESSION, Decision::Session),
        (9, &[], 0, session_required.clone()),
        (9, &["2025-11-25"], 0, session_required),
        (11, &["2026-07-28"], SESSION, Decision::Modern),
        (12, &["2025-11-25"], META, Decision::Modern),
    ] {
        let shape = Shape {
            version_in_meta: shape & META != 0,
            session: shape & SESSION != 0,
            initialize: shape & INITIALIZE != 0,
        };
        let lines = header(lines);
        let found = decide(&VersionHeader::read(&lines), shape);
        assert_eq!(found, expected, "row {row}: {lines:?} {shape:?}");
    }
}

/// Row 10.
#[test]
fn an_unknown_version_is_told_in_the_form_its_client_may_understand() {
    for lines in [&["garbage"][..], &["2025-11-25", "2025-11-25"]] {
        let lines = header(lines);
        let version_header = VersionHeader::read(&lines);
        for initialize in [false, true] {
            let code = |session| {
                let shape = Shape {
                    version_in_meta: false,
                    session,
                    initialize,
                };
                match decide(&version_header, shape) {
                    Decision::Refuse { fault, era } => fault.code(match era {
                        Era::Modern => Revision::LATEST_MODERN,
                        Era::Legacy => Revision::LATEST_LEGACY,
                    }),
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!((code(false), code(true)), (-32022, -32600), "{lines:?}");
        }
    }
}
