//! Fuzz targets for everything that reads untrusted bytes, and what must hold for each.
//!
//! Owns the targets, their first inputs and words. Refuses to be a second implementation of what it tests: an obvious
//! and slow one is enough. `README.md` says which parser is covered by what.

mod target;
mod targets;

#[cfg(test)]
mod tests;

pub use target::Target;

/// Every target, in the order of their names.
pub fn targets() -> Vec<Target> {
    let mut all = targets::all();
    all.sort_by_key(|target| target.name);
    all
}

/// The target of this name.
pub fn find(name: &str) -> Option<Target> {
    targets().into_iter().find(|target| target.name == name)
}
