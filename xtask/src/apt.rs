//! Debian packages: installed as root, else named in one line to run.

use std::path::Path;

use anyhow::{Result, bail};

use crate::cache::{command, on_path, output, run};

/// A need and the packages that meet it.
struct Need {
    what: &'static str,
    met: fn() -> bool,
    packages: &'static [&'static str],
}

const TEST_NEEDS: &[Need] = &[
    Need {
        what: "a browser",
        met: || on_path("chromium"),
        packages: &["chromium"],
    },
    Need {
        what: "its driver",
        met: || on_path("chromedriver"),
        packages: &["chromium-driver"],
    },
    Need {
        what: "curl and jq, for the README's walkthrough",
        met: || on_path("curl") && on_path("jq"),
        packages: &["curl", "jq"],
    },
    Need {
        what: "a C++ compiler, for the tests of the CUDA kernels",
        met: || on_path("g++"),
        packages: &["g++"],
    },
    Need {
        what: "an SMTP server, for the tests of letters",
        met: || Path::new("/usr/lib/python3/dist-packages/aiosmtpd").is_dir(),
        packages: &["python3-aiosmtpd"],
    },
    Need {
        what: "Node.js, for the tests of signing in by a provider",
        met: || on_path("node") && on_path("npm"),
        packages: &["nodejs", "npm"],
    },
    Need {
        what: "PostgreSQL",
        met: has_postgres,
        packages: &["postgresql"],
    },
];

fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    on_path("initdb")
        || versions.is_ok_and(|mut found| {
            found.any(|entry| entry.is_ok_and(|entry| entry.path().join("bin/initdb").is_file()))
        })
}

/// Installs what the tests need beyond Rust.
pub(crate) fn install_test_tools() -> Result<()> {
    let missing: Vec<&Need> = TEST_NEEDS.iter().filter(|need| !(need.met)()).collect();
    for need in &missing {
        println!("missing: {} ({})", need.what, need.packages.join(" "));
    }
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    install(&packages)?;
    match missing.iter().find(|need| !(need.met)()) {
        Some(need) => bail!("{} is still missing after the install", need.what),
        None => Ok(()),
    }
}

/// Installs packages; nothing to do for none.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let line = format!(
        "apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    if !on_path("apt-get") {
        bail!(
            "install these with your package manager: {}",
            packages.join(" ")
        );
    }
    if !is_root() {
        bail!("run this once: sudo {line}");
    }
    println!("{line}");
    let install = || {
        let mut command = command("apt-get");
        command
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut command)
    };
    // The lists of a new machine are empty or old: refresh them only when they fail.
    install().or_else(|_| {
        update()?;
        install()
    })
}

/// Refreshes the package lists.
pub(crate) fn update() -> Result<()> {
    if !is_root() {
        bail!("run this once: sudo apt-get update");
    }
    run(command("apt-get").args(["update", "-q"]))
}

/// The version that apt would install, if it knows the package.
pub(crate) fn candidate(package: &str) -> Result<Option<String>> {
    let policy = output(
        command("apt-cache")
            .args(["policy", package])
            .env("LC_ALL", "C"),
    )?;
    Ok(policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
        .map(str::to_owned))
}

fn is_root() -> bool {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        == Some("0")
}
