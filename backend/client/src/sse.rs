//! Server-sent events: from pieces of text to frames.

/// One frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Comes back as `Last-Event-ID`.
    pub(crate) id: Option<String>,
    /// Its lines, joined.
    pub(crate) data: String,
}

/// Largest line, and largest data of a frame, that is kept: far above an event of ours.
const MAX_LINE: usize = 1024 * 1024;

/// Puts frames together, however the network cuts them.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_return: bool,
    frame: Frame,
    has_data: bool,
}

impl Parser {
    /// Takes a piece; gives the frames that it completes.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for byte in piece {
            // A line ends with a line feed, a carriage return, or both.
            let pair = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if pair => {}
                b'\n' | b'\r' => frames.extend(self.end_line()),
                _ if self.line.len() < MAX_LINE => self.line.push(*byte),
                _ => {}
            }
        }
        frames
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            return std::mem::take(&mut self.has_data).then_some(frame);
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let further = std::mem::replace(&mut self.has_data, true);
                if self.frame.data.len() + value.len() >= MAX_LINE {
                    return None;
                }
                if further {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            "id" => self.frame.id = Some(value.to_owned()),
            // Comments have no field before their colon; `event` is always `message`, `retry` is ours to choose.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ": waiting\n\nevent: message\nid: 1\ndata: {\"a\": 1}\n\nid:2\r\ndata:x\r\ndata: y\r\n\r\nid: 3\n\ndata: ü\n\ndata: cut";

    fn frame(id: Option<&str>, data: &str) -> Frame {
        Frame {
            id: id.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let expected = [
            frame(Some("1"), "{\"a\": 1}"),
            frame(Some("2"), "x\ny"),
            frame(None, "ü"),
        ];
        for size in 1..=TEXT.len() {
            let mut parser = Parser::default();
            let pieces = TEXT.as_bytes().chunks(size);
            let frames: Vec<Frame> = pieces.flat_map(|piece| parser.push(piece)).collect();
            assert_eq!(frames, expected, "pieces of {size}");
        }
    }

    #[test]
    fn endless_line_takes_no_endless_memory() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 100_000];
        for _ in 0..40 {
            assert!(parser.push(&piece).is_empty());
        }
        assert!(parser.line.len() <= MAX_LINE);
    }

    #[test]
    fn endless_frame_takes_no_endless_memory() {
        let mut parser = Parser::default();
        let lines = "data: x\n".repeat(100_000);
        for _ in 0..20 {
            assert!(parser.push(lines.as_bytes()).is_empty());
        }
        assert!(parser.frame.data.len() <= MAX_LINE);
        assert_eq!(
            parser.push(b"\n\ndata: y\n\n").len(),
            2,
            "the next one is whole"
        );
    }
}
