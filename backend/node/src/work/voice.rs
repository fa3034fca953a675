//! What the trainer says: one JSON line a message.

use std::io::{Write, stdout};

use shared::progress::Progress;

use crate::message::Message;

/// Says a message; whether anybody listens.
pub(super) fn say(message: &Message) -> bool {
    let line = serde_json::to_string(message).expect("messages are plain data");
    let mut output = stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .is_ok()
}

/// Reports progress; whether anybody listens.
pub(super) fn progress(progress: Progress) -> bool {
    say(&Message::Progress { progress })
}
