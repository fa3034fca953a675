//! The frontend, built once for every state of its sources.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result};

use crate::{
    cache::{cargo, folder, root, run},
    toolchain,
};

/// What a first visit may load before the pictures, as brotli: KB of 1000 bytes. The goal is 350; this is little more than
/// what there is.
pub(crate) const FIRST_ROUTE_KB: f64 = 300.0;
/// How many earlier builds stay for other clones and running servers.
const KEPT: usize = 4;

/// Builds the frontend unless this very state was built before; returns the folder to serve.
pub(crate) fn build() -> Result<PathBuf> {
    let web = folder("web")?;
    let hash = inputs_hash()?;
    let ready = web.join(format!("dist-{hash:016x}"));
    if ready.join("index.html.br").is_file() {
        return Ok(ready);
    }
    let wasm = compile(&web)?;
    let draft = web.join(format!("draft-{}", std::process::id()));
    let _ = fs::remove_dir_all(&draft);
    let mut bindgen = cargo()?;
    bindgen
        .args([
            "run",
            "--quiet",
            "--package",
            "xtask",
            "--features",
            "bindgen",
        ])
        .args(["--bin", "xtask-bindgen", "--"])
        .arg(wasm)
        .arg(root().join("frontend/static"))
        .arg(&draft);
    run(&mut bindgen)?;
    let _ = fs::remove_dir_all(&ready);
    fs::rename(&draft, &ready).context("moving the frontend into place")?;
    forget_old(&web, &ready)?;
    Ok(ready)
}

/// Compiles the sources; gives the module.
fn compile(web: &Path) -> Result<PathBuf> {
    let compiler = toolchain::wasm_compiler()?;
    // What one compiler built is of no use to another.
    let name = compiler
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::file_name);
    let target = web.join(name.unwrap_or("rustup".as_ref()));
    let mut build = cargo()?;
    build
        .args(["rustc", "--package", "frontend", "--profile", "web"])
        .args(["--target", "wasm32-unknown-unknown"])
        // Splitting needs to know what refers to what.
        .args(["--", "-C", "link-arg=--emit-relocs"])
        .env("CARGO_TARGET_DIR", &target);
    if let Some(compiler) = compiler {
        build.env("RUSTC", compiler);
    }
    println!("building the frontend (minutes when cold)");
    run(&mut build)?;
    Ok(target.join("wasm32-unknown-unknown/web/frontend.wasm"))
}

/// Over every file that can change the result.
fn inputs_hash() -> Result<u64> {
    let root = root();
    let mut files = vec![
        root.join("Cargo.lock"),
        root.join("Cargo.toml"),
        root.join(".cargo/config.toml"),
        root.join("xtask/src/bindgen.rs"),
        root.join("xtask/src/parts.rs"),
    ];
    for folder in ["frontend", "shared"] {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(&root)?.hash(&mut hasher);
        fs::read(&file)
            .with_context(|| file.display().to_string())?
            .hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn forget_old(web: &Path, keep: &Path) -> Result<()> {
    let mut builds: Vec<(SystemTime, PathBuf)> = fs::read_dir(web)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path != keep)
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("dist-")
        })
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    builds.sort();
    for (_, path) in builds.iter().rev().skip(KEPT - 1) {
        let _ = fs::remove_dir_all(path);
    }
    Ok(())
}
