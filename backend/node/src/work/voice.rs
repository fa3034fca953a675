//! What the trainer says: one JSON line a message.

use std::io::{Write, stdout};

use shared::progress::Progress;

use crate::message::Message;

/// Speaks to the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice;

impl Voice {
    /// Says a message; whether it was heard.
    pub(super) fn say(self, message: &Message) -> bool {
        let line = serde_json::to_string(message).expect("messages are plain data");
        let mut output = stdout().lock();
        writeln!(output, "{line}")
            .and_then(|()| output.flush())
            .is_ok()
    }

    /// Reports progress; whether anybody listens.
    pub(super) fn progress(self, progress: Progress) -> bool {
        self.say(&Message::Progress { progress })
    }
}
