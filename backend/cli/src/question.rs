//! Questions to the person at the terminal, where there is one.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Whether somebody can answer.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line.
pub(crate) async fn ask(question: &str) -> Result<String, Failure> {
    let question = question.to_owned();
    let asked = tokio::task::spawn_blocking(move || -> io::Result<String> {
        write!(io::stderr(), "{question} ")?;
        io::stderr().flush()?;
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim().to_owned())
    });
    let answer = asked
        .await
        .map_err(|error| Failure::Here(error.to_string()))?;
    Ok(answer?)
}

/// Asks for a yes; everything else is a no.
pub(crate) async fn confirm(question: &str) -> Result<bool, Failure> {
    let answer = ask(&format!("{question} [y/N]")).await?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}
