//! What this machine is: identity, memory, name.

use std::{fs, path::Path};

use shared::NodeId;
use uuid::Uuid;

use crate::{Error, Result};

/// Families of base models that the trainer takes, as `persguard-node model inspect` names them.
pub const FAMILIES: [&str; 3] = ["tiny", "sd1", "sd2"];

/// The node's identity, made at its first start in this directory.
pub fn node_id(directory: &Path) -> Result<NodeId> {
    let path = directory.join("node_id");
    if let Some(id) = fs::read_to_string(&path)
        .ok()
        .and_then(|text| text.trim().parse().ok())
    {
        return Ok(id);
    }
    let id = NodeId::from_uuid(Uuid::now_v7());
    fs::write(&path, id.to_string()).map_err(Error::file(&path))?;
    Ok(id)
}

/// What the machine calls itself.
pub fn name() -> String {
    let name = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "node".to_owned()
    } else {
        name.to_owned()
    }
}

/// Memory that a job may use: the machine's, or less where a control group says so.
pub fn memory_bytes() -> u64 {
    let installed = field("/proc/meminfo", "MemTotal:").unwrap_or(0);
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(u64::MAX);
    installed.min(limit)
}

/// Memory that nothing uses now.
pub fn free_memory_bytes() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

/// What this processor can do that the trainer makes use of.
pub fn cpu_features() -> Vec<String> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let features = [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("f16c", is_x86_feature_detected!("f16c")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
        ];
        let present = features.iter().filter(|(_, present)| *present);
        found.extend(present.map(|(name, _)| (*name).to_owned()));
    }
    found
}

/// Most resident memory that this process ever had.
pub fn peak_memory_bytes() -> u64 {
    field("/proc/self/status", "VmHWM:").unwrap_or(0)
}

/// Processes that the kernel killed for memory since it started, here or in our control group.
pub fn memory_kills() -> u64 {
    let count = |path: &str, name: &str| -> u64 {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    };
    count("/proc/vmstat", "oom_kill") + count("/sys/fs/cgroup/memory.events", "oom_kill")
}

/// A field in kilobytes, as bytes.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let first = node_id(directory.path()).unwrap();
        assert_eq!(node_id(directory.path()).unwrap(), first);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_known() {
        assert!(memory_bytes() > 1 << 28);
        assert!(peak_memory_bytes() > 1 << 20);
        assert!(free_memory_bytes().unwrap() <= field("/proc/meminfo", "MemTotal:").unwrap());
    }
}
