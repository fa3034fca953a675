//! Pictures in a ZIP archive, one after the other: bounded in number and size whatever the archive says of itself.

use std::{
    cell::Cell,
    io::{self, Read, Seek, SeekFrom},
};

use shared::{
    limits::{MAX_ARCHIVE_BYTES, MAX_ARCHIVE_FILES, MAX_IMAGE_BYTES},
    upload::{clean_file_name, image_media_type, is_clutter},
};
use zip::{ZipArchive, result::ZipError};

/// A file of an archive.
#[derive(Debug, PartialEq, Eq)]
pub enum Packed {
    /// It begins as a picture does.
    Picture {
        /// Its name without folders.
        name: String,
        /// What it is by its first bytes.
        media_type: &'static str,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// It is left out.
    LeftOut {
        /// Its name without folders.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Why an archive is not read at all, or not to its end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// It is none, or damaged.
    #[error("The file is no ZIP archive, or it is damaged: {0}.")]
    Unreadable(String),
    /// It holds more than a set could take.
    #[error(
        "The archive holds {0} files; at most {MAX_ARCHIVE_FILES} are looked at. Send the pictures alone."
    )]
    TooMany(usize),
    /// No list of files was found in what is read for one, which is larger than that of any archive that is looked at.
    #[error(
        "The file is no ZIP archive, or it lists far more than the {MAX_ARCHIVE_FILES} files that are looked at. Send the pictures alone."
    )]
    Crowded,
}

/// Bytes that are read before the number of files is known: the list is kept in memory.
const MAX_DIRECTORY_BYTES: u64 = 4 << 20;

/// A reader that ends early once it has given so much.
struct Bounded<'a, R> {
    inner: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left.get()).unwrap_or(usize::MAX);
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("the list of files is too long"));
        }
        let most = buffer.len().min(left);
        let count = self.inner.read(&mut buffer[..most])?;
        if self.left.get() != u64::MAX {
            self.left.set(self.left.get() - count as u64);
        }
        Ok(count)
    }
}

impl<R: Seek> Seek for Bounded<'_, R> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.inner.seek(place)
    }
}

fn unreadable(error: &ZipError) -> ArchiveError {
    ArchiveError::Unreadable(error.to_string())
}

/// Files of an archive in its order; folders and what systems add are passed over in silence.
///
/// `take` answers whether to go on.
pub fn unpack(
    archive: impl Read + Seek,
    mut take: impl FnMut(Packed) -> bool,
) -> Result<(), ArchiveError> {
    let left = Cell::new(MAX_DIRECTORY_BYTES);
    let directory = Bounded {
        inner: archive,
        left: &left,
    };
    let mut archive = ZipArchive::new(directory).map_err(|error| {
        if left.get() == 0 {
            ArchiveError::Crowded
        } else {
            unreadable(&error)
        }
    })?;
    left.set(u64::MAX);
    if archive.len() > MAX_ARCHIVE_FILES {
        return Err(ArchiveError::TooMany(archive.len()));
    }
    // What comes out is counted, not what the archive says would: the sum is bounded, too.
    let mut left = MAX_ARCHIVE_BYTES * 2;
    for index in 0..archive.len() {
        let Some(packed) = file(&mut archive, index, &mut left)? else {
            continue;
        };
        if !take(packed) {
            return Ok(());
        }
    }
    Ok(())
}

fn file(
    archive: &mut ZipArchive<impl Read + Seek>,
    index: usize,
    left: &mut u64,
) -> Result<Option<Packed>, ArchiveError> {
    let raw = archive
        .by_index_raw(index)
        .map_err(|error| unreadable(&error))?;
    let path = raw.name().map_err(|error| unreadable(&error))?.into_owned();
    if raw.is_dir() || is_clutter(&path) {
        return Ok(None);
    }
    let (encrypted, announced) = (raw.encrypted(), raw.size());
    drop(raw);
    let name = clean_file_name(&path).unwrap_or_else(|| format!("file {}", index + 1));
    let left_out = |name: String, reason: &str| {
        Ok(Some(Packed::LeftOut {
            name,
            reason: reason.to_owned(),
        }))
    };
    if encrypted {
        return left_out(name, "It is encrypted. Pack it without a password.");
    }
    let limit = MAX_IMAGE_BYTES.min(*left);
    if announced > limit {
        return left_out(
            name,
            &format!(
                "It is larger than {} MiB, or the archive holds too much.",
                MAX_IMAGE_BYTES >> 20
            ),
        );
    }
    let mut bytes = Vec::new();
    let read = match archive.by_index(index) {
        Ok(packed) => packed.take(limit + 1).read_to_end(&mut bytes),
        Err(ZipError::UnsupportedArchive(_)) => {
            return left_out(
                name,
                "It is packed in a way that is not read. Use the ordinary one (deflate).",
            );
        }
        Err(error) => return Err(unreadable(&error)),
    };
    *left = left.saturating_sub(bytes.len() as u64);
    if read.is_err() {
        return left_out(name, "It is damaged in the archive.");
    }
    if bytes.len() as u64 > limit {
        return left_out(
            name,
            "It is larger than the archive says: nothing of it was taken.",
        );
    }
    let Some(media_type) = image_media_type(&bytes) else {
        return left_out(name, "It is no JPEG, PNG, WebP or TIFF picture.");
    };
    Ok(Some(Packed::Picture {
        name,
        media_type,
        bytes,
    }))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;

    #[test]
    fn endless_list_of_files_is_not_read() {
        // What the memory of a list costs is many times its bytes: it must end before it is read.
        let mut entry = b"PK\x01\x02".to_vec();
        entry.resize(46, 0);
        let count = u16::MAX;
        let mut bytes = entry.repeat(200_000);
        let size = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        for half in [count, count] {
            bytes.extend_from_slice(&half.to_le_bytes());
        }
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        let read = unpack(Cursor::new(bytes), |_| true);
        assert!(
            matches!(
                read,
                Err(ArchiveError::Crowded | ArchiveError::Unreadable(_))
            ),
            "{read:?}"
        );
        let nothing = unpack(Cursor::new(vec![7; 8 << 20]), |_| true);
        assert!(nothing.is_err());
        assert!(ArchiveError::Crowded.to_string().contains("no ZIP archive"));
    }

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nand so on";

    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        for (name, bytes) in files {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn all(bytes: &[u8]) -> Result<Vec<Packed>, ArchiveError> {
        let mut found = Vec::new();
        unpack(Cursor::new(bytes), |one| {
            found.push(one);
            true
        })?;
        Ok(found)
    }

    #[test]
    fn pictures_come_out_without_their_folders_and_clutter_stays_in() {
        let found = all(&packed(&[
            ("../../etc/a.png", PNG),
            ("__MACOSX/._a.png", PNG),
            ("x/.DS_Store", b"x"),
            ("notes.txt", b"hello"),
        ]))
        .unwrap();
        let Packed::Picture {
            name,
            media_type,
            bytes,
        } = &found[0]
        else {
            panic!("{found:?}");
        };
        assert_eq!(
            (name.as_str(), *media_type, bytes.as_slice()),
            ("a.png", "image/png", PNG)
        );
        assert!(matches!(&found[1], Packed::LeftOut { name, .. } if name == "notes.txt"));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn bombs_cost_no_more_than_a_picture() {
        let zeros = vec![0; 64 << 20];
        let bomb = packed(&[("bomb.png", &zeros), ("a.png", PNG)]);
        assert!(bomb.len() < 200_000);
        let found = all(&bomb).unwrap();
        assert!(
            matches!(&found[0], Packed::LeftOut { .. }),
            "it says so itself"
        );
        assert!(matches!(&found[1], Packed::Picture { .. }));
        // One that lies about its size: both records say nine bytes.
        let real = u32::try_from(zeros.len()).unwrap().to_le_bytes();
        let mut liar = bomb;
        for at in 0..liar.len() - 4 {
            if liar[at..at + 4] == real {
                liar[at..at + 4].copy_from_slice(&9_u32.to_le_bytes());
            }
        }
        let found = all(&liar).unwrap();
        assert!(
            matches!(&found[0], Packed::LeftOut { .. }),
            "{:?}",
            found[0]
        );
    }

    #[test]
    fn what_is_no_archive_or_too_full_is_refused() {
        for bytes in [&b""[..], b"PK\x03\x04", PNG] {
            assert!(matches!(all(bytes), Err(ArchiveError::Unreadable(_))));
        }
        let names: Vec<String> = (0..=MAX_ARCHIVE_FILES)
            .map(|number| number.to_string())
            .collect();
        let files: Vec<(&str, &[u8])> =
            names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert!(matches!(
            all(&packed(&files)),
            Err(ArchiveError::TooMany(_))
        ));
        let whole = packed(&[("a.png", PNG)]);
        for end in 0..whole.len() {
            assert!(all(&whole[..end]).is_err());
        }
    }
}
