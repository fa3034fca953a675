//! What a model on disk is, told from its configurations and headers: no tensor is read.
//!
//! Refuses what [`crate::pipeline::Pipeline`] would refuse to load, with the same sentence.

mod files;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

pub use self::files::{FileHash, hash_files, manifest};
use crate::{
    Error, Result,
    pipeline::{
        self, Family, SingleFileOptions,
        parts::{Counts, Parts, VaePart},
        single_file,
    },
    schedule::PredictionType,
    unet::UNetConfig,
    weights::WeightsFile,
};

/// How a model lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A folder as diffusers writes it.
    Diffusers,
    /// One safetensors file as the original programs wrote it.
    SingleFile,
}

impl Layout {
    /// `diffusers` or `single_file`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Diffusers => "diffusers",
            Self::SingleFile => "single_file",
        }
    }
}

/// Numbers of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterCounts {
    /// Of the denoiser.
    pub unet: usize,
    /// Of the autoencoder.
    pub vae: usize,
    /// Of the text encoder.
    pub text_encoder: usize,
    /// Of the second text encoder, where there is one.
    pub text_encoder_2: Option<usize>,
}

impl ParameterCounts {
    /// Of the whole model.
    pub fn total(&self) -> usize {
        self.unet + self.vae + self.text_encoder + self.text_encoder_2.unwrap_or(0)
    }
}

/// What a model is.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// `sd1`, `sd2`, `sdxl`, or `tiny` for the small models that this project trains.
    pub family: &'static str,
    /// How it lies on the disk.
    pub layout: Layout,
    /// What it predicts, where the model says so.
    pub prediction_type: Option<PredictionType>,
    /// Height and width of its images.
    pub resolution: usize,
    /// Numbers of parameters.
    pub parameters: ParameterCounts,
    /// Types of the stored values, sorted.
    pub dtypes: Vec<String>,
    /// Configuration of the denoiser, read or derived.
    pub unet: UNetConfig,
    /// The folder that files are named from.
    pub root: PathBuf,
    /// Names of the model's files, sorted.
    pub files: Vec<String>,
    /// The first file that looks like a licence.
    pub licence: Option<String>,
    /// What is odd and no reason to refuse the model.
    pub warnings: Vec<String>,
}

/// Inspects a folder in the diffusers layout, or a checkpoint of one safetensors file.
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection> {
    let path = path.as_ref();
    let about = std::fs::metadata(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    if about.is_dir() {
        folder(path)
    } else {
        single(path)
    }
}

fn folder(path: &Path) -> Result<Inspection> {
    let files = files::list(path)?;
    let pickles = files.iter().filter(|name| files::is_pickle(name));
    let warnings = pickles.map(|name| format!("{name} is a pickle, which is never opened"));
    let warnings: Vec<_> = warnings.collect();
    pipeline::list_folder(path, |parts| {
        let mut inspection = describe(parts, family(parts), Layout::Diffusers)?;
        inspection.root = path.to_owned();
        inspection.licence = files.iter().find(|name| files::is_licence(name)).cloned();
        inspection.files = files;
        inspection.warnings.extend(warnings);
        Ok(inspection)
    })
}

/// The family of a folder, by what its parts are made of.
fn family(parts: &Parts<'_>) -> &'static str {
    if matches!(parts.vae, VaePart::Haar(_)) {
        "tiny"
    } else if parts.second_text.is_some() {
        Family::StableDiffusionXl.name()
    } else if parts.unet.0.use_linear_projection {
        Family::StableDiffusion2.name()
    } else {
        Family::StableDiffusion1.name()
    }
}

fn single(path: &Path) -> Result<Inspection> {
    let file = WeightsFile::open(path)?;
    let family = Family::of(&file)?;
    let mut options = SingleFileOptions::default();
    let known = single_file::says_prediction(&file, family);
    if !known {
        options.prediction_type = Some(PredictionType::Epsilon);
    }
    let parts = single_file::parts(&file, &options)?;
    let mut inspection = describe(&parts, family.name(), Layout::SingleFile)?;
    if !known {
        inspection.prediction_type = None;
        inspection.warnings.push(
            "the file does not say what it predicts: v_prediction (768 pixels) or epsilon (base, 512 pixels)"
                .to_owned(),
        );
    }
    if file.has_prefix("model_ema.") {
        let warning = "the averaged weights (model_ema) beside the model's own are not used";
        inspection.warnings.push(warning.to_owned());
    }
    let root = path.parent().unwrap_or(Path::new(""));
    inspection.licence = files::licence_beside(root);
    root.clone_into(&mut inspection.root);
    let name = path.file_name().unwrap_or_default();
    inspection.files = vec![name.to_string_lossy().into_owned()];
    Ok(inspection)
}

fn describe(parts: &Parts<'_>, family: &'static str, layout: Layout) -> Result<Inspection> {
    let Counts {
        unet,
        vae,
        text,
        second_text,
    } = parts.check()?;
    let factor = parts.vae.config().factor()?;
    let side = parts.unet.0.sample_size.unwrap_or(0);
    Ok(Inspection {
        family,
        layout,
        prediction_type: Some(parts.schedule.prediction_type),
        resolution: side.saturating_mul(factor),
        parameters: ParameterCounts {
            unet,
            vae,
            text_encoder: text,
            text_encoder_2: second_text,
        },
        dtypes: dtypes(parts),
        unet: parts.unet.0.clone(),
        root: PathBuf::new(),
        files: Vec::new(),
        licence: None,
        warnings: Vec::new(),
    })
}

/// Types of the values in all parts.
fn dtypes(parts: &Parts<'_>) -> Vec<String> {
    let vae = match &parts.vae {
        VaePart::Haar(_) => None,
        VaePart::Kl(_, file) => Some(file),
    };
    let second = parts.second_text.as_ref().map(|text| &text.file);
    let files = [&parts.unet.1, &parts.text.file].into_iter();
    let names: BTreeSet<_> = files
        .chain(vae)
        .chain(second)
        .flat_map(WeightsFile::iter)
        .map(|(_, stored)| stored.element())
        .filter(|element| element.is_weight())
        .map(|element| element.name().to_owned())
        .collect();
    names.into_iter().collect()
}
