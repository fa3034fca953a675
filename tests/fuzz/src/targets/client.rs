//! What servers answer to our own client: event streams and pauses.

use client::untrusted;

use crate::{Target, target::texts};

pub(super) const TARGETS: &[Target] = &[
    Target::new("event_stream", event_stream, || {
        texts(&[
            "\x03id: 7\ndata: {\"a\":1}\n\n:waiting\r\n\r\ndata: a\rdata: b\r\r",
            "\x01data\n\ndata:\n\n",
        ])
    })
    .longest(2048)
    .words(&[
        "data: ",
        "id: ",
        "event: message",
        "retry: 1",
        "\r\n",
        "\r",
        "\n\n",
        ":",
        "\u{feff}",
    ]),
    Target::new("retry_after", retry_after, || {
        texts(&[
            "120\nThu, 26 Nov 2026 10:00:00 GMT",
            "Thu, 26 Nov 2026 10:00:07 GMT\nThu, 26 Nov 2026 10:00:00 GMT",
        ])
    })
    .words(&[
        "GMT",
        "Thu, ",
        "Thursday, 26-Nov-26 ",
        "Thu Nov 26 10:00:00 2026",
        "18446744073709551615",
        "+",
        "-1",
        "\n",
    ]),
];

/// The first byte says how long the pieces are in which the rest arrives.
fn event_stream(bytes: &[u8]) {
    let Some((length, stream)) = bytes.split_first() else {
        return;
    };
    let whole = untrusted::frames(std::iter::once(stream));
    let pieces = untrusted::frames(stream.chunks(usize::from(*length).max(1)));
    assert_eq!(whole, pieces, "the network's cuts show");
    assert_eq!(whole, obvious_frames(stream));
}

/// Line by line, with all of them at hand.
fn obvious_frames(stream: &[u8]) -> Vec<(Option<String>, String)> {
    let text = stream
        .iter()
        .map(|byte| char::from(*byte))
        .collect::<String>();
    // One letter a byte, so that cuts inside of a letter are none.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let bytes = |line: &str| -> String {
        let bytes: Vec<u8> = line
            .chars()
            .map(|c| u32::from(c).to_le_bytes()[0])
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut lines: Vec<String> = text.split('\n').map(bytes).collect();
    // What no line break follows has not arrived.
    lines.pop();
    let mut frames = Vec::new();
    for frame in lines.split_inclusive(String::is_empty) {
        if frame.last().is_none_or(|last| !last.is_empty()) {
            continue;
        }
        let field = |name: &str| -> Vec<String> {
            let values = frame.iter().filter_map(|line| {
                let (found, value) = line.split_once(':').unwrap_or((line, ""));
                (found == name).then(|| value.strip_prefix(' ').unwrap_or(value).to_owned())
            });
            values.collect()
        };
        let data = field("data");
        if !data.is_empty() {
            frames.push((field("id").pop(), data.join("\n")));
        }
    }
    frames
}

/// The pause and the answer's date, a line each.
fn retry_after(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (value, date) = (&bytes[..end], &bytes[end + 1..]);
    let Some(pause) = untrusted::retry_after(value, date) else {
        return;
    };
    let text = std::str::from_utf8(value)
        .expect("a header that was read")
        .trim();
    if text.chars().all(|c| c.is_ascii_digit()) {
        assert_eq!(text.parse().ok(), Some(pause.as_secs()));
    } else {
        assert!(text.contains(':'), "{text} is neither seconds nor a date");
    }
}
