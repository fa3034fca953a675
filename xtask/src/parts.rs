//! The module's parts: what a first visit loads, and files for later.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, ensure};
use wasm_split_cli_support::{Options, transform};

/// What came of splitting.
pub(crate) struct Parts {
    /// The module to make bindings for.
    pub(crate) main: PathBuf,
    /// A JavaScript object: the files of every part by its name.
    pub(crate) files: String,
}

/// Splits at the functions that are marked with `wasm_split`; leaves the parts and their loader in `out`.
pub(crate) fn split(module: &[u8], name: &str, hash: &str, out: &Path) -> Result<Parts> {
    let main = out.join("main.wasm");
    let (bindings, loader) = (format!("./{name}.js"), format!("./parts-{hash}.js"));
    let mut options = Options::new(module);
    options.output_dir = out;
    options.main_out_path = &main;
    options.main_module = &bindings;
    options.link_name = &loader;
    let split = transform(options).map_err(|error| anyhow!("splitting the module: {error:#}"))?;
    ensure!(
        !split.split_modules.is_empty(),
        "the module has no parts: is `wasm_split` as old as the macro?"
    );
    let loader = out.join(loader);
    let mut text = fs::read_to_string(&loader)?;
    for path in split.split_modules {
        let stem = path.file_stem().context("a part without a name")?;
        let stem = stem.to_str().context("a part's name")?;
        let named = format!("{stem}-{hash}.wasm");
        text = text.replace(&format!("\"./{stem}.wasm\""), &format!("\"./{named}\""));
        fs::write(out.join(&named), without_names(&fs::read(&path)?)?)?;
        fs::remove_file(&path)?;
    }
    fs::write(&loader, text)?;
    let files: BTreeMap<String, Vec<String>> = split
        .prefetch_map
        .into_iter()
        .map(|(part, files)| {
            let files = files.iter().map(|stem| format!("/{stem}-{hash}.wasm"));
            (part, files.collect())
        })
        .collect();
    Ok(Parts {
        main,
        files: serde_json::to_string(&files)?,
    })
}

/// A module's custom sections are for tools: names that are as long as the code.
fn without_names(module: &[u8]) -> Result<Vec<u8>> {
    const HEADER: usize = 8;
    const CUSTOM: u8 = 0;
    let mut kept = module.get(..HEADER).context("no module")?.to_vec();
    let mut rest = &module[HEADER..];
    while let Some((kind, body)) = rest.split_first() {
        let (length, body) = leb128(body).context("a section without a length")?;
        let bytes = rest.len() - body.len() + length;
        let (section, after) = rest.split_at_checked(bytes).context("a short section")?;
        if *kind != CUSTOM {
            kept.extend_from_slice(section);
        }
        rest = after;
    }
    Ok(kept)
}

/// A number as WebAssembly writes lengths, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_sections_go_and_the_others_stay() -> Result<()> {
        let header = b"\0asm\x01\0\0\0";
        let names = [&[0, 0x85, 0][..], b"\x04name"].concat();
        let memory = [5, 3, 1, 0, 1];
        let module = [&header[..], &names, &memory, &names].concat();
        assert_eq!(without_names(&module)?, [&header[..], &memory].concat());
        assert!(without_names(&module[..module.len() - 1]).is_err());
        Ok(())
    }
}
