//! Batches: examples of a split as tensors, made in parallel. Refuses to depend on the number of threads.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use crate::attributes::Identity;
use crate::dataset::Example;
use crate::render::{SIDE, Scene};
use crate::seeds::Split;

/// Examples `first..first + count` of a split.
pub fn examples(split: Split, first: u64, count: usize) -> Vec<Example> {
    (first..)
        .take(count)
        .map(|index| Example::draw(split, index))
        .collect()
}

/// Pixels of scenes, each changed by `change(position, pixels)`; result `[n, 3, SIDE, SIDE]` in [-1, 1].
pub fn pixels<'a>(
    scenes: impl IntoIterator<Item = &'a Scene>,
    change: impl Fn(usize, &mut [f32]) + Sync,
) -> Result<Tensor> {
    let scenes: Vec<&Scene> = scenes.into_iter().collect();
    let planes: Vec<Vec<f32>> = scenes
        .par_iter()
        .enumerate()
        .map(|(position, scene)| {
            let mut planes = to_planes(&scene.render(SIDE));
            change(position, &mut planes);
            planes
        })
        .collect();
    Tensor::from_vec(planes.concat(), (scenes.len(), 3, SIDE, SIDE), &Device::Cpu)
}

/// RGB bytes to planes in [-1, 1].
pub fn to_planes(bytes: &[u8]) -> Vec<f32> {
    let channel = |channel| {
        bytes
            .iter()
            .skip(channel)
            .step_by(3)
            .map(|&v| f32::from(v) / 127.5 - 1.0)
    };
    (0..3).flat_map(channel).collect()
}

/// Pixels `[n, 3, h, w]` in [-1, 1] to RGB bytes, one picture each.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a byte"
)]
pub fn to_bytes(pixels: &Tensor) -> Result<Vec<Vec<u8>>> {
    let byte = |v: f32| ((v.clamp(-1.0, 1.0) + 1.0) * 127.5 + 0.5) as u8;
    let pixels = pixels.permute((0, 2, 3, 1))?.contiguous()?;
    (0..pixels.dim(0)?)
        .map(|n| {
            Ok(pixels
                .get(n)?
                .flatten_all()?
                .to_vec1::<f32>()?
                .into_iter()
                .map(byte)
                .collect())
        })
        .collect()
}

/// The styles that the encoder reads: those of base training, then the artist's.
pub const STYLES: &[&str] = &["noto", "twemoji", "fluent", "print"];
/// Index of the artist's style.
pub const PRINT: usize = STYLES.len() - 1;

/// What a perfect reader would say of a scene, in the order of [`ATTRIBUTES`].
pub fn labels(scene: &Scene) -> [usize; 5] {
    let Identity {
        class,
        style,
        tint,
        accessory,
    } = scene.identity;
    [
        class.index(),
        if scene.printed { PRINT } else { style.index() },
        tint.index(),
        accessory.index(),
        scene.background.index(),
    ]
}

/// The attributes that the encoder reads: name and names of values.
pub const ATTRIBUTES: [(&str, &[&str]); 5] = [
    ("class", crate::attributes::Class::NAMES),
    ("style", STYLES),
    ("tint", crate::attributes::Tint::NAMES),
    ("accessory", crate::attributes::Accessory::NAMES),
    ("background", crate::attributes::Background::NAMES),
];
