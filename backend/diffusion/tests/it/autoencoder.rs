//! `AutoencoderKL` against diffusers.

use candle_core::Tensor;
use diffusion::{
    noise,
    vae::{AutoencoderKl, KlConfig},
    weights::Weights,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{config, relative_error, tensors};

fn model(file: &Weights) -> AutoencoderKl {
    AutoencoderKl::new(config("vae"), &file.with_prefix("weight.")).unwrap()
}

#[test]
fn encoding_and_decoding_agree_with_diffusers() {
    let file = tensors("vae");
    let model = model(&file);
    let latents = model.encode(file.get("pixels").unwrap()).unwrap();
    let error = relative_error(&latents, file.get("latents").unwrap());
    assert!(error < 1e-5, "latents are off by {error}");
    let pixels = model.decode(file.get("latents").unwrap()).unwrap();
    let error = relative_error(&pixels, file.get("decoded").unwrap());
    assert!(error < 1e-5, "pixels are off by {error}");
}

#[test]
fn draws_from_the_posterior_follow_the_generator() {
    let file = tensors("vae");
    let model = model(&file);
    let draw = |seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        model
            .encode_sample(file.get("pixels").unwrap(), &mut rng)
            .unwrap()
    };
    assert!(relative_error(&draw(1), &draw(1)) == 0.0);
    assert!(relative_error(&draw(1), &draw(2)) > 1e-3);
}

#[test]
fn old_names_of_the_attention_are_understood() {
    let file = tensors("vae");
    let old: Weights = (file.with_prefix("weight.").iter())
        .map(|(name, tensor)| {
            let name = name
                .replace(".to_q.", ".query.")
                .replace(".to_out.0.", ".proj_attn.");
            (name, tensor.clone())
        })
        .collect();
    let model = AutoencoderKl::new(config("vae"), &old).unwrap();
    let latents = model.encode(file.get("pixels").unwrap()).unwrap();
    assert!(relative_error(&latents, file.get("latents").unwrap()) < 1e-5);
}

#[test]
fn fresh_weights_fit_their_own_configuration() {
    let config: KlConfig = config("vae");
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let fresh = config.initialize(&mut rng).unwrap();
    assert_eq!(fresh.len(), tensors("vae").with_prefix("weight.").len());
    let model = AutoencoderKl::new(config, &fresh).unwrap();
    let latents: Tensor =
        noise::gaussian(&mut rng, (1, 4, 4, 4), &candle_core::Device::Cpu).unwrap();
    assert_eq!(model.decode(&latents).unwrap().dims(), [1, 3, 8, 8]);
}
