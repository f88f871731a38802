//! Writing JSON text into one buffer.

use bytes::Bytes;

use crate::{id::RequestId, json::Raw};

/// A JSON text under construction. Commas come by themselves: whatever follows a finished
/// value within an object or array is set apart from it.
#[derive(Debug)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// A writer for about so many bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        let out = Vec::with_capacity(capacity);
        Writer { out }
    }

    pub(crate) fn open(&mut self) {
        self.comma();
        self.out.push(b'{');
    }

    pub(crate) fn close(&mut self) {
        self.out.push(b'}');
    }

    pub(crate) fn open_array(&mut self) {
        self.comma();
        self.out.push(b'[');
    }

    pub(crate) fn close_array(&mut self) {
        self.out.push(b']');
    }

    /// The name of a member; its value must follow.
    pub(crate) fn name(&mut self, name: &str) {
        self.string(name);
        self.out.push(b':');
    }

    /// A value that is JSON text already.
    pub(crate) fn raw(&mut self, json: &str) {
        self.comma();
        self.out.extend_from_slice(json.as_bytes());
    }

    /// A value that is text, to be quoted.
    pub(crate) fn string(&mut self, text: &str) {
        self.comma();
        let plain = |b: &u8| *b >= 0x20 && *b != b'"' && *b != b'\\';
        if text.as_bytes().iter().all(plain) {
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
        } else {
            serde_json::to_writer(&mut self.out, text).expect("a string is always JSON");
        }
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    pub(crate) fn int(&mut self, value: impl Into<i128>) {
        self.raw(&value.into().to_string());
    }

    /// A finite number; whole ones are written without a fraction.
    pub(crate) fn float(&mut self, value: f64) {
        const WHOLE_MAX: f64 = (1u64 << 53) as f64;
        if value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
            self.int(value as i64);
        } else {
            self.raw(&serde_json::Value::from(value).to_string());
        }
    }

    pub(crate) fn raw_member(&mut self, name: &str, json: &str) {
        self.name(name);
        self.raw(json);
    }

    pub(crate) fn string_member(&mut self, name: &str, text: &str) {
        self.name(name);
        self.string(text);
    }

    pub(crate) fn bool_member(&mut self, name: &str, value: bool) {
        self.name(name);
        self.bool(value);
    }

    /// An object with whatever `fill` writes into it.
    pub(crate) fn object_member(&mut self, name: &str, fill: impl FnOnce(&mut Writer)) {
        self.name(name);
        self.open();
        fill(self);
        self.close();
    }

    /// An array of strings.
    pub(crate) fn strings_member<S: AsRef<str>>(&mut self, name: &str, texts: &[S]) {
        self.name(name);
        self.open_array();
        for text in texts {
            self.string(text.as_ref());
        }
        self.close_array();
    }

    /// Where the last written `]` or `}` stands.
    pub(crate) fn end(&self) -> usize {
        self.out.len() - 1
    }

    /// More of what was closed at `end`: what follows it moves.
    pub(crate) fn reopen(&mut self, end: usize, fill: impl FnOnce(&mut Writer)) {
        let rest = self.out.split_off(end);
        fill(self);
        self.out.extend_from_slice(&rest);
    }

    pub(crate) fn finish(self) -> Bytes {
        self.out.into()
    }

    /// The text as one value. What was written is trusted: names are distinct and every
    /// spliced value came out of a [`Raw`].
    pub(crate) fn into_raw(self) -> Raw {
        Raw::from_checked(self.out.into())
    }

    /// No finished value ends with any of these, so the last byte tells whether one stands
    /// before.
    fn comma(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }
}

/// The most that an envelope around a body costs, without its id.
const ENVELOPE_BYTES: usize = 64;

/// Begins a response; its `result` or `error` member must follow, then [`close_message`].
pub(crate) fn open_response(id: Option<&RequestId>, body_bytes: usize) -> Writer {
    let id_bytes = id.map_or(0, |id| id.as_raw().len());
    let mut writer = Writer::new(ENVELOPE_BYTES + id_bytes + body_bytes);
    writer.open();
    writer.raw_member("jsonrpc", "\"2.0\"");
    if let Some(id) = id {
        writer.raw_member("id", id.as_raw());
    }
    writer
}

/// Ends what [`open_response`] began.
pub(crate) fn close_message(mut writer: Writer) -> Bytes {
    writer.close();
    writer.finish()
}

/// A notification, with what `fill` writes as the members of `params`.
pub(crate) fn notification(
    method: &str,
    params_bytes: usize,
    fill: impl FnOnce(&mut Writer),
) -> Bytes {
    let mut writer = Writer::new(ENVELOPE_BYTES + method.len() + params_bytes);
    writer.open();
    writer.raw_member("jsonrpc", "\"2.0\"");
    writer.string_member("method", method);
    writer.object_member("params", fill);
    close_message(writer)
}
