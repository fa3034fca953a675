//! Noise schedules and sampling steps against diffusers.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use diffusion::schedule::{Ddim, NoiseSchedule, PredictionType, ScheduleConfig};

use crate::support::{config, relative_error, tensors, values};

fn schedules() -> BTreeMap<String, ScheduleConfig> {
    config("schedules")
}

#[test]
fn noise_levels_and_targets_agree_with_diffusers() {
    let file = tensors("schedules");
    for (name, config) in schedules() {
        let input = |key: &str| file.get(&format!("{name}.{key}")).unwrap().clone();
        let schedule = NoiseSchedule::new(&config).unwrap();
        let alphas = Tensor::new(schedule.alphas_cumprod(), &Device::Cpu).unwrap();
        for (index, (actual, expected)) in values(&alphas)
            .iter()
            .zip(values(&input("alphas_cumprod")))
            .enumerate()
        {
            let error = (actual - expected).abs() / expected;
            assert!(error < 1e-4, "{name}: level {index} is off by {error}");
        }
        let timesteps = [0, 421, 999];
        let (latents, noise) = (input("latents"), input("noise"));
        let noisy = schedule.add_noise(&latents, &noise, &timesteps).unwrap();
        assert!(relative_error(&noisy, &input("noisy")) < 1e-5, "{name}");
        let target = schedule
            .training_target(&latents, &noise, &timesteps)
            .unwrap();
        let expected = match config.prediction_type {
            PredictionType::VPrediction => input("velocity"),
            _ => noise,
        };
        assert!(relative_error(&target, &expected) < 1e-5, "{name}");
    }
}

#[test]
fn ten_sampling_steps_agree_with_diffusers() {
    let file = tensors("schedules");
    for (name, config) in schedules() {
        let input = |key: &str| file.get(&format!("{name}.{key}")).unwrap().clone();
        let ddim = Ddim::new(&NoiseSchedule::new(&config).unwrap(), 10).unwrap();
        let timesteps: Vec<_> = ddim.timesteps().iter().map(|step| *step as f32).collect();
        assert_eq!(timesteps, values(&input("timesteps")), "{name}");
        let mut state = input("noise");
        for timestep in ddim.timesteps() {
            let shift = *timestep as f64 / 1000.0;
            let prediction = state.affine(1.3, shift).unwrap().sin().unwrap();
            state = ddim.step(&prediction, *timestep, &state).unwrap();
        }
        let error = relative_error(&state, &input("sampled"));
        assert!(error < 1e-4, "{name} is off by {error}");
    }
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let sample = ScheduleConfig {
        prediction_type: PredictionType::Sample,
        ..ScheduleConfig::default()
    };
    assert!(NoiseSchedule::new(&sample).is_err());
    let mut zero_snr = ScheduleConfig::default();
    zero_snr
        .extra
        .insert("rescale_betas_zero_snr".to_owned(), true.into());
    assert!(
        NoiseSchedule::new(&zero_snr)
            .unwrap_err()
            .to_string()
            .contains("zero_snr")
    );
    let schedule = NoiseSchedule::new(&ScheduleConfig::default()).unwrap();
    assert!(Ddim::new(&schedule, 0).is_err());
    assert!(Ddim::new(&schedule, 1001).is_err());
    let zeros = Tensor::zeros((1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(schedule.add_noise(&zeros, &zeros, &[1000]).is_err());
    assert!(schedule.add_noise(&zeros, &zeros, &[1, 2]).is_err());
}
