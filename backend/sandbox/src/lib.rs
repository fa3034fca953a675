//! What a child process may touch once it reads what strangers made: pictures, models, a job's files.
//!
//! Owns the rights that decoder, reader of models and trainer give up: files by Landlock (Linux 5.13 and later), sockets
//! by seccomp. Refuses to bound memory and time: whoever starts a child does. Other systems give less protection, which
//! [`level`] tells.

use std::path::Path;

#[cfg(target_os = "linux")]
mod linux;

/// What the kernel sees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Files beyond those that were named are closed.
    pub files: bool,
    /// No socket to another machine can be made.
    pub sockets: bool,
}

/// Gives up every file but these and the system's libraries and devices, and every way to another machine, for the
/// calling thread and the threads that it starts.
///
/// `writable` may also be read. Sockets of this machine (`AF_UNIX`) stay: drivers are spoken to by them.
pub fn enter<'a>(
    readable: impl IntoIterator<Item = &'a Path>,
    writable: impl IntoIterator<Item = &'a Path>,
) -> Level {
    #[cfg(target_os = "linux")]
    return linux::enter(readable, writable);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (readable.into_iter().count(), writable.into_iter().count());
        Level {
            files: false,
            sockets: false,
        }
    }
}

/// Gives up every file and every socket that is not open already, for the calling thread and the threads that it starts.
pub fn forsake() -> Level {
    #[cfg(target_os = "linux")]
    return linux::forsake();
    #[cfg(not(target_os = "linux"))]
    Level {
        files: false,
        sockets: false,
    }
}

/// What this machine's kernel would see to, tried on a thread of its own.
pub fn level() -> Level {
    let tried = std::thread::spawn(forsake).join();
    tried.unwrap_or(Level {
        files: false,
        sockets: false,
    })
}
