use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use diffusion::{pipeline::Pipeline, weights::Weights};
use shared::attack::{AttackRecipe, Family};

use super::{prompt::Pools, *};
use crate::{Error, Result, fixture};

mod adaptive;
mod diffusers;
mod families;
mod inputs;
mod stock;

const FAMILIES: [Family; 5] = [
    Family::DreamboothUnet,
    Family::DreamboothTextEncoder,
    Family::Lora { rank: 2 },
    Family::TextualInversion,
    Family::CustomDiffusion,
];

/// Three class images, three attacker's images.
const IMAGES: usize = 3;

fn recipe(family: Family) -> AttackRecipe {
    AttackRecipe {
        family,
        batch_size: 2,
        prior_preservation: family != Family::TextualInversion,
        ..recipe::dreambooth_stock(2e-3, vec![6])
    }
}

/// Everything that an attack on the fixture borrows.
struct Case {
    pipeline: Pipeline,
    instance: Tensor,
    recipe: AttackRecipe,
    words: Words,
}

impl Case {
    fn new(recipe: AttackRecipe) -> Self {
        let pipeline = fixture::pipeline();
        let concept = fixture::spec().concepts.remove(0);
        let words = prompt::words(&recipe, &concept, "olis", &Pools::default(), IMAGES).unwrap();
        Self {
            instance: pipeline
                .autoencoder
                .encode(&fixture::pictures(IMAGES, 8))
                .unwrap(),
            pipeline,
            recipe,
            words,
        }
    }

    fn setup(&self) -> Setup<'_> {
        Setup {
            pipeline: &self.pipeline,
            start: &self.pipeline.unet_weights,
            instance: &self.instance,
            words: &self.words,
            class_latents: None,
            class_images: 3,
            captioned: None,
            recipe: &self.recipe,
            learning_rate: self.recipe.stock_learning_rate,
            seed: 4,
            sampling: fixture::sampling(),
        }
    }

    fn attack(&self) -> Attack {
        start(self.setup()).unwrap()
    }
}

fn start(setup: Setup<'_>) -> Result<Attack> {
    Attack::new(setup, &mut |_, _, _| Ok(()))
}

fn train(attack: &mut Attack, step: u32) {
    attack.advance_to(step, &mut |_| Ok(())).unwrap();
}

fn draw(attack: &Attack) -> Vec<f32> {
    let prompts = vec![attack.words().drawing.clone(); 2];
    let pixels = attack.draw(&prompts, &[1, 2], &fixture::sampling(), &mut |_, _| Ok(()));
    pixels.unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn bytes(weights: &Weights) -> Vec<u8> {
    weights.to_bytes(DType::F32, &BTreeMap::new()).unwrap()
}

/// Names of tensors in which two sets of weights differ.
fn changed(before: &Weights, after: &Weights) -> Vec<String> {
    assert_eq!(before.len(), after.len());
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let differs =
        |(name, tensor): &(&str, &Tensor)| values(tensor) != values(after.get(name).unwrap());
    before
        .iter()
        .filter(differs)
        .map(|(name, _)| name.to_owned())
        .collect()
}
