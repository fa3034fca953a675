//! The U-Net against diffusers: prediction, every gradient, and what it refuses.

use candle_core::Device;
use diffusion::{
    Error, noise,
    unet::{UNet, UNetConfig},
    weights::Parameters,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{config, relative_error, tensors, values};

fn agrees_with_diffusers(fixture: &str) {
    let file = tensors(fixture);
    let weights = file.with_prefix("weight.");
    let expected = file.with_prefix("gradient.");
    let parameters = Parameters::from_weights(&weights).unwrap();
    let unet = UNet::new(config(fixture), &parameters.weights()).unwrap();
    let input = |name: &str| file.get(name).unwrap().clone();
    let prediction = unet
        .forward(
            &input("latents"),
            &input("timesteps"),
            &input("context").into(),
        )
        .unwrap();
    let error = relative_error(&prediction, &input("prediction"));
    assert!(error < 1e-5, "prediction is off by {error}");
    let loss = (prediction - input("target"))
        .unwrap()
        .sqr()
        .unwrap()
        .mean_all()
        .unwrap();
    let gradients = loss.backward().unwrap();
    assert_eq!(expected.len(), parameters.len());
    for (name, variable) in parameters.iter() {
        let gradient = gradients
            .get(variable)
            .unwrap_or_else(|| panic!("{name} has a gradient"));
        assert!(
            values(gradient).iter().any(|value| *value != 0.0),
            "{name} has a zero gradient"
        );
        let error = relative_error(gradient, expected.get(name).unwrap());
        assert!(error < 1e-4, "gradient of {name} is off by {error}");
    }
}

#[test]
fn all_block_types_agree_with_diffusers() {
    agrees_with_diffusers("unet");
}

#[test]
fn linear_projection_and_heads_per_level_agree_with_diffusers() {
    agrees_with_diffusers("unet_linear");
}

#[test]
fn fresh_weights_have_the_names_and_shapes_of_diffusers() {
    let file = tensors("unet").with_prefix("weight.");
    let config: UNetConfig = config("unet");
    let fresh = config
        .initialize(&mut ChaCha8Rng::seed_from_u64(0))
        .unwrap();
    let shapes = |weights: &diffusion::weights::Weights| -> Vec<_> {
        weights
            .iter()
            .map(|(name, tensor)| (name.to_owned(), tensor.dims().to_vec()))
            .collect()
    };
    assert_eq!(shapes(&fresh), shapes(&file));
    let again = config
        .initialize(&mut ChaCha8Rng::seed_from_u64(0))
        .unwrap();
    for (name, tensor) in fresh.iter() {
        assert_eq!(
            values(tensor),
            values(again.get(name).unwrap()),
            "{name} depends on the seed"
        );
    }
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let file = tensors("unet").with_prefix("weight.");
    let name = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight";
    let without = file.iter().filter(|(other, _)| *other != name);
    let without = without
        .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
        .collect();
    let error = UNet::new(config("unet"), &without).expect_err("a tensor is missing");
    assert!(matches!(error, Error::MissingTensor { name: found, .. } if found == name));
    let mut misshapen = file.clone();
    misshapen.insert(name, file.get("conv_in.bias").unwrap().clone());
    let error = UNet::new(config("unet"), &misshapen).expect_err("a shape is wrong");
    assert!(matches!(error, Error::ShapeMismatch { name: found, .. } if found == name));
}

#[test]
fn unknown_blocks_and_options_are_refused_by_name() {
    let mut unknown: UNetConfig = config("unet");
    unknown.down_block_types[0] = "AttnSkipDownBlock2D".to_owned();
    let error = unknown
        .initialize(&mut ChaCha8Rng::seed_from_u64(0))
        .unwrap_err()
        .to_string();
    assert!(error.contains("AttnSkipDownBlock2D"), "{error}");
    let mut option: UNetConfig = config("unet");
    option
        .extra
        .insert("class_embed_type".to_owned(), "projection".into());
    let error = option
        .initialize(&mut ChaCha8Rng::seed_from_u64(0))
        .unwrap_err()
        .to_string();
    assert!(error.contains("class_embed_type"), "{error}");
    let mut added: UNetConfig = config("unet");
    added.addition_embed_type = Some("image".to_owned());
    let error = added
        .initialize(&mut ChaCha8Rng::seed_from_u64(0))
        .unwrap_err()
        .to_string();
    assert!(error.contains("image"), "{error}");
}

#[test]
fn gradients_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let config: UNetConfig = config("unet");
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let parameters =
                Parameters::from_weights(&config.initialize(&mut rng).unwrap()).unwrap();
            let unet = UNet::new(config, &parameters.weights()).unwrap();
            let mut normal = |shape: &[usize]| noise::gaussian(&mut rng, shape, &Device::Cpu);
            let (latents, context) = (normal(&[9, 4, 8, 8]).unwrap(), normal(&[9, 5, 12]).unwrap());
            let timesteps = (normal(&[9]).unwrap() * 100.0).unwrap();
            let loss = unet.forward(&latents, &timesteps, &context.into()).unwrap();
            let gradients = loss.sqr().unwrap().mean_all().unwrap().backward().unwrap();
            parameters
                .iter()
                .map(|(_, v)| values(gradients.get(v).unwrap()))
                .collect::<Vec<_>>()
        })
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert!(one == run(threads), "{threads} threads give other bits");
    }
}
