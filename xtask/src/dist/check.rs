//! Runs the archive where nothing else is: an empty root with the archive and the libraries that its programs name.
//!
//! There is no shell, no toolchain and no configuration inside. `/proc` and two devices are there, as everywhere.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::PROGRAMS;
use crate::{
    cache::{command, folder, output, run},
    http,
};

/// What was seen.
pub(super) struct Seen {
    /// From the start of the program until its dashboard was served.
    pub(super) start_seconds: f64,
    /// The grade.
    pub(super) verdict: String,
}

/// `$1` is the root, the rest is run inside.
const ENTER: &str = r#"
root=$1; shift
mount -t proc proc "$root/proc"
for device in null urandom; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
exec chroot "$root" "$@"
"#;
/// What the README promises to run on: Debian 12's.
const GLIBC: (u32, u32) = (2, 36);
const START_LIMIT: Duration = Duration::from_mins(2);

/// Unpacks the archive and runs its demo; what was unpacked is gone afterwards.
pub(super) fn try_out(archive: &Path, name: &str) -> Result<Seen> {
    let root = folder("tools")?.join(format!("dist-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    let seen = prepare(archive, &root, name).and_then(|()| demo(&root, name));
    if seen.is_err() {
        let log = fs::read_to_string(root.join("data/persguard.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        println!("{}", lines[lines.len().saturating_sub(15)..].join("\n"));
    }
    let _ = fs::remove_dir_all(&root);
    seen
}

fn prepare(archive: &Path, root: &Path, name: &str) -> Result<()> {
    for folder in ["proc", "dev", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    run(command("tar")
        .arg("--extract")
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(root))?;
    let home = root.join(name);
    let mut sums = command("sha256sum");
    sums.args(["--check", "--quiet", "--strict", "SHA256SUMS"])
        .current_dir(&home);
    run(&mut sums).context("a file differs from its sum")?;
    for program in PROGRAMS {
        let newest = newest_glibc(&fs::read(home.join(program))?);
        ensure!(
            newest <= GLIBC,
            "{program} needs glibc {}.{}, and the README promises {}.{}: build on an older system",
            newest.0,
            newest.1,
            GLIBC.0,
            GLIBC.1
        );
        for library in libraries(&output(command("ldd").arg(home.join(program)))?)? {
            let place = root.join(library.strip_prefix("/")?);
            fs::create_dir_all(place.parent().context("no folder")?)?;
            fs::copy(&library, place).with_context(|| library.display().to_string())?;
        }
    }
    Ok(())
}

/// The newest version of glibc whose symbols a program asks for: the names `GLIBC_2.34` stand in it as text.
fn newest_glibc(program: &[u8]) -> (u32, u32) {
    const MARK: &[u8] = b"GLIBC_";
    let number = |bytes: &[u8]| -> (u32, usize) {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
        let value = digits
            .clone()
            .take(4)
            .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        (value, digits.count())
    };
    let places = program
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, window)| *window == MARK);
    let versions = places.map(|(at, _)| {
        let rest = &program[at + MARK.len()..];
        let (major, length) = number(rest);
        let minor = match rest.get(length) {
            Some(b'.') => number(&rest[length + 1..]).0,
            _ => 0,
        };
        (major, minor)
    });
    versions.max().unwrap_or_default()
}

/// The files that `ldd` found; a library that is not there stops the check.
fn libraries(ldd: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in ldd.lines() {
        if line.contains("not found") {
            bail!("{}", line.trim());
        }
        let words = line.split_whitespace();
        found.extend(
            words
                .filter(|word| word.starts_with('/'))
                .map(PathBuf::from),
        );
    }
    Ok(found)
}

fn demo(root: &Path, name: &str) -> Result<Seen> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let start = Instant::now();
    let mut child = enter(root)?
        .arg(format!("/{name}/persguard"))
        .args([
            "demo",
            "--once",
            "--data-dir",
            "/data",
            "--address",
            &address,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting unshare")?;
    let pipe = child.stdout.take().context("no output")?;
    let lines = thread::spawn(move || -> std::io::Result<String> {
        let mut last = String::new();
        for line in BufReader::new(pipe).lines() {
            last = line?;
            println!("  {last}");
        }
        Ok(last)
    });
    let started = served(&mut child, &address, start);
    if started.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let start_seconds = started?;
    let last = lines.join().ok().context("reading its output")??;
    ensure!(status.success(), "the demo ended with {status}");
    let verdict = last
        .split_whitespace()
        .find_map(|word| word.strip_prefix("verdict="));
    let verdict = verdict
        .with_context(|| format!("no verdict in `{last}`"))?
        .to_owned();
    Ok(Seen {
        start_seconds,
        verdict,
    })
}

/// A command that enters the root with nothing of this process's environment.
fn enter(root: &Path) -> Result<Command> {
    let mut unshare = Command::new("unshare");
    unshare
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/");
    if output(command("id").arg("-u"))?.trim() != "0" {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--",
            "sh",
            "-ec",
            ENTER,
            "sh",
        ])
        .arg(root);
    Ok(unshare)
}

/// Waits until dashboard and documentation are served; gives the seconds since `start`.
fn served(child: &mut Child, address: &str, start: Instant) -> Result<f64> {
    while start.elapsed() < START_LIMIT {
        if http::get_text(address, "/").is_ok_and(|page| page.contains("<html")) {
            return Ok(start.elapsed().as_secs_f64());
        }
        if let Some(status) = child.try_wait()? {
            bail!("the demo ended with {status} before it was served");
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("no dashboard within {} s", START_LIMIT.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_and_missing_ones_are_told() {
        let found = libraries(
            "\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n",
        );
        let found = found.expect("they are there");
        assert_eq!(
            found,
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
            .map(PathBuf::from)
        );
        let error = libraries("\tlibcuda.so.1 => not found\n").unwrap_err();
        assert_eq!(error.to_string(), "libcuda.so.1 => not found");
    }
}
