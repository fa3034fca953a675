//! Secrets: random bytes from the operating system, and files that only their owner reads.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
pub(crate) use shared::canonical::sha256_hex;

/// What is kept of a secret text: its SHA-256, hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    sha256_hex(text.as_bytes())
}

/// Unpredictable bytes.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// An unguessable text of 256 bits.
pub(crate) fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// The digits of base 62 in the order of their codes.
pub(crate) const BASE62: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Unguessable letters and digits, each as likely as the other.
pub(crate) fn random_base62(length: usize) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for byte in random_bytes::<32>() {
            // 248 is the largest multiple of 62 that a byte holds: what is above would favour some digits.
            if byte < 248 && text.len() < length {
                text.push(char::from(BASE62[usize::from(byte % 62)]));
            }
        }
    }
    text
}

/// Reads a secret; `None` where there is none.
pub(crate) fn load<const N: usize>(path: &Path) -> io::Result<Option<[u8; N]>> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map(Some).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is damaged: expected {N} bytes", path.display()),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a secret, or makes and keeps it with mode 0600. Of two programs that make it at once both get the same.
pub(crate) fn load_or_create<const N: usize>(path: &Path) -> io::Result<[u8; N]> {
    if let Some(bytes) = load(path)? {
        return Ok(bytes);
    }
    let bytes = random_bytes();
    let partial = partial(path, &bytes)?;
    // A link, unlike a renaming, never replaces what another program made in the meantime.
    let linked = fs::hard_link(&partial, path);
    let _ = fs::remove_file(&partial);
    match linked {
        Ok(()) => {
            settle(path)?;
            Ok(bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path)?.ok_or(error),
        // Some filesystems have no links.
        Err(_) => write_private(path, &bytes).map(|()| bytes),
    }
}

/// Writes a file that only its owner may read; a crash leaves either nothing or all of it, and once this returns, all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::rename(partial(path, bytes)?, path)?;
    settle(path)
}

/// The bytes in a private file beside `path`, named unlike anybody else's.
fn partial(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    use std::io::Write;
    let partial = path.with_extension(format!("{}.partial", random_base62(12)));
    let mut options = fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    Ok(partial)
}

/// Makes a file's name last.
fn settle(path: &Path) -> io::Result<()> {
    match path.parent() {
        #[cfg(unix)]
        Some(folder) => fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_file_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let first: [u8; 32] = load_or_create(&path).unwrap();
        assert_eq!(load_or_create::<32>(&path).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn all_who_make_a_secret_at_once_get_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let start = std::sync::Barrier::new(8);
        let made: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let makers = (0..8).map(|_| {
                scope.spawn(|| {
                    start.wait();
                    load_or_create(&path).unwrap()
                })
            });
            let makers: Vec<_> = makers.collect();
            makers
                .into_iter()
                .map(|maker| maker.join().unwrap())
                .collect()
        });
        assert!(made.iter().all(|bytes| *bytes == made[0]));
        assert_eq!(load::<32>(&path).unwrap(), Some(made[0]));
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1, "nothing is left beside it");
    }

    #[test]
    fn random_text_has_its_length_and_every_digit() {
        let text = random_base62(10_000);
        assert_eq!(text.len(), 10_000);
        for digit in BASE62 {
            let count = text.bytes().filter(|byte| byte == digit).count();
            assert!((80..260).contains(&count), "{count}");
        }
    }

    #[test]
    fn damaged_secret_file_is_refused_rather_than_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, b"short").unwrap();
        assert!(load_or_create::<32>(&path).is_err());
    }
}
