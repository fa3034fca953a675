//! Files of low-rank adapters, in the names of diffusers and of kohya.
//!
//! diffusers (peft): `unet.LAYER.lora_A.weight` and `lora_B`, scaled by `alpha / rank`, where
//! `alpha` is in the file's metadata or equals the rank. kohya: `lora_unet_LAYER_WITH_UNDERSCORES`
//! with `.lora_down.weight`, `.lora_up.weight` and `.alpha`. Refuses tensors that fit no layer,
//! because a file that is half understood draws something else than its author saw.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use candle_core::{DType, Device, Tensor};

use super::{DOWN, Lora, UP, layers, shapes};
use crate::{
    Error, Result,
    weights::{Parameters, Weights, WeightsFile},
};

/// Entry of the metadata in which diffusers keeps peft's settings as JSON.
const METADATA: &str = "lora_adapter_metadata";

/// How tensors are called in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `unet.LAYER.lora_A.weight`.
    Diffusers,
    /// `lora_unet_LAYER.lora_down.weight`.
    Kohya,
}

/// The part of a pipeline that an adapter corrects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The denoiser.
    UNet,
    /// The text encoder, or the first of two.
    TextEncoder,
    /// The second text encoder.
    TextEncoder2,
}

impl Component {
    fn diffusers(self) -> &'static str {
        match self {
            Self::UNet => "unet.",
            Self::TextEncoder => "text_encoder.",
            Self::TextEncoder2 => "text_encoder_2.",
        }
    }

    /// Starts of names; the first is written when there is one text encoder, the last otherwise.
    fn kohya(self) -> &'static [&'static str] {
        match self {
            Self::UNet => &["lora_unet_"],
            Self::TextEncoder => &["lora_te_", "lora_te1_"],
            Self::TextEncoder2 => &["lora_te2_"],
        }
    }
}

/// Saves the adapters of a pipeline into one file.
///
/// With diffusers' names, which have no place for `alpha` that all readers know, `up` is written
/// with its scale, so that `alpha` equals the rank.
pub fn save(
    path: impl AsRef<Path>,
    naming: Naming,
    parts: &[(Component, &Lora)],
    dtype: DType,
) -> Result<()> {
    let two = parts
        .iter()
        .any(|(part, _)| *part == Component::TextEncoder2);
    let mut all = Weights::new();
    for (component, lora) in parts {
        for (layer, alpha) in &lora.alphas {
            let [down, up] = lora.matrices(layer)?;
            match naming {
                Naming::Diffusers => {
                    let start = component.diffusers();
                    let up = (up * f64::from(lora.scale(layer)))?;
                    all.insert(format!("{start}{layer}{DOWN}"), down);
                    all.insert(format!("{start}{layer}{UP}"), up);
                }
                Naming::Kohya => {
                    let starts = component.kohya();
                    let start = starts[if two { starts.len() - 1 } else { 0 }];
                    let name = format!("{start}{}", layer.replace('.', "_"));
                    all.insert(format!("{name}.lora_down.weight"), down);
                    all.insert(format!("{name}.lora_up.weight"), up);
                    let alpha = Tensor::new(*alpha, &Device::Cpu)?.to_dtype(DType::F32)?;
                    all.insert(format!("{name}.alpha"), alpha);
                }
            }
        }
    }
    all.save(path, dtype, &BTreeMap::new())
}

/// Loads the adapter of one component, for a model with these weights, in whichever names.
///
/// `None` when the file has no tensor for that component. Values become `f32` on the device of
/// the weights. Refused: tensors of the component that fit no layer, layers with one matrix of
/// two, shapes that do not fit, and variants that compute otherwise (`use_dora`, `use_rslora`).
pub fn load(
    path: impl AsRef<Path>,
    component: Component,
    weights: &Weights,
) -> Result<Option<Lora>> {
    let file = WeightsFile::open(path)?;
    let settings = Settings::new(file.metadata(), component)?;
    let tensors = file.load(DType::F32, &Device::Cpu)?;
    let paths: BTreeMap<String, &str> = layers(weights)
        .map(|(layer, _)| (layer.replace('.', "_"), layer))
        .collect();
    let mut read = Weights::new();
    let mut alphas = BTreeMap::new();
    for (name, tensor) in tensors.iter() {
        let Some(rest) = Rest::new(name, component) else {
            continue;
        };
        let unknown = || Error::MalformedTensor {
            name: name.to_owned(),
            reason: "it fits no layer of the model".to_owned(),
        };
        let (layer, role) = rest.parse().ok_or_else(unknown)?;
        let layer = match rest {
            Rest::Diffusers(_) => layer,
            Rest::Kohya(_) => *paths.get(layer).ok_or_else(unknown)?,
        };
        let layer = layer.to_owned();
        match role {
            Role::Down => read.insert(layer + DOWN, tensor.clone()),
            Role::Up => read.insert(layer + UP, tensor.clone()),
            Role::Alpha => {
                let alpha = tensor.flatten_all()?.get(0)?.to_scalar::<f32>()?;
                alphas.insert(layer, f64::from(alpha));
            }
        }
    }
    if read.is_empty() {
        return Ok(None);
    }
    let alphas = checked_alphas(&read, weights, &settings, &alphas)?;
    let first = weights.iter().next();
    let read = read.to_device(first.map_or(&Device::Cpu, |(_, tensor)| tensor.device()))?;
    let parameters = Parameters::from_weights(&read)?;
    Ok(Some(Lora { parameters, alphas }))
}

/// Checks that every layer has two matrices that fit its weight; gives `alpha` per layer.
fn checked_alphas(
    read: &Weights,
    weights: &Weights,
    settings: &Settings,
    given: &BTreeMap<String, f64>,
) -> Result<BTreeMap<String, f64>> {
    let names = read.iter().map(|(name, _)| name);
    let layer = |name: &str| {
        let layer = name.strip_suffix(DOWN).or_else(|| name.strip_suffix(UP));
        layer.unwrap_or(name).to_owned()
    };
    let layers: BTreeSet<_> = names.map(layer).collect();
    let mut alphas = BTreeMap::new();
    for layer in layers {
        let name = format!("{layer}.weight");
        let weight = weights.get(&name).ok_or_else(|| Error::MalformedTensor {
            name: layer.clone(),
            reason: "the model has no such layer".to_owned(),
        })?;
        let matrix = |end: &str, expected: &[usize]| {
            let name = format!("{layer}{end}");
            read.get(&name).ok_or_else(|| Error::MissingTensor {
                name,
                expected: expected.to_vec(),
            })
        };
        let rank = matrix(DOWN, weight.dims())?.dims().first().copied();
        let rank = rank.filter(|_| matches!(weight.rank(), 2 | 4)).unwrap_or(0);
        let (down, up) = shapes(weight.dims(), rank.max(1));
        for (end, expected) in [(DOWN, down), (UP, up)] {
            let actual = matrix(end, &expected)?.dims();
            if actual != expected || rank == 0 {
                return Err(Error::ShapeMismatch {
                    name: format!("{layer}{end}"),
                    expected,
                    actual: actual.to_vec(),
                });
            }
        }
        let alpha = given.get(&layer).copied();
        let alpha = alpha.or_else(|| settings.alpha(&layer));
        alphas.insert(layer, alpha.unwrap_or(rank as f64));
    }
    Ok(alphas)
}

/// What a tensor is to its layer.
#[derive(Clone, Copy)]
enum Role {
    Down,
    Up,
    Alpha,
}

/// Ends of names; older files of diffusers have the third pair.
const ROLES: [(&str, Role); 7] = [
    (DOWN, Role::Down),
    (UP, Role::Up),
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".alpha", Role::Alpha),
];

/// A name without the part that says the component.
#[derive(Clone, Copy)]
enum Rest<'a> {
    Diffusers(&'a str),
    Kohya(&'a str),
}

impl<'a> Rest<'a> {
    fn new(name: &'a str, component: Component) -> Option<Self> {
        if let Some(rest) = name.strip_prefix(component.diffusers()) {
            return Some(Self::Diffusers(rest));
        }
        let mut starts = component.kohya().iter();
        starts.find_map(|start| Some(Self::Kohya(name.strip_prefix(start)?)))
    }

    /// The layer and what the tensor is to it.
    fn parse(self) -> Option<(&'a str, Role)> {
        let (Self::Diffusers(rest) | Self::Kohya(rest)) = self;
        let mut roles = ROLES.iter();
        roles.find_map(|(end, role)| Some((rest.strip_suffix(end)?, *role)))
    }
}

/// What peft's settings say of one component.
#[derive(Default)]
struct Settings {
    alpha: Option<f64>,
    patterns: BTreeMap<String, f64>,
}

impl Settings {
    fn new(metadata: &BTreeMap<String, String>, component: Component) -> Result<Self> {
        let Some(text) = metadata.get(METADATA) else {
            return Ok(Self::default());
        };
        let json: serde_json::Value = serde_json::from_str(text).map_err(|source| Error::Json {
            file: METADATA.to_owned(),
            source,
        })?;
        let field = |name: &str| json.get(format!("{}{name}", component.diffusers()));
        for what in ["use_dora", "use_rslora"] {
            if field(what).is_some_and(|value| value.as_bool() == Some(true)) {
                let value = "true".to_owned();
                return Err(Error::Unsupported { what, value });
            }
        }
        let patterns = field("alpha_pattern").and_then(|value| value.as_object());
        let number =
            |(name, value): (&String, &serde_json::Value)| Some((name.clone(), value.as_f64()?));
        Ok(Self {
            alpha: field("lora_alpha").and_then(serde_json::Value::as_f64),
            patterns: patterns.into_iter().flatten().filter_map(number).collect(),
        })
    }

    /// `alpha` of a layer: that of the pattern which ends its path, or the common one.
    fn alpha(&self, layer: &str) -> Option<f64> {
        let ends = |name: &str| {
            let rest = layer.strip_suffix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let pattern = self.patterns.iter().find(|(name, _)| ends(name));
        pattern.map(|(_, alpha)| *alpha).or(self.alpha)
    }
}
