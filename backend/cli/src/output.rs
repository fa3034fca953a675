//! What a command says: lines for people or documents for programs on standard output, progress on standard error.

use std::{
    borrow::Cow,
    io::{self, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;

const TICK: Duration = Duration::from_millis(200);

/// Where a command talks to.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads along.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// A line for people.
    pub(crate) fn line(&self, text: impl AsRef<str>) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        say(&mut io::stdout(), text.as_ref())
    }

    /// A document for programs, on one line.
    pub(crate) fn document(&self, document: &impl Serialize) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut text = serde_json::to_vec(document)?;
        text.push(b'\n');
        let mut out = io::stdout();
        out.write_all(&text)?;
        out.flush()
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        let _ = self.document(&failure.document());
        note(&format!("error: {failure}"));
    }

    /// A bar on standard error; a program, or a log, gets none.
    pub(crate) fn bar(&self, length: u64, template: &'static str) -> ProgressBar {
        let target = if self.json {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        bar.set_style(style(template));
        bar.enable_steady_tick(TICK);
        bar
    }
}

/// How a bar looks; the usual way where a template is none.
pub(crate) fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
}

/// Something that people should know and programs need not.
pub(crate) fn note(text: &str) {
    // What cannot be said to a closed terminal is no reason to stop.
    let _ = say(&mut io::stderr(), text);
}

fn say(out: &mut impl Write, text: &str) -> io::Result<()> {
    writeln!(out, "{}", plain(text))
}

/// Names and reasons come from elsewhere: nothing in them moves the cursor or hides what stands before.
fn plain(text: &str) -> Cow<'_, str> {
    let moves = |c: char| c.is_control() && c != '\n';
    if text.chars().any(moves) {
        return text
            .chars()
            .filter(|c| !moves(*c))
            .collect::<String>()
            .into();
    }
    text.into()
}

/// A document that says one thing.
pub(crate) fn fact(name: &str, value: impl Serialize) -> serde_json::Value {
    json!({ name: value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_said_moves_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\rc\nd"), "a[2Jbc\nd");
        assert_eq!(plain("ü ok"), "ü ok");
    }
}
