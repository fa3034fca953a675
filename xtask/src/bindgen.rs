//! Turns the compiled frontend into what a browser loads: `xtask-bindgen WASM STATIC OUT`.
//!
//! Owns the module's parts, the JavaScript bindings and the brotli copies beside the files. A program of its own,
//! because the bindings generator takes long to build and only the frontend needs it.

#![expect(clippy::print_stdout, reason = "printing sizes is its job")]

mod parts;

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

/// What brotli makes smaller; pictures and fonts are compressed already.
const TEXT: &[&str] = &["wasm", "js", "css", "html", "svg", "json", "txt"];

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [wasm, statics, out] = arguments.as_slice() else {
        bail!("usage: xtask-bindgen WASM STATIC OUT");
    };
    fs::create_dir_all(out)?;
    let module = fs::read(wasm).with_context(|| format!("reading {}", wasm.display()))?;
    let hash = content_hash(&module);
    // Names that change with their content: parts of two versions never meet, and caches keep them.
    let name = format!("frontend-{hash}");
    let parts = parts::split(&module, &name, &hash, out)?;
    Bindgen::new()
        .input_path(&parts.main)
        .out_name(&name)
        // The parts find their memory and table by these.
        .keep_lld_exports(true)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out)
        .context("generating the JavaScript bindings")?;
    fs::remove_file(&parts.main)?;
    copy(statics, out)?;
    for page in ["index.html", "boot.js"] {
        let path = out.join(page);
        let text = fs::read_to_string(&path)?;
        let text = text
            .replace("/frontend.js", &format!("/{name}.js"))
            .replace("/frontend_bg.wasm", &format!("/{name}_bg.wasm"))
            .replace("/parts.js", &format!("/parts-{hash}.js"))
            .replace("\"parts\"", &parts.files);
        fs::write(&path, text)?;
    }
    add_catalogues(out)?;
    let mut sizes = (0, 0);
    compress(out, &mut sizes)?;
    println!(
        "frontend: {} KB, {} KB as brotli",
        sizes.0 / 1000,
        sizes.1 / 1000
    );
    Ok(())
}

/// Enough to tell one version of a file from the next.
fn content_hash(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Adds each catalogue under a name with a hash of its content, also where `boot.js` asks for it: it never changes.
fn add_catalogues(out: &Path) -> Result<()> {
    let boot = out.join("boot.js");
    let mut code = fs::read_to_string(&boot)?;
    let languages = out.join("languages");
    fs::create_dir_all(&languages)?;
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/assets/languages");
    for entry in fs::read_dir(from).context("reading the catalogues")? {
        let path = entry?.path();
        let content = fs::read(&path)?;
        // Smaller than what people edit: no line breaks between texts.
        let value: serde_json::Value = serde_json::from_slice(&content)?;
        let content = serde_json::to_vec(&value)?;
        let stem = path.file_stem().context("a name")?.to_string_lossy();
        let named = format!("{stem}-{}.json", content_hash(&content));
        let asked = format!("/languages/{stem}.json");
        if !code.contains(&asked) {
            bail!("boot.js does not ask for {asked}");
        }
        code = code.replace(&asked, &format!("/languages/{named}"));
        fs::write(languages.join(named), content)?;
    }
    fs::write(boot, code).context("writing boot.js")
}

fn compress(folder: &Path, sizes: &mut (usize, usize)) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            compress(&path, sizes)?;
        } else if path
            .extension()
            .is_some_and(|end| TEXT.iter().any(|text| end == *text))
        {
            let raw = fs::read(&path)?;
            let mut packed = Vec::new();
            let options = brotli::enc::BrotliEncoderParams {
                quality: 11,
                ..Default::default()
            };
            brotli::BrotliCompress(&mut raw.as_slice(), &mut packed, &options)?;
            sizes.0 += raw.len();
            sizes.1 += packed.len();
            let mut name = path.into_os_string();
            name.push(".br");
            fs::write(name, packed)?;
        }
    }
    Ok(())
}
