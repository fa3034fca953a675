//! Linux: Landlock for files and TCP, seccomp for every kind of socket.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, path_beneath_rules,
};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use crate::Level;

const LATEST: ABI = ABI::V5;
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

/// Number of `socket` in the kernel's table; the same on both architectures is not given.
#[cfg(target_arch = "x86_64")]
const SOCKET: i64 = 41;
#[cfg(target_arch = "aarch64")]
const SOCKET: i64 = 198;
/// Of `io_uring_setup`, by whose rings sockets can be made past the filter.
const IO_URING_SETUP: i64 = 425;
/// `AF_UNIX`: processes of this machine.
const LOCAL: u64 = 1;
/// `EPERM`.
const NOT_PERMITTED: u32 = 1;

pub(crate) fn enter<'a>(
    readable: impl IntoIterator<Item = &'a Path>,
    writable: impl IntoIterator<Item = &'a Path>,
) -> Level {
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
    let files = rules()
        .and_then(|rules| {
            rules.add_rules(path_beneath_rules(readable, AccessFs::from_read(LATEST)))
        })
        .and_then(|rules| {
            rules.add_rules(path_beneath_rules(writable, AccessFs::from_all(LATEST)))
        });
    Level {
        files: enforce(files),
        sockets: close_sockets(true),
    }
}

pub(crate) fn forsake() -> Level {
    Level {
        files: enforce(rules()),
        sockets: close_sockets(false),
    }
}

fn rules() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(LATEST))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(LATEST)))
        .and_then(Ruleset::create)
}

fn enforce(rules: Result<RulesetCreated, RulesetError>) -> bool {
    let entered = rules.and_then(RulesetCreated::restrict_self);
    entered.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// Refuses new sockets, or all but those of this machine.
fn close_sockets(local: bool) -> bool {
    filter(local).is_some_and(|filter| seccompiler::apply_filter(&filter).is_ok())
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn filter(local: bool) -> Option<seccompiler::BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let beyond = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, LOCAL);
    let refused = if local {
        vec![SeccompRule::new(vec![beyond.ok()?]).ok()?]
    } else {
        Vec::new()
    };
    let rules = BTreeMap::from([(SOCKET, refused), (IO_URING_SETUP, Vec::new())]);
    let refuse = SeccompAction::Errno(NOT_PERMITTED);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).ok()?;
    filter.try_into().ok()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn filter(_: bool) -> Option<seccompiler::BpfProgram> {
    None
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::ErrorKind,
        net::{TcpListener, TcpStream, UdpSocket},
        os::unix::net::UnixDatagram,
        thread,
    };

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
            let level = enter([networks.path()], [job.path()]);
            assert!(level.sockets, "every kernel that we support has seccomp");
            for refused in [
                TcpStream::connect(address).err(),
                UdpSocket::bind("127.0.0.1:0").err(),
                UdpSocket::bind("[::1]:0").err(),
            ] {
                let error = refused.expect("it is refused");
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            }
            UnixDatagram::unbound().unwrap();
            if !level.files {
                eprintln!(
                    "SKIPPED: this kernel has no Landlock, so the trainer's files were not tested"
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
            ] {
                let error = refused.expect("it is refused");
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            }
        });
        trainer.join().unwrap();
        assert_eq!(fs::read(kept).unwrap(), b"secret");
    }

    #[test]
    fn decoder_reaches_nothing() {
        let folder = TempDir::new().unwrap();
        let picture = folder.path().join("picture");
        fs::write(&picture, "pixels").unwrap();
        let kept = picture.clone();
        let decoder = thread::spawn(move || {
            let level = forsake();
            assert!(level.sockets);
            assert!(UnixDatagram::unbound().is_err());
            assert!(UdpSocket::bind("127.0.0.1:0").is_err());
            if level.files {
                assert!(fs::read(picture).is_err());
                assert!(fs::read("/proc/self/status").is_err());
            } else {
                eprintln!(
                    "SKIPPED: this kernel has no Landlock, so the decoder's files were not tested"
                );
            }
        });
        decoder.join().unwrap();
        assert_eq!(fs::read(kept).unwrap(), b"pixels");
        assert!(crate::level().sockets);
    }
}
