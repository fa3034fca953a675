//! Results in a folder, one file a cell, written whole or not at all; attacks on the clean base under keys of their own,
//! so that they serve every later protected model.
//!
//! Owns names and layout: `cells/KEY/result.json`, `cells/KEY/protected/200/00.png`, `base/KEY/arm.json`,
//! `base/KEY/clean/200/00.png`. Refuses a file whose content is not what its name says.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::matrix::{Cell, CellResult, Plan};

use super::{cell::Outcome, record::ArmRecord};
use crate::gallery::Arm;

/// Where a plan's results lie.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

/// What is kept of a cell.
#[derive(Serialize, Deserialize)]
struct Kept {
    result: CellResult,
    protected: ArmRecord,
}

impl Folder {
    /// A folder, which appears with the first result.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The finished result of a cell.
    pub fn result(&self, plan: &Plan, cell: &Cell) -> Option<CellResult> {
        self.kept(plan, cell).map(|kept| kept.result)
    }

    /// Result and times of a finished cell.
    pub fn record(&self, plan: &Plan, cell: &Cell) -> Option<(CellResult, ArmRecord)> {
        self.kept(plan, cell)
            .map(|kept| (kept.result, kept.protected))
    }

    fn kept(&self, plan: &Plan, cell: &Cell) -> Option<Kept> {
        let key = plan.key(cell);
        let kept: Kept = read(&self.cell(&key).join("result.json"))?;
        // The same attack may stand elsewhere in another plan: its number and name follow this one.
        let result = CellResult {
            cell: cell.clone(),
            ..kept.result
        };
        (result.key == key).then_some(Kept { result, ..kept })
    }

    /// The finished attack on the clean base.
    pub fn base(&self, plan: &Plan, cell: &Cell) -> Option<ArmRecord> {
        read(&self.base_folder(&plan.base_key(cell)).join("arm.json"))
    }

    /// Keys of finished attacks on the clean base among a plan's.
    pub fn ready(&self, plan: &Plan) -> BTreeSet<String> {
        let keys = plan.cells.iter().map(|cell| plan.base_key(cell));
        keys.filter(|key| self.base_folder(key).join("arm.json").is_file())
            .collect()
    }

    /// Keeps a cell: pictures first, the result last, so that what is there is whole.
    pub fn keep(&self, plan: &Plan, outcome: &Outcome) -> io::Result<()> {
        let cell = &outcome.result.cell;
        let (own, base) = (
            self.cell(&outcome.result.key),
            self.base_folder(&plan.base_key(cell)),
        );
        for (name, bytes) in &outcome.pictures {
            let folder = if name.starts_with(Arm::Clean.as_str()) {
                &base
            } else {
                &own
            };
            write(&folder.join(name), bytes)?;
        }
        write(&base.join("arm.json"), &serde_json::to_vec(&outcome.clean)?)?;
        let kept = Kept {
            result: outcome.result.clone(),
            protected: outcome.protected.clone(),
        };
        write(&own.join("result.json"), &serde_json::to_vec(&kept)?)
    }

    /// A kept picture, such as `clean/200/00.png`, of a cell.
    pub fn picture(&self, plan: &Plan, cell: &Cell, name: &str) -> Option<Vec<u8>> {
        let folder = if name.starts_with(Arm::Clean.as_str()) {
            self.base_folder(&plan.base_key(cell))
        } else {
            self.cell(&plan.key(cell))
        };
        fs::read(folder.join(name)).ok()
    }

    fn cell(&self, key: &str) -> PathBuf {
        self.root.join("cells").join(key)
    }

    fn base_folder(&self, key: &str) -> PathBuf {
        self.root.join("base").join(key)
    }
}

/// `None` where there is no such file or it is not whole: it is made again.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Beside the path first, then in its place; two writers of the same content do not meet.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let thread = format!("{:?}", std::thread::current().id());
    let digits: String = thread.chars().filter(char::is_ascii_digit).collect();
    let partial = path.with_extension(format!("{}-{digits}.partial", std::process::id()));
    fs::write(&partial, bytes)?;
    fs::rename(&partial, path)
}
