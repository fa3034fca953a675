//! Checkpointed passes against plain ones: same gradients, less memory.

use candle_core::{DType, Device, Tensor, Var, backprop::GradStore};
use diffusion::{
    checkpoint::Checkpoints,
    noise, ops,
    text::TextEncoder,
    unet::{Conditions, UNet},
    weights::{Parameters, Weights},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{config, relative_error, tensors};

/// A U-Net whose context comes from a text encoder, with variable latents.
struct Model {
    unet: UNet,
    encoder: TextEncoder,
    latents: Var,
    parameters: Vec<Parameters>,
    file: Weights,
    ids: Tensor,
}

impl Model {
    fn new(fixture: &str, patterns: &[&str]) -> Self {
        let file = tensors(fixture);
        let weights = file.with_prefix("weight.");
        let parameters = Parameters::matching(&weights, patterns).unwrap();
        let text = tensors("text");
        let text_parameters = Parameters::from_weights(&text.with_prefix("weight.")).unwrap();
        let ids = text.get("ids").unwrap().to_dtype(DType::U32).unwrap();
        Self {
            unet: UNet::new(config(fixture), &parameters.over(&weights)).unwrap(),
            encoder: TextEncoder::new(config("text"), &text_parameters.weights()).unwrap(),
            latents: Var::from_tensor(file.get("latents").unwrap()).unwrap(),
            parameters: vec![parameters, text_parameters],
            ids: ids.narrow(0, 0, 2).unwrap(),
            file,
        }
    }

    /// Two predictions in one loss, as objectives with several terms have.
    fn loss(&self, dtype: DType, checkpoints: Option<&Checkpoints>) -> Tensor {
        let states = match checkpoints {
            None => self.encoder.states(&self.ids),
            Some(checkpoints) => self.encoder.states_checkpointed(&self.ids, checkpoints),
        };
        let mask = Tensor::new(
            &[[1.0f32; 9], [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]],
            &Device::Cpu,
        );
        let conditions = Conditions {
            mask: Some(mask.unwrap()),
            ..Conditions::from(states.unwrap().last)
        };
        let timesteps = self.file.get("timesteps").unwrap();
        let latents = ops::cast(&self.latents, dtype).unwrap();
        let term = |latents: &Tensor| {
            let ys = match checkpoints {
                None => self.unet.forward(latents, timesteps, &conditions),
                Some(checkpoints) => {
                    self.unet
                        .forward_checkpointed(latents, timesteps, &conditions, checkpoints)
                }
            };
            let ys = ops::cast(&ys.unwrap(), DType::F32).unwrap();
            let error = (ys - self.file.get("target").unwrap()).unwrap();
            error.sqr().unwrap().mean_all().unwrap()
        };
        (term(&latents) + term(&(&latents * 0.5).unwrap())).unwrap()
    }

    fn compare(&self, plain: &GradStore, checkpointed: &GradStore, tolerance: f32) {
        let variables = self.parameters.iter().flat_map(Parameters::iter);
        for (name, variable) in variables.chain([("latents", &self.latents)]) {
            let expected = plain.get(variable).expect("plain gradient");
            let actual = checkpointed.get(variable).expect("checkpointed gradient");
            if !name.ends_with("k_proj.bias") {
                let error = relative_error(actual, expected);
                assert!(error <= tolerance, "gradient of {name} is off by {error}");
            }
        }
        assert_eq!(plain.get_ids().count(), checkpointed.get_ids().count());
    }
}

fn agrees(fixture: &str, patterns: &[&str], dtype: DType, tolerance: f32) {
    let model = Model::new(fixture, patterns);
    let plain = model.loss(dtype, None);
    let checkpoints = Checkpoints::new(&Device::Cpu).unwrap();
    let checkpointed = model.loss(dtype, Some(&checkpoints));
    let value = |loss: &Tensor| loss.to_scalar::<f32>().unwrap();
    assert!((value(&plain) - value(&checkpointed)).abs() <= f32::EPSILON);
    let plain = plain.backward().unwrap();
    let checkpointed = checkpoints.backward(&checkpointed).unwrap();
    model.compare(&plain, &checkpointed, tolerance);
}

#[test]
fn gradients_are_those_of_a_plain_pass() {
    agrees("unet", &["*"], DType::F32, 1e-6);
    agrees("unet_linear", &["*"], DType::F32, 1e-6);
}

#[test]
fn gradients_in_half_precision_are_those_of_a_plain_pass() {
    // Sums of bf16 gradients of the time embedding and the context round in another order.
    agrees("unet", &["*"], DType::BF16, 0.02);
}

#[test]
fn frozen_weights_stay_without_gradients() {
    agrees("unet", &["up_blocks.*.attentions.*"], DType::F32, 1e-6);
    agrees("unet", &["conv_out.*"], DType::F32, 1e-6);
}

#[test]
fn graph_remembers_what_passes_between_segments() {
    let model = Model::new("unet", &["*"]);
    let bytes = |loss: &Tensor| {
        let nodes = loss.sorted_nodes();
        let activations = nodes.iter().filter(|node| !node.is_variable());
        activations.map(|node| 4 * node.elem_count()).sum::<usize>()
    };
    let checkpoints = Checkpoints::new(&Device::Cpu).unwrap();
    let plain = bytes(&model.loss(DType::F32, None));
    let checkpointed = bytes(&model.loss(DType::F32, Some(&checkpoints)));
    assert!(checkpointed * 4 < plain, "{checkpointed} of {plain} bytes");
}

#[test]
fn nothing_is_recomputed_where_nothing_trains() {
    let file = tensors("unet");
    let unet = UNet::new(config("unet"), &file.with_prefix("weight.")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let context = noise::gaussian(&mut rng, (2, 5, 12), &Device::Cpu).unwrap();
    let checkpoints = Checkpoints::new(&Device::Cpu).unwrap();
    let (latents, timesteps) = (file.get("latents").unwrap(), file.get("timesteps").unwrap());
    let ys = unet
        .forward_checkpointed(latents, timesteps, &context.into(), &checkpoints)
        .unwrap();
    assert!(!ys.track_op());
}
