//! Reading server-sent events.

use serde_json::Value;

/// One event as the client got it. A comment is no event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    pub id: Option<String>,
    /// Of HTTP+SSE only.
    pub name: Option<String>,
    pub data: String,
    pub retry_ms: Option<u64>,
}

impl Event {
    /// The message it carries.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data)
            .unwrap_or_else(|why| panic!("{:?} is not JSON: {why}", self.data))
    }

    /// Carries an id and no message [SSE-2].
    pub fn is_priming(&self) -> bool {
        self.id.is_some() && self.data.is_empty()
    }
}

/// Takes bytes as they come and gives whole events.
#[derive(Debug, Default)]
pub struct Parser {
    text: Vec<u8>,
    pub comments: usize,
}

impl Parser {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// The next whole event, if there is one.
    pub fn next_event(&mut self) -> Option<Event> {
        while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            let block = String::from_utf8(block).expect("events are UTF-8");
            match read_block(&block) {
                Some(event) => return Some(event),
                None => self.comments += 1,
            }
        }
        None
    }
}

fn read_block(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut is_event = false;
    for line in block.lines().filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        is_event |= !field.is_empty();
        match field {
            "" => {}
            "event" => event.name = Some(value.to_owned()),
            "id" => event.id = Some(value.to_owned()),
            "data" => event.data.push_str(value),
            "retry" => event.retry_ms = Some(value.parse().expect("retry is a number")),
            field => panic!("unknown field {field:?}"),
        }
    }
    is_event.then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_whatever_the_cuts() {
        let text = b"id: a\ndata: \nretry: 5\n\n: ka\n\nid: b\ndata: {\"x\":1}\n\n";
        for cut in 0..text.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                parser.feed(part);
                events.extend(std::iter::from_fn(|| parser.next_event()));
            }
            assert_eq!(events.len(), 2, "cut at {cut}");
            assert!(events[0].is_priming() && events[0].retry_ms == Some(5));
            assert_eq!(events[1].json()["x"], 1);
            assert_eq!(parser.comments, 1);
        }
    }
}
