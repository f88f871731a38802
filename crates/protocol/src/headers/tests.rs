use super::*;

/// Header lines as a list, for tests of this crate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(pub Vec<(&'static str, Vec<u8>)>);

impl Lines {
    /// Replaces all lines of the name by one; an empty `value` removes them.
    pub(crate) fn set(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.0
            .retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        match value {
            Some(value) => self.add(name, value.as_bytes()),
            None => self,
        }
    }

    pub(crate) fn add(mut self, name: &'static str, value: &[u8]) -> Self {
        self.0.push((name, value.to_vec()));
        self
    }
}

impl Headers for Lines {
    fn all(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let name = field.name();
        let lines = self
            .0
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_slice())
    }

    fn params(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().filter_map(|(name, value)| {
            let (prefix, suffix) = name.split_at_checked("mcp-param-".len())?;
            let is_param = prefix.eq_ignore_ascii_case("mcp-param-");
            is_param.then_some((suffix, value.as_slice()))
        })
    }
}

fn mirror(lines: &[&[u8]], body: &str) -> bool {
    let lines = lines
        .iter()
        .map(|value| ("Mcp-Name", value.to_vec()))
        .collect();
    match check_mirror(&Lines(lines), NAME, body) {
        Ok(()) => true,
        Err(Fault::HeaderMismatch(_)) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_mirror_equals_the_body_after_decoding() {
    for (header, body) in [
        (&b"echo"[..], "echo"),
        (b" \t echo\t ", "echo"),
        (b"=?base64?SGVsbG8=?=", "Hello"),
        (b" =?base64?SGVsbG8=?= ", "Hello"),
        (b"=?base64?w6k=?=", "é"),
        (b"=?base64?IHBhZGRlZCA=?=", " padded "),
        (b"=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?="),
        (b"=?base64??=", ""),
        // Literals: not both marks, or not in lower case.
        (b"SGVsbG8=", "SGVsbG8="),
        (b"=?base64?SGVsbG8=", "=?base64?SGVsbG8="),
        (b"=?BASE64?SGVsbG8=?=", "=?BASE64?SGVsbG8=?="),
        (b"=?base64?=", "=?base64?="),
        (b"a b", "a b"),
    ] {
        assert!(mirror(&[header], body), "{}", header.escape_ascii());
    }
}

#[test]
fn a_mirror_that_differs_is_refused() {
    let echo = &b"echo"[..];
    for (lines, body) in [
        (&[][..], "echo"),
        (&[&b"Echo"[..]], "echo"),
        (&[b"echo2"], "echo"),
        (&[b""], "echo"),
        (&[echo, echo], "echo"),
        (&[echo, b"other"], "echo"),
        (&["é".as_bytes()], "é"),
        (&[b"e\x01cho"], "e\u{1}cho"),
        (&[b"e\x7Fcho"], "e\u{7F}cho"),
    ] {
        assert!(!mirror(lines, body), "{lines:?}");
    }
    for spoiled in [
        "SGVsbG8",
        "SGVsbG8==",
        "SGVsbG8===",
        "SGVsbG9=",
        "SGVs bG8=",
        "SGVs\tbG8=",
        "SGVs!!!bG8=",
        "//79",
        "SGVsbG8=\u{e9}",
        "SGVsbG-_",
    ] {
        let header = format!("=?base64?{spoiled}?=");
        assert!(!mirror(&[header.as_bytes()], "Hello"), "{header}");
    }
}

fn rules() -> Vec<ParamRule> {
    let rule = |header: &str, path: &[&str], kind| ParamRule {
        header: header.to_owned(),
        path: path.iter().map(|step| (*step).to_owned()).collect(),
        kind,
    };
    vec![
        rule("Region", &["region"], ParamKind::String),
        rule("Count", &["deep", "count"], ParamKind::Integer),
        rule("Flag", &["flag"], ParamKind::Boolean),
    ]
}

/// The JSON-RPC code, 0 for none.
fn params(headers: &[(&'static str, &str)], arguments: &str) -> i32 {
    let lines = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes().to_vec()))
        .collect();
    let arguments = Raw::parse(arguments.to_owned().into(), 64).unwrap();
    let checked = check_param_headers(&Lines(lines), &rules(), &arguments);
    checked.map_or_else(|fault| fault.code(crate::Revision::LATEST_MODERN), |()| 0)
}

#[test]
fn param_headers_are_there_exactly_when_their_arguments_are() {
    let region = [("mcp-PARAM-region", "us-west1")];
    for (headers, arguments, code) in [
        (&[][..], "{}", 0),
        (&[], r#"{"region":null,"deep":7,"flag":null}"#, 0),
        (&region[..], r#"{"region":"us-west1"}"#, 0),
        (&[], r#"{"region":"us-west1"}"#, -32020),
        (&region, "{}", -32020),
        (&region, r#"{"region":null}"#, -32020),
        (&region, r#"{"region":"eu-1"}"#, -32020),
        (
            &[region[0], ("Mcp-Param-Region", "eu-1")],
            r#"{"region":"us-west1"}"#,
            -32020,
        ),
        (&[("Mcp-Param-Unknown", "x")], "{}", 0),
        (
            &[("Mcp-Param-Region", "=?base64?w6k=?=")],
            r#"{"region":"\u00e9"}"#,
            0,
        ),
        (
            &[("Mcp-Param-Region", "=?base64?//79?=")],
            r#"{"region":"x"}"#,
            -32020,
        ),
        (&[("Mcp-Param-Count", "42")], r#"{"deep":{"count":42}}"#, 0),
        (&[("Mcp-Param-Count", "42")], r#"{"count":42}"#, -32020),
        (&[("Mcp-Param-Flag", "true")], r#"{"flag":true}"#, 0),
        (&[("Mcp-Param-Flag", "false")], r#"{"flag":false}"#, 0),
        (&[("Mcp-Param-Flag", "True")], r#"{"flag":true}"#, -32020),
        (&[("Mcp-Param-Flag", "1")], r#"{"flag":true}"#, -32020),
        (&[("Mcp-Param-Flag", "yes")], r#"{"flag":true}"#, -32020),
        // Of the wrong type: left to the schema, whose words the model reads [T-8].
        (&region, r#"{"region":7}"#, 0),
        (&[], r#"{"flag":"true"}"#, 0),
    ] {
        assert_eq!(params(headers, arguments), code, "{headers:?} {arguments}");
    }
}

/// The decision table of HDR-020 and HDR-021.
#[test]
fn integers_are_compared_as_numbers_within_the_safe_range() {
    for (header, argument, code) in [
        ("42", "42", 0),
        ("42.0", "42", 0),
        ("42.000", "42", 0),
        ("42", "42.0", 0),
        ("42", "4.2e1", 0),
        ("42", "420e-1", 0),
        ("-7", "-7", 0),
        ("-0", "0", 0),
        ("0", "-0", 0),
        ("0.0", "0e999999999999999999", 0),
        ("9007199254740991", "9007199254740991", 0),
        ("-9007199254740991", "-9007199254740991.0", 0),
        ("100", "1e2", 0),
        ("43", "42", -32020),
        ("042", "42", -32020),
        ("4.2e1", "42", -32020),
        ("0x2A", "42", -32020),
        ("=?base64?77yU77yS?=", "42", -32020), // full-width digits
        ("+42", "42", -32020),
        ("42.", "42", -32020),
        (".0", "0", -32020),
        ("", "0", -32020),
        ("-", "0", -32020),
        ("42.5", "42", -32020),
        ("9007199254740993", "9007199254740993", -32602),
        ("9007199254740992", "9007199254740992", -32602),
        ("1e400", "1e400", -32602),
        ("1", "1e-99999999999999999999", -32602),
        ("1", "123456789012345678901234567890", -32602),
        ("1.5", "1.5", -32602),
    ] {
        let arguments = format!(r#"{{"deep":{{"count":{argument}}}}}"#);
        assert_eq!(
            params(&[("Mcp-Param-Count", header)], &arguments),
            code,
            "{header} {argument}"
        );
    }
}
