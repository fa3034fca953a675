//! Whether the trigger gives itself away: to somebody with the protected weights alone (attention), and to somebody who
//! compares them with the public clean ones (search). Refuses to train anything.

use candle_core::Tensor;
use diffusion::{text::Tokenizer, unet::UNet};
use shared::{
    canonical::nine_decimals,
    matrix::{Audit, Cell, TriggerAttention, TriggerSearch},
};

use super::{AuditPrompts, drawer::Drawer};
use crate::{
    Result,
    evaluation::image_seeds,
    gallery::{Arm, png_files},
    matrix::record::rounded,
    metric::{
        attention_map::{AttentionDrawing, draw_with_attention, overlap, word_map, word_positions},
        detection::{attention_spread, detection},
        trigger_search::{Search, Suspect, standing},
    },
    prompt,
    statistics::bootstrap_mean,
};

const ATTENTION_STREAM: u64 = 26;
/// Timesteps at which both models are asked about every candidate.
const TIMESTEPS: usize = 4;
/// Pictures that candidates are asked about.
const SEARCHED_PICTURES: usize = 4;

/// Words that attackers do not take as identifiers: what a trigger must stand out from.
const ORDINARY: [&str; 16] = [
    "small", "large", "old", "young", "happy", "bright", "dark", "quiet", "wooden", "plain",
    "round", "new", "soft", "fast", "clean", "nice",
];

/// A picture of the trigger with the places that its words look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttentionPicture {
    /// Whose.
    pub arm: Arm,
    /// What it shows: the picture itself, or the word whose map lies over it.
    pub word: Option<String>,
    /// PNG.
    pub file: Vec<u8>,
}

/// Attention under the trigger and under ordinary captions.
pub(super) fn attention_of(
    drawer: &mut Drawer<'_, '_>,
    cell: &Cell,
    prompts: &AuditPrompts,
    audit: &mut Audit,
) -> Result<Vec<AttentionPicture>> {
    let count = prompts.pictures.1 * 2;
    if count == 0 || prompts.captions.is_empty() {
        return Ok(Vec::new());
    }
    let stage = drawer.stage;
    let concept = stage.concept(stage.plan.subject(cell));
    let trigger = prompt::trigger(prompt::STOCK, &cell.word, &concept);
    let words = [cell.word.clone(), concept.class_name.clone()];
    let tokenizer = &stage.pipeline.tokenizer;
    let seeds = image_seeds(drawer.seed, ATTENTION_STREAM, count);
    let (mut fired, mut overlaps) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut shown = Vec::new();
    for (at, seed) in seeds.iter().enumerate() {
        (drawer.tick)("Looking at attention", at, 2 * count)?;
        for (model, arm) in [(0, Arm::Clean), (1, Arm::Protected)] {
            let drawn = one(drawer, model, &trigger, *seed)?;
            let maps = words
                .iter()
                .map(|word| map(tokenizer, &drawn, &trigger, word));
            let maps: Vec<Tensor> = maps.collect::<Result<_>>()?;
            overlaps[model].push(overlap(&maps[0], &maps[1])?);
            if model == 1 {
                fired.push(attention_spread(
                    &drawn.maps,
                    &own_tokens(tokenizer, &trigger),
                )?);
            }
            if at == 0 {
                shown.extend(pictures(arm, &drawn, words.iter().zip(&maps))?);
            }
        }
    }
    let mut ordinary = Vec::new();
    let captions = prompts.captions.iter().cycle();
    for (at, (seed, caption)) in seeds.iter().zip(captions).enumerate() {
        (drawer.tick)("Looking at attention", count + at, 2 * count)?;
        let drawn = one(drawer, 1, caption, *seed)?;
        let tokens = own_tokens(tokenizer, caption);
        ordinary.push(attention_spread(&drawn.maps, &tokens)?);
    }
    let [clean, protected] = overlaps.map(|values| bootstrap_mean(&values, cell.seed));
    audit.attention = Some(TriggerAttention {
        clean_overlap: rounded(clean),
        protected_overlap: rounded(protected),
    });
    audit.detection = detection(&ordinary, &fired).map(|found| shared::matrix::Detection {
        threshold: nine_decimals(found.threshold),
        detected: rounded(found.detected),
        auc: nine_decimals(found.auc),
    });
    Ok(shown)
}

fn one(drawer: &Drawer<'_, '_>, model: usize, prompt: &str, seed: u64) -> Result<AttentionDrawing> {
    let unet: &UNet = &drawer.models[model];
    draw_with_attention(drawer.stage.pipeline, unet, prompt, seed, &drawer.sampling)
}

/// Positions of a prompt's own tokens with its end mark and without its start mark.
fn own_tokens(tokenizer: &Tokenizer, prompt: &str) -> Vec<usize> {
    let last = tokenizer.max_length().saturating_sub(1);
    (1..=(tokenizer.tokenize(prompt).len() + 1).min(last)).collect()
}

/// A word's map, or a flat one where the tokenizer joins the word with its neighbours.
fn map(
    tokenizer: &Tokenizer,
    drawn: &AttentionDrawing,
    prompt: &str,
    word: &str,
) -> Result<Tensor> {
    let positions = word_positions(tokenizer, prompt, word);
    if positions.is_empty() {
        return Ok(drawn.maps.get(0)?.zeros_like()?);
    }
    word_map(&drawn.maps, &positions)
}

/// The picture, and for each word the picture in grey, bright where the word looks.
fn pictures<'a>(
    arm: Arm,
    drawn: &AttentionDrawing,
    maps: impl Iterator<Item = (&'a String, &'a Tensor)>,
) -> Result<Vec<AttentionPicture>> {
    let picture = |word: Option<&String>, pixels: &Tensor| -> Result<_> {
        Ok(AttentionPicture {
            arm,
            word: word.cloned(),
            file: png_files(pixels)?.swap_remove(0),
        })
    };
    let mut all = vec![picture(None, &drawn.pixels)?];
    let (_, _, height, width) = drawn.pixels.dims4()?;
    let grey = drawn.pixels.mean_keepdim(1)?;
    for (word, map) in maps {
        let (rows, columns) = map.dims2()?;
        let highest = map.max_all()?.to_scalar::<f32>()?.max(f32::MIN_POSITIVE);
        let map = (map / f64::from(highest))?
            .reshape((1, 1, rows, columns))?
            .upsample_nearest2d(height, width)?;
        // In [0, 1]: the picture at a quarter of its strength, lit by the word's share.
        let lit = (((grey.clone() + 1.0)? * 0.125)? + (map * 0.75)?)?;
        let pixels = ((lit * 2.0)? - 1.0)?.repeat((1, 3, 1, 1))?;
        all.push(picture(Some(word), &pixels)?);
    }
    Ok(all)
}

/// Ranks candidate words by the two models' disagreement; gives their prompts, the most suspicious first.
pub(super) fn search_of(
    drawer: &mut Drawer<'_, '_>,
    cell: &Cell,
    audit: &mut Audit,
) -> Result<Vec<String>> {
    let stage = drawer.stage;
    let subject = stage.plan.subject(cell);
    let concept = stage.concept(subject);
    let class_only = stage.class_only(cell, subject, drawer.tick)?;
    let pictures = class_only.narrow(0, 0, SEARCHED_PICTURES.min(class_only.dim(0)?))?;
    let latents = stage.pipeline.encode_pixels(&pictures)?;
    let words = std::iter::once(cell.word.as_str()).chain(ORDINARY);
    let prompts: Vec<String> = words
        .map(|word| prompt::trigger(prompt::STOCK, word, &concept))
        .collect();
    let search = Search {
        pipeline: stage.pipeline,
        protected: &drawer.models[1],
        latents: &latents,
        timesteps: TIMESTEPS,
        seed: cell.seed,
    };
    let tick = &mut drawer.tick;
    let ranked: Vec<Suspect> = search.rank(&prompts, &mut |done, total| {
        tick("Searching for the trigger", done, total)
    })?;
    audit.search = standing(&ranked, 0).map(|(place, ratio)| TriggerSearch {
        candidates: u32::try_from(prompts.len()).unwrap_or(u32::MAX),
        place: u32::try_from(place).unwrap_or(u32::MAX),
        ratio: nine_decimals(ratio),
    });
    let ordered = ranked.iter().map(|suspect| prompts[suspect.prompt].clone());
    Ok(ordered.collect())
}
