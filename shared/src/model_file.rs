//! Which files belong to a base model: the diffusers folder layout, or one checkpoint file.
//!
//! An allow-list, so that a path never leaves its folder and a pickle is never stored.

/// Longest path inside a model.
const MAX_PATH_CHARACTERS: usize = 120;

/// Endings of files that run code when they are read.
const PICKLES: &[&str] = &["bin", "ckpt", "pt", "pth", "pkl", "pickle"];

/// Files of a component's folder beside its weights.
const COMPONENT_FILES: &[&str] = &[
    "config.json",
    "scheduler_config.json",
    "preprocessor_config.json",
    "generation_config.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];

/// Files beside the components.
const ROOT_FILES: &[&str] = &["model_index.json", "persguard.json", "README.md"];

/// How a licence's file name begins.
const LICENCES: &[&str] = &["LICENSE", "LICENCE", "NOTICE", "COPYING"];

/// Why a file cannot be part of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRefusal {
    /// The path is absolute, climbs, is hidden or holds other characters than a model's paths do.
    UnsafePath,
    /// It is a pickle.
    Pickle,
    /// No model of a known layout has it.
    Unknown,
}

impl FileRefusal {
    /// What is wrong and what to do.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::UnsafePath => {
                "Give the path inside the model folder, such as `unet/config.json`: letters, digits, `.`, `_` and `-`, \
                 at most one folder deep."
            }
            Self::Pickle => {
                "This is a pickle: reading one can run code, so it is not accepted. Use the safetensors version of the \
                 weights, or convert them with `save_pretrained(..., safe_serialization=True)`."
            }
            Self::Unknown => {
                "A model consists of model_index.json, the configurations, tokenizer files and safetensors of its \
                 components, and a licence. Leave this file out."
            }
        }
    }
}

fn is_plain(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
}

fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")
}

fn is_licence(name: &str) -> bool {
    let starts = LICENCES.iter().any(|start| name.starts_with(start));
    let plain = match name.split_once('.') {
        None => true,
        Some((_, ending)) => matches!(ending, "md" | "txt"),
    };
    starts && plain
}

/// Whether a path may be part of a model.
pub fn check_model_file(path: &str) -> Result<(), FileRefusal> {
    let (folder, name) = match path.split_once('/') {
        Some((folder, name)) => (Some(folder), name),
        None => (None, path),
    };
    let safe = path.len() <= MAX_PATH_CHARACTERS && is_plain(name) && folder.is_none_or(is_plain);
    if !safe {
        return Err(FileRefusal::UnsafePath);
    }
    let ending = name.rsplit('.').next().unwrap_or_default();
    if PICKLES
        .iter()
        .any(|pickle| ending.eq_ignore_ascii_case(pickle))
    {
        return Err(FileRefusal::Pickle);
    }
    let others = if folder.is_some() {
        COMPONENT_FILES
    } else {
        ROOT_FILES
    };
    if is_weights(name) || is_licence(name) || others.contains(&name) {
        Ok(())
    } else {
        Err(FileRefusal::Unknown)
    }
}

/// Whether these files can be a model: a diffusers folder with weights, or one checkpoint file.
pub fn is_model<'a>(paths: impl Iterator<Item = &'a str>) -> bool {
    let (mut index, mut inside, mut single) = (false, 0, 0);
    for path in paths {
        index |= path == "model_index.json";
        if path.ends_with(".safetensors") {
            *(if path.contains('/') {
                &mut inside
            } else {
                &mut single
            }) += 1;
        }
    }
    if index {
        inside > 0
    } else {
        single == 1 && inside == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_both_layouts_are_accepted() {
        for path in [
            "model_index.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "tokenizer_2/vocab.json",
            "scheduler/scheduler_config.json",
            "LICENSE.md",
            "NOTICE",
            "README.md",
            "v1-5-pruned-emaonly.safetensors",
        ] {
            assert_eq!(check_model_file(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_never_leave_the_folder() {
        for path in [
            "",
            "../model_index.json",
            "/etc/passwd",
            "unet/../../x.safetensors",
            "unet\\config.json",
            "a/b/config.json",
            ".git/config.json",
            "unet/.safetensors",
            "unet/",
            "unet/c\u{0}nfig.json",
            "ünet/config.json",
        ] {
            assert_eq!(
                check_model_file(path),
                Err(FileRefusal::UnsafePath),
                "{path:?}"
            );
        }
    }

    #[test]
    fn pickles_and_strangers_are_refused() {
        for path in ["unet/diffusion_pytorch_model.bin", "model.CKPT", "vae/a.pt"] {
            assert_eq!(check_model_file(path), Err(FileRefusal::Pickle), "{path}");
        }
        for path in ["run.sh", "unet/model.onnx", "config.json", "LICENSE.exe"] {
            assert_eq!(check_model_file(path), Err(FileRefusal::Unknown), "{path}");
        }
    }

    #[test]
    fn a_model_has_weights_in_one_layout() {
        let is = |paths: &[&str]| is_model(paths.iter().copied());
        assert!(is(&["model_index.json", "unet/a.safetensors"]));
        assert!(is(&["a.safetensors", "LICENSE"]));
        assert!(!is(&["model_index.json", "a.safetensors"]));
        assert!(!is(&["a.safetensors", "b.safetensors"]));
        assert!(!is(&["unet/a.safetensors"]));
        assert!(!is(&[]));
    }
}
