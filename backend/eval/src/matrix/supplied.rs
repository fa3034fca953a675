//! Networks that somebody supplied in a folder, for what the encoder cannot measure: faces, and distances to real
//! pictures.
//!
//! Owns the folder's layout. Refuses half of a network: a folder that has one file of it must have all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candle_core::Tensor;
use shared::canonical::sha256_hex;

use super::{Features, Nets};
use crate::{
    Error, Result,
    gallery::references,
    net::{
        EfficientNet, FaceReader,
        face::{Descriptor, Detector, Landmarks, ManifestFiles},
    },
};

/// The feature net's file.
const FEATURES: &str = "efficientnet-lite0.safetensors";
/// Folder of real pictures.
const REAL: &str = "real";
/// Pictures that are read and forgotten at once.
const AT_ONCE: usize = 16;
/// Most real pictures.
const LIMIT_PICTURES: usize = 20_000;
/// Most bytes of a file.
const LIMIT_BYTES: u64 = 1 << 30;
/// `face-api`'s networks: detector, landmarks, descriptor.
const FACES: [&str; 3] = [
    "tiny_face_detector_model",
    "face_landmark_68_tiny_model",
    "face_recognition_model",
];

/// What a folder holds.
///
/// - `tiny_face_detector_model`, `face_landmark_68_tiny_model` and `face_recognition_model`, each with
///   `-weights_manifest.json` and `.bin`, as `face-api` ships them: faces.
/// - `efficientnet-lite0.safetensors` with a folder `real` of pictures: FID and KID.
#[derive(Debug, Default)]
pub struct Supplied {
    faces: Option<(FaceReader, String)>,
    features: Option<Real>,
}

/// A feature net and real pictures, which wait until somebody measures.
#[derive(Debug)]
struct Real {
    net: EfficientNet,
    sha256: String,
    pictures: Vec<PathBuf>,
    side: usize,
}

impl Supplied {
    /// Reads a folder; pictures are brought to `side` x `side` pixels, as the model draws them.
    pub fn load(folder: &Path, side: usize) -> Result<Self> {
        Ok(Self {
            faces: faces(folder)?,
            features: features(folder, side)?,
        })
    }

    /// For a [`super::Stage`].
    pub fn nets(&self) -> Nets<'_> {
        Nets {
            faces: self.faces.as_ref().map(|(reader, _)| reader),
            features: self.features.as_ref().map(|real| Features {
                net: &real.net,
                sha256: &real.sha256,
                pictures: &real.pictures,
                side: real.side,
            }),
        }
    }

    /// SHA-256 over the face networks' files, in a fixed order.
    pub fn faces_sha256(&self) -> Option<String> {
        self.faces.as_ref().map(|(_, sha256)| sha256.clone())
    }
}

fn faces(folder: &Path) -> Result<Option<(FaceReader, String)>> {
    let names = FACES.map(|name| {
        [
            folder.join(format!("{name}-weights_manifest.json")),
            folder.join(format!("{name}.bin")),
        ]
    });
    if !names.iter().flatten().any(|path| path.is_file()) {
        return Ok(None);
    }
    let mut files = Vec::new();
    for [manifest, shards] in &names {
        files.push((read(manifest)?, read(shards)?));
    }
    let of = |at: usize| ManifestFiles {
        manifest: &files[at].0,
        shards: &files[at].1,
    };
    let reader = FaceReader::new(
        Detector::load(of(0))?,
        Landmarks::load(of(1))?,
        Descriptor::load(of(2))?,
    );
    let hashes: Vec<String> = files
        .iter()
        .flat_map(|(manifest, shards)| [sha256_hex(manifest), sha256_hex(shards)])
        .collect();
    Ok(Some((reader, sha256_hex(hashes.concat().as_bytes()))))
}

fn features(folder: &Path, side: usize) -> Result<Option<Real>> {
    let path = folder.join(FEATURES);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read(&path)?;
    let net = EfficientNet::load(&bytes)?;
    Ok(Some(Real {
        pictures: pictures(&folder.join(REAL))?,
        sha256: sha256_hex(&bytes),
        side,
        net,
    }))
}

impl Features<'_> {
    /// What the net says of the real pictures, `[n, d]`.
    pub(super) fn of_real(&self) -> Result<Tensor> {
        let mut rows = Vec::new();
        for part in self.pictures.chunks(AT_ONCE) {
            let files = part.iter().map(|path| read(path));
            let files = files.collect::<Result<Vec<_>>>()?;
            rows.push(self.net.features(&references(&files, self.side)?)?);
        }
        Ok(Tensor::cat(&rows, 0)?)
    }
}

/// Every file of the folder by name; at least two, because one has no spread.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if (2..=LIMIT_PICTURES).contains(&paths.len()) {
        return Ok(paths);
    }
    Err(Error::Supplied(format!(
        "{} holds {} pictures; use 2 to {LIMIT_PICTURES}",
        folder.display(),
        paths.len()
    )))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path)
        .map_err(|error| unreadable(path, &error))?
        .len();
    if length > LIMIT_BYTES {
        return Err(Error::Supplied(format!(
            "{} has {length} bytes; at most {LIMIT_BYTES} are read",
            path.display()
        )));
    }
    fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Supplied(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(folder: &Path) -> String {
        match Supplied::load(folder, 8) {
            Err(Error::Supplied(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_folder_supplies_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = Supplied::load(folder.path(), 8).unwrap();
        assert!(nothing.nets().faces.is_none() && nothing.nets().features.is_none());
        assert_eq!(nothing.faces_sha256(), None);
    }

    #[test]
    fn half_of_a_network_is_refused_by_the_name_of_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("face_recognition_model.bin"), b"x").unwrap();
        let reason = refused(folder.path());
        assert!(
            reason.contains("tiny_face_detector_model-weights_manifest.json"),
            "{reason}"
        );
    }

    #[test]
    fn one_real_picture_has_no_spread() {
        let folder = tempfile::tempdir().unwrap();
        assert!(pictures(folder.path()).is_err());
        fs::write(folder.path().join("a.png"), b"x").unwrap();
        let Err(Error::Supplied(reason)) = pictures(folder.path()) else {
            panic!("one picture passed");
        };
        assert!(reason.contains("holds 1 pictures"), "{reason}");
        fs::write(folder.path().join("b.png"), b"x").unwrap();
        assert_eq!(pictures(folder.path()).unwrap().len(), 2);
    }
}
