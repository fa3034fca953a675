//! One file per command.

pub(crate) mod ablation;
pub(crate) mod attacks;
pub(crate) mod bench;
pub(crate) mod capacity;
pub(crate) mod competence;
pub(crate) mod evaluate;
pub(crate) mod gate;
pub(crate) mod look;
pub(crate) mod method;
pub(crate) mod noise;
pub(crate) mod pretrain;
pub(crate) mod publish;

mod rows;

use std::collections::BTreeMap;
use std::io::Write;

/// The files of the embedded base model, as a pipeline takes them.
pub(crate) fn embedded() -> BTreeMap<String, Vec<u8>> {
    let owned = |&(name, content): &(&str, &[u8])| (name.to_owned(), content.to_vec());
    demo::model_files().iter().map(owned).collect()
}

/// Prints a line; the commands' only way to speak.
pub(crate) fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Sets how many threads tensors are computed on.
pub(crate) fn pool(threads: usize) -> Result<(), rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
}
