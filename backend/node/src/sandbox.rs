//! What a trainer may touch: its job, what the node keeps for jobs, its device, its own program, and the system's libraries.
//!
//! The rest of the disk is closed to it (beside a local node lie the server's database and keys), and so is every
//! address. By Landlock: kernels without it (before 5.13; before 6.7 for addresses) give less protection.

use std::path::{Path, PathBuf};

/// Libraries, and what a program asks of its machine.
const SYSTEM: [&str; 11] = [
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc",
    "/opt",
    "/proc",
    "/sys",
    "/nix",
    "/run/nvidia-persistenced",
    "/run/opengl-driver",
];
/// Where accelerators are spoken to.
const DEVICES: &str = "/dev";
/// Where a program looks for further libraries.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// Gives up everything but this for the calling thread and the threads that it starts; whether the kernel sees to it.
#[cfg(target_os = "linux")]
pub(crate) fn enter<'a>(
    readable: impl IntoIterator<Item = &'a Path>,
    writable: impl IntoIterator<Item = &'a Path>,
) -> bool {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
        path_beneath_rules,
    };
    let abi = ABI::V5;
    let libraries = std::env::var_os(LIBRARIES).unwrap_or_default();
    let system = SYSTEM.iter().map(PathBuf::from);
    let given = readable.into_iter().map(Path::to_owned);
    // What computed a study is named in its report by the hash of this file.
    let program = std::env::current_exe().ok();
    let readable = system
        .chain(std::env::split_paths(&libraries))
        .chain(given)
        .chain(program);
    let devices = [Path::new(DEVICES)];
    let writable = writable.into_iter().chain(devices);
    let entered = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(readable, AccessFs::from_read(abi))))
        .and_then(|rules| rules.add_rules(path_beneath_rules(writable, AccessFs::from_all(abi))))
        .and_then(landlock::RulesetCreated::restrict_self);
    entered.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// Only Linux has Landlock.
#[cfg(not(target_os = "linux"))]
pub(crate) fn enter<'a>(
    _: impl IntoIterator<Item = &'a Path>,
    _: impl IntoIterator<Item = &'a Path>,
) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, io::ErrorKind, net::TcpListener, net::TcpStream, thread};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn trainer_reaches_its_job_and_nothing_beside_it() {
        let beside = TempDir::new().unwrap();
        let (job, networks) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let secret = beside.path().join("master-keys");
        let network = networks.path().join("faces");
        fs::write(&secret, "secret").unwrap();
        fs::write(&network, "weights").unwrap();
        let kept = secret.clone();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        // It holds for a thread: the other tests keep their rights.
        let trainer = thread::spawn(move || {
            if !enter([networks.path()], [job.path()]) {
                eprintln!(
                    "SKIPPED: this kernel has no Landlock, so the trainer's sandbox was not tested"
                );
                return;
            }
            let own = job.path().join("outputs");
            fs::write(&own, "mine").unwrap();
            assert_eq!(fs::read(&own).unwrap(), b"mine");
            assert_eq!(fs::read(&network).unwrap(), b"weights");
            fs::read("/proc/self/status").unwrap();
            fs::read(std::env::current_exe().unwrap()).unwrap();
            for refused in [
                fs::read(&secret).err(),
                fs::write(&secret, "gone").err(),
                fs::write(&network, "gone").err(),
                fs::read_dir("/root").err(),
                fs::write("/etc/persguard", "").err(),
                TcpStream::connect(address).err(),
            ] {
                let error = refused.expect("it is refused");
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            }
        });
        trainer.join().unwrap();
        assert_eq!(fs::read(kept).unwrap(), b"secret");
    }
}
