//! Reading an event stream, as the HTML Living Standard says (9.2.6), within a bound.

use bytes::Bytes;

/// One item of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Event(Event),
    /// A line that only keeps the connection open.
    Comment,
}

/// What stood between two blank lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The event's name; none is the same as `message`.
    pub name: Option<String>,
    pub id: Option<String>,
    pub retry_ms: Option<u64>,
    /// All data lines, with a line feed between them.
    pub data: Bytes,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStream {
    #[error("an event is longer than {bytes_max} bytes")]
    TooLong { bytes_max: usize },
    #[error("a field that must be text is not UTF-8")]
    NotText,
}

/// Takes bytes as they come and gives whole frames. Holds at most one event (`bytes_max`) and one
/// piece of input.
#[derive(Debug)]
pub struct Decoder {
    bytes_max: usize,
    /// Input from `at` on is not read yet; `seen` bytes after it hold no line end.
    input: Vec<u8>,
    at: usize,
    seen: usize,
    is_start: bool,
    /// The last line ended with CR: a LF that follows belongs to it.
    after_cr: bool,
    event: Event,
    data: Vec<u8>,
    has_field: bool,
}

impl Decoder {
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            input: Vec::new(),
            at: 0,
            seen: 0,
            is_start: true,
            after_cr: false,
            event: Event::default(),
            data: Vec::new(),
            has_field: false,
        }
    }

    /// Adds a piece of the stream. Take all frames out before the next one.
    pub fn feed(&mut self, piece: &[u8]) {
        self.input.drain(..self.at);
        self.at = 0;
        self.input.extend_from_slice(piece);
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, BadStream> {
        while let Some(line) = self.next_line() {
            if line.is_empty() {
                if let Some(event) = self.finish() {
                    return Ok(Some(Frame::Event(event)));
                }
            } else if line[0] == b':' {
                return Ok(Some(Frame::Comment));
            } else {
                self.field(&line)?;
            }
            self.check_room(0)?;
        }
        self.check_room(self.input.len() - self.at)?;
        Ok(None)
    }

    /// The next line without its end: CR, LF or both.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        if self.after_cr && self.at < self.input.len() {
            self.after_cr = false;
            self.at += usize::from(self.input[self.at] == b'\n');
        }
        let unread = &self.input[self.at..];
        let is_end = |b: &u8| matches!(b, b'\n' | b'\r');
        let Some(found) = unread[self.seen..].iter().position(is_end) else {
            self.seen = unread.len();
            return None;
        };
        let end = self.seen + found;
        self.after_cr = unread[end] == b'\r';
        let line = without_mark(&unread[..end], self.is_start).to_vec();
        self.is_start = false;
        self.at += end + 1;
        self.seen = 0;
        Some(line)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), BadStream> {
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.event.name = Some(text(value)?),
            // An id with NUL is no id; `retry` is digits or nothing.
            b"id" if !value.contains(&0) => self.event.id = Some(text(value)?),
            b"retry" => {
                let digits = value.iter().all(u8::is_ascii_digit);
                let number = digits.then(|| text(value)).transpose()?;
                self.event.retry_ms = number.and_then(|number| number.parse().ok());
            }
            _ => return Ok(()),
        }
        self.has_field = true;
        Ok(())
    }

    fn finish(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        data.pop();
        event.data = data.into();
        std::mem::take(&mut self.has_field).then_some(event)
    }

    fn check_room(&self, unread: usize) -> Result<(), BadStream> {
        let bytes_max = self.bytes_max;
        match self.data.len() + unread > bytes_max {
            true => Err(BadStream::TooLong { bytes_max }),
            false => Ok(()),
        }
    }
}

fn text(value: &[u8]) -> Result<String, BadStream> {
    String::from_utf8(value.to_vec()).map_err(|_| BadStream::NotText)
}

/// A stream may begin with a byte order mark.
fn without_mark(line: &[u8], is_start: bool) -> &[u8] {
    match line.strip_prefix(b"\xEF\xBB\xBF") {
        Some(rest) if is_start => rest,
        Some(_) | None => line,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<Frame>, BadStream> {
        let mut decoder = Decoder::new(64);
        let mut frames = Vec::new();
        for piece in pieces {
            decoder.feed(piece);
            while let Some(frame) = decoder.next_frame()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    /// Name, id, retry and data of an event.
    type Expected<'a> = (Option<&'a str>, Option<&'a str>, Option<u64>, &'a str);

    fn check(stream: &[u8], expected: &[Expected]) {
        let events = expected.iter().map(|(name, id, retry_ms, data)| {
            Frame::Event(Event {
                name: name.map(str::to_owned),
                id: id.map(str::to_owned),
                retry_ms: *retry_ms,
                data: Bytes::copy_from_slice(data.as_bytes()),
            })
        });
        let events: Vec<_> = events.collect();
        for cut in 0..stream.len() {
            let frames = read(&[&stream[..cut], &stream[cut..]]).unwrap();
            assert_eq!(frames, events, "cut at {cut}");
        }
    }

    #[test]
    fn every_line_end_is_understood_wherever_the_cut_is() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = "event: x\nid: 1\nretry: 20\ndata: a\ndata:b\n\ndata: c\n\n";
            let stream = stream.replace('\n', end);
            let events = [
                (Some("x"), Some("1"), Some(20), "a\nb"),
                (None, None, None, "c"),
            ];
            check(stream.as_bytes(), &events);
        }
    }

    #[test]
    fn what_is_no_field_is_passed_over() {
        check(b"\xEF\xBB\xBFdata: a\n\n", &[(None, None, None, "a")]);
        check(b"nonsense: 1\n\ndata: a\n\n", &[(None, None, None, "a")]);
        check(b"id: a\0b\nretry: 1x\ndata\n\n", &[(None, None, None, "")]);
        // A priming event has an id and no data [SSE-2].
        check(b"id: 7\ndata: \n\n", &[(None, Some("7"), None, "")]);
        // The end of the stream ends no event.
        check(b"data: a\n", &[]);
    }

    #[test]
    fn comments_are_seen() {
        assert_eq!(read(&[b": ka\n\n"]), Ok(vec![Frame::Comment]));
    }

    #[test]
    fn what_is_too_long_or_no_text_ends_the_stream() {
        let long = "data: x\n".repeat(40);
        let too_long = Err(BadStream::TooLong { bytes_max: 64 });
        assert_eq!(read(&[long.as_bytes()]), too_long);
        assert_eq!(read(&[&[b'x'; 65]]), too_long);
        assert_eq!(read(&[b"event: \xFF\n"]), Err(BadStream::NotText));
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read_back(datas in prop::collection::vec("[^\r\n]{0,12}", 1..6)) {
            let mut stream = Vec::new();
            for (at, data) in datas.iter().enumerate() {
                let id = format!("e.{at}");
                stream.extend_from_slice(&super::super::event(Some(&id), data.as_bytes()));
                stream.extend_from_slice(super::super::KEEP_ALIVE);
            }
            let frames = read(&[&stream]).unwrap();
            let events = frames.iter().filter_map(|frame| match frame {
                Frame::Event(event) => Some(event.data.clone()),
                Frame::Comment => None,
            });
            prop_assert!(events.eq(datas.iter().map(|data| Bytes::copy_from_slice(data.as_bytes()))));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&[&bytes]);
        }
    }
}
