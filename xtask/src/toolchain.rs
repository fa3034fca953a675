//! A compiler that can build for the browser, found or made.
//!
//! `PERSGUARD_WASM_TOOLCHAIN` is `auto` (the default: what is there, else rustup, else Debian),
//! `rustup` or `debian`. The Debian route unpacks Debian's `rustc-web` into the cache, without
//! installing it, and builds the standard library for wasm32 once from its sources, with the
//! bitcode that link-time optimisation needs.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    apt,
    cache::{cargo, command, folder, on_path, output, run},
};

const TARGET: &str = "wasm32-unknown-unknown";

/// Marks a finished compiler whose library carries bitcode.
const DONE: &str = ".done-bitcode";

/// Runs the unpacked compiler with its own libraries and linker.
const WRAPPER: &str = r#"#!/bin/sh
R=$(dirname "$(readlink -f "$0")")
LD_LIBRARY_PATH=$R/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} PATH=$R/usr/bin:$PATH exec "$R/usr/bin/rustc" "$@"
"#;

const EMPTY_PACKAGE: &str =
    "[workspace]\n[package]\nname = \"mkstd\"\nversion = \"0.0.0\"\nedition = \"2021\"\n";

/// The compiler for the frontend build; `None` means that the usual one can do it.
pub(crate) fn wasm_compiler() -> Result<Option<PathBuf>> {
    let mode = env::var_os("PERSGUARD_WASM_TOOLCHAIN").unwrap_or_else(|| "auto".into());
    match mode.to_str() {
        Some("auto") => match usual() {
            Ok(()) => Ok(None),
            Err(reason) => {
                println!("wasm32: {reason:#}; taking Debian's compiler");
                debian().map(Some)
            }
        },
        Some("rustup") => usual().map(|()| None),
        Some("debian") => debian().map(Some),
        _ => bail!("PERSGUARD_WASM_TOOLCHAIN must be auto, rustup or debian"),
    }
}

/// Whether a compiler has the standard library for the browser.
fn has_library(compiler: &Path) -> bool {
    let folder = output(command(compiler).args(["--print", "target-libdir", "--target", TARGET]));
    let entries = folder.ok().and_then(|path| fs::read_dir(path.trim()).ok());
    entries.is_some_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
        })
    })
}

fn usual() -> Result<()> {
    let compiler = Path::new("rustc");
    if has_library(compiler) {
        return Ok(());
    }
    if !on_path("rustup") {
        bail!("rustc has no {TARGET} library and there is no rustup");
    }
    // Without a network this would wait for long.
    run(command("timeout").args(["120", "rustup", "target", "add", TARGET]))?;
    if !has_library(compiler) {
        bail!("rustup added {TARGET}, but rustc does not see it");
    }
    Ok(())
}

fn debian() -> Result<PathBuf> {
    if let Some(compiler) = newest_made()? {
        return Ok(compiler);
    }
    if !on_path("apt-get") {
        bail!("no {TARGET} library here, and no Debian to get one from");
    }
    let listed = apt::candidate("rustc-web")?;
    let failure = match listed.as_deref().map(make) {
        Some(Ok(compiler)) => return Ok(compiler),
        Some(Err(failure)) => failure,
        None => anyhow!("apt knows no package rustc-web"),
    };
    // A new machine's lists may be old: then they name a version that the mirror has dropped or that is packed in
    // another way. Another version after a refresh is worth another try.
    apt::update()?;
    match apt::candidate("rustc-web")? {
        Some(version) if Some(&version) != listed.as_ref() => make(&version),
        _ => Err(failure),
    }
}

/// A compiler that an earlier run finished, the newest by name.
fn newest_made() -> Result<Option<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder("toolchain")?) else {
        return Ok(None);
    };
    let mut made: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.join(DONE).is_file() && has_library(&path.join("rustc")))
        .collect();
    made.sort();
    Ok(made.pop().map(|path| path.join("rustc")))
}

fn make(version: &str) -> Result<PathBuf> {
    println!("wasm32: preparing Debian's rustc-web {version} (about two minutes, once)");
    let cache = folder("toolchain")?;
    let work = cache.join(format!("tmp.{}", std::process::id()));
    let unpacked = work.join("root");
    fs::create_dir_all(&unpacked)?;
    let finished = cache.join(format!("{version}-bitcode"));
    let result = fetch(version, &work)
        .and_then(|()| build_library(&work))
        .and_then(|()| {
            fs::write(unpacked.join(DONE), "")?;
            let _ = fs::remove_dir_all(&finished);
            fs::rename(&unpacked, &finished).context("moving the compiler into place")
        });
    let _ = fs::remove_dir_all(&work);
    result?;
    let compiler = finished.join("rustc");
    if !has_library(&compiler) {
        bail!("{TARGET} library missing after the build");
    }
    Ok(compiler)
}

fn fetch(version: &str, work: &Path) -> Result<()> {
    let series = version.split('+').next().unwrap_or(version);
    let series = series.rsplit_once('.').map_or(series, |(series, _)| series);
    let library = format!("libstd-rust-web-{series}");
    let depends = output(command("apt-cache").args(["depends", &library]))?;
    let llvm = depends
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("Depends: ")
                .filter(|name| name.starts_with("libllvm"))
        })
        .with_context(|| format!("{library} names no libllvm"))?;
    let linker = format!("lld-{}", llvm.trim_start_matches("libllvm"));
    let pinned = [
        "rustc-web",
        "libstd-rust-web-dev",
        &library,
        "rust-web-src",
        "rust-web-llvm",
    ];
    let debs = work.join("debs");
    fs::create_dir_all(&debs)?;
    let mut download = command("apt-get");
    download
        .args(["download", "-qq"])
        .args(pinned.map(|name| format!("{name}={version}")))
        .args([llvm, &linker])
        .current_dir(&debs);
    run(&mut download)?;
    for deb in fs::read_dir(&debs)? {
        run(command("dpkg")
            .arg("-x")
            .arg(deb?.path())
            .arg(work.join("root")))?;
    }
    Ok(())
}

/// Builds the standard library with the unpacked compiler: the two must be of one version.
fn build_library(work: &Path) -> Result<()> {
    let unpacked = work.join("root");
    let wrapper = unpacked.join("rustc");
    fs::write(&wrapper, WRAPPER)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    let package = work.join("mkstd");
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("src/lib.rs"), "")?;
    fs::write(package.join("Cargo.toml"), EMPTY_PACKAGE)?;
    let mut build = cargo()?;
    build
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .arg("-Zbuild-std=std,panic_abort,proc_macro,test")
        .current_dir(&package)
        .env("RUSTC", &wrapper)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", work.join("target"));
    for name in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        build.env_remove(name);
    }
    // Cargo leaves the bitcode out of libraries; the frontend's link-time optimisation wants it.
    build.env("RUSTFLAGS", "-C embed-bitcode=yes");
    run(&mut build)?;
    let library = unpacked.join("usr/lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&library)?;
    for entry in fs::read_dir(work.join("target").join(TARGET).join("release/deps"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name.starts_with("lib")
            && Path::new(&name)
                .extension()
                .is_some_and(|end| end == "rlib");
        if ours && !name.starts_with("libmkstd-") {
            fs::copy(entry.path(), library.join(name))?;
        }
    }
    Ok(())
}
