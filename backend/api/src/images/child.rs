//! Decoding in a process of its own, with bounds: a file that somebody made must not take the server with it.
//!
//! The parent sends one line of JSON and the file; the child answers one line of JSON, the picture and its thumbnail.
//! The child has a bounded memory and time, no environment, and where the kernel knows Landlock no files and no network.

use std::{
    io::{self, BufRead, Read, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use shared::limits::MAX_IMAGE_BYTES;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

use super::{CleanImage, Look, Refusal, clean, clean_patch};

/// The hidden command of `persguard` that does it.
pub const COMMAND: &str = "decode-picture";
/// Longest wait for one picture.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Memory of its own: the decoder's, the picture beside it, and what is made of it.
#[cfg(target_os = "linux")]
const MEMORY_BYTES: u64 = 1 << 30;
/// Seconds of a processor.
#[cfg(target_os = "linux")]
const PROCESSOR_SECONDS: u64 = 20;
/// Longest answer: a picture of the kept size that compresses not at all, and what is around it.
const MAX_ANSWER: u64 = 16 << 20;

/// What a picture is cleaned for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Purpose {
    /// A protected set.
    Image,
    /// A pattern.
    Patch,
}

#[derive(Serialize, Deserialize)]
struct Question {
    media_type: String,
    purpose: Purpose,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Clean {
        width: u32,
        height: u32,
        had_exif: bool,
        had_gps: bool,
        look: Look,
        png: usize,
        thumbnail: usize,
    },
    Refused(Refusal),
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The file is at fault.
    #[error(transparent)]
    Refused(Refusal),
    /// The decoder could not be started or spoke nonsense.
    #[error("the decoder failed: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for DecodeError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// What the child does: reads a question, answers it, ends.
pub fn answer(input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut input = io::BufReader::new(input.take(MAX_IMAGE_BYTES + 4096));
    let mut line = String::new();
    input.read_line(&mut line)?;
    // The parent's bounds stand before it asks; from here nothing else is needed.
    sandbox::forsake();
    let question: Question = serde_json::from_str(&line)?;
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let cleaned = match question.purpose {
        Purpose::Image => clean(&bytes, &question.media_type),
        Purpose::Patch => clean_patch(&bytes, &question.media_type),
    };
    let (answer, png, thumbnail) = match cleaned {
        Err(refusal) => (Answer::Refused(refusal), Vec::new(), Vec::new()),
        Ok(image) => {
            let thumbnail = image.look.thumbnail.clone();
            let answer = Answer::Clean {
                width: image.width,
                height: image.height,
                had_exif: image.had_exif,
                had_gps: image.had_gps,
                look: image.look,
                png: image.png.len(),
                thumbnail: thumbnail.len(),
            };
            (answer, image.png, thumbnail)
        }
    };
    serde_json::to_writer(&mut output, &answer)?;
    output.write_all(b"\n")?;
    output.write_all(&png)?;
    output.write_all(&thumbnail)?;
    output.flush()
}

/// Cleans a picture by the program at a path.
pub async fn ask(
    program: &Path,
    bytes: &[u8],
    media_type: &str,
    purpose: Purpose,
) -> Result<CleanImage, DecodeError> {
    let mut command = Command::new(program);
    command
        .env_clear()
        // The allocator would set a gigabyte aside, which counts.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .arg(COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    bound(&child)?;
    let question = Question {
        media_type: media_type.to_owned(),
        purpose,
    };
    let Ok(answer) = tokio::time::timeout(TIMEOUT, talk(&mut child, &question, bytes)).await else {
        let _ = child.kill().await;
        return Err(DecodeError::Refused(too_costly()));
    };
    read(&answer?)
}

fn too_costly() -> Refusal {
    let detail = "The picture takes too much memory or time to decode. Save it smaller, with 8 bits a channel.";
    Refusal::Undecodable(detail.into())
}

async fn talk(
    child: &mut Child,
    question: &Question,
    bytes: &[u8],
) -> Result<Vec<u8>, DecodeError> {
    let pipe = || io::Error::other("the decoder has no pipe");
    let mut input = child.stdin.take().ok_or_else(pipe)?;
    let mut output = child.stdout.take().ok_or_else(pipe)?;
    let mut line = serde_json::to_vec(question).map_err(io::Error::other)?;
    line.push(b'\n');
    let send = async {
        // A child that died stops reading; how it ended says why.
        let _ = input.write_all(&line).await;
        let _ = input.write_all(bytes).await;
        drop(input);
    };
    let mut answer = Vec::new();
    let mut limited = (&mut output).take(MAX_ANSWER);
    let ((), read) = tokio::join!(send, limited.read_to_end(&mut answer));
    read?;
    drop(output);
    let status = child.wait().await?;
    if status.success() {
        return Ok(answer);
    }
    tracing::warn!(%status, "a decoder was stopped by its bounds, or broke");
    Err(DecodeError::Refused(too_costly()))
}

fn read(answer: &[u8]) -> Result<CleanImage, DecodeError> {
    let nonsense = || io::Error::other("the decoder's answer is incomplete");
    let end = answer.iter().position(|byte| *byte == b'\n');
    let (line, rest) = answer.split_at(end.ok_or_else(nonsense)? + 1);
    match serde_json::from_slice(line).map_err(io::Error::other)? {
        Answer::Refused(refusal) => Err(DecodeError::Refused(refusal)),
        Answer::Clean {
            width,
            height,
            had_exif,
            had_gps,
            look,
            png,
            thumbnail,
        } => {
            if png.checked_add(thumbnail) != Some(rest.len()) {
                return Err(nonsense().into());
            }
            let (png, thumbnail) = rest.split_at(png);
            Ok(CleanImage {
                png: png.to_vec(),
                width,
                height,
                had_exif,
                had_gps,
                look: Look {
                    thumbnail: thumbnail.to_vec(),
                    ..look
                },
            })
        }
    }
}

#[cfg(target_os = "linux")]
fn bound(child: &Child) -> io::Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let Some(pid) = pid.and_then(Pid::from_raw) else {
        return Ok(()); // it has ended already
    };
    let bounds = [
        (Resource::Data, MEMORY_BYTES),
        (Resource::Cpu, PROCESSOR_SECONDS),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ];
    for (resource, most) in bounds {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        prlimit(Some(pid), resource, limit)?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn bound(_: &Child) -> io::Result<()> {
    Ok(())
}
