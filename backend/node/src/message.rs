//! What the trainer and the node say to each other.
//!
//! The node writes `job.json` and starts the trainer in that directory. The trainer writes one JSON
//! line a message to its standard output. The end of its standard input means: stop.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use shared::{
    JobId,
    artifact::ArtifactKind,
    job::{Failure, JobKind, JobMetrics, JobSpec},
    progress::Progress,
};

/// Name of the assignment in the job's directory.
pub(crate) const ASSIGNMENT: &str = "job.json";
/// Base model in diffusers layout.
pub(crate) const MODEL: &str = "model";
/// The metric encoder.
pub(crate) const ENCODER: &str = "encoder";
/// The protected images, a folder a concept.
pub(crate) const IMAGES: &str = "images";
/// The control set, in a folder named by its concept.
pub(crate) const CONTROLS: &str = "controls";
/// Patches of patterns, a file a concept.
pub(crate) const PATCHES: &str = "patches";
/// The U-Net of an earlier job that this one goes on from.
pub(crate) const START: &str = "start.safetensors";
/// The protected U-Net that is judged.
pub(crate) const PROTECTED_UNET: &str = "protected.safetensors";
/// Plan and results of a study, as its jobs name them.
pub(crate) const MATRIX: &str = "matrix";
/// Snapshot to go on from.
pub(crate) const RESUME: &str = "resume.safetensors";

/// What came along for one concept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pictures {
    /// Protected images, in the order of their set.
    pub(crate) images: Vec<PathBuf>,
    /// Pictures of a stranger of the same class.
    #[serde(default)]
    pub(crate) control: Vec<PathBuf>,
    /// The patch of its pattern, where its owner uploaded one.
    pub(crate) patch: Option<PathBuf>,
}

/// What the trainer is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) job_id: JobId,
    pub(crate) kind: JobKind,
    pub(crate) spec: JobSpec,
    /// Files of the concepts by their position, relative to the job's directory.
    pub(crate) pictures: BTreeMap<usize, Pictures>,
    /// Where the teacher's pictures are kept over jobs.
    pub(crate) teacher_cache: Option<PathBuf>,
    /// Folder of networks that whoever runs the node supplied.
    pub(crate) networks: Option<PathBuf>,
    /// SHA-256 of the U-Net that the job goes on from, if it does.
    pub(crate) start_sha256: Option<String>,
    /// Whether there is a snapshot.
    pub(crate) resume: bool,
    /// Over the names and hashes of the model's files.
    pub(crate) base_sha256: String,
    /// Of the base model's U-Net.
    pub(crate) clean_sha256: String,
    /// Of the U-Net that is judged.
    pub(crate) protected_sha256: String,
}

/// A file that the trainer leaves behind, relative to the job's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Output {
    pub(crate) kind: ArtifactKind,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// What the trainer says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub(crate) enum Message {
    /// The inputs are read; the device works.
    Running,
    /// For people.
    Progress { progress: Progress },
    /// A snapshot is on the disk.
    Snapshot { step: u32, path: PathBuf },
    /// Every output is on the disk.
    Succeeded {
        outputs: Vec<Output>,
        metrics: JobMetrics,
    },
    /// It gave up.
    Failed { failure: Failure },
    /// It stopped because it was asked to.
    Stopped,
}
