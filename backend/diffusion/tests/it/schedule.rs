//! Noise schedules and sampling steps against diffusers.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use diffusion::schedule::{
    BetaSchedule, Ddim, NoiseSchedule, PredictionType, Sampler, SamplerKind, ScheduleConfig,
    Spacing,
};

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

const SAMPLERS: [(&str, SamplerKind); 5] = [
    ("ddim", SamplerKind::Ddim),
    ("euler", SamplerKind::Euler),
    ("dpm_solver", SamplerKind::DpmSolver),
    ("dpm_solver_karras", SamplerKind::DpmSolverKarras),
    ("pndm", SamplerKind::Pndm),
];

fn sampled(name: &str, spacing: Spacing) -> ScheduleConfig {
    ScheduleConfig {
        beta_start: 0.00085,
        beta_end: 0.012,
        beta_schedule: BetaSchedule::ScaledLinear,
        clip_sample: false,
        set_alpha_to_one: false,
        steps_offset: usize::from(name == "epsilon"),
        prediction_type: match name {
            "epsilon" => PredictionType::Epsilon,
            _ => PredictionType::VPrediction,
        },
        timestep_spacing: Some(spacing),
        rescale_betas_zero_snr: name == "zero_snr",
        ..ScheduleConfig::default()
    }
}

#[test]
fn whole_runs_of_every_sampler_agree_with_diffusers() {
    let file = tensors("samplers");
    let spacings = [
        ("leading", Spacing::Leading),
        ("trailing", Spacing::Trailing),
        ("linspace", Spacing::Linspace),
    ];
    let mut compared = 0;
    for name in ["epsilon", "velocity", "zero_snr"] {
        for (sampler, kind) in SAMPLERS {
            for (spacing_name, spacing) in spacings {
                for steps in [7, 20] {
                    let key = format!("{name}.{sampler}.{spacing_name}.{steps}");
                    let Some(expected) = file.get(&format!("{key}.sampled")) else {
                        continue;
                    };
                    let schedule = NoiseSchedule::new(&sampled(name, spacing)).unwrap();
                    let mut run = Sampler::new(kind, &schedule, steps).unwrap();
                    let timesteps = run.timesteps().to_vec();
                    let wanted = values(file.get(&format!("{key}.timesteps")).unwrap());
                    assert_eq!(timesteps.len(), wanted.len(), "{key}");
                    for (actual, wanted) in timesteps.iter().zip(wanted) {
                        let distance = (actual - f64::from(wanted)).abs();
                        assert!(distance < 1e-3, "{key}: {actual} is not {wanted}");
                    }
                    let noise = file.get("noise").unwrap();
                    let mut state = (noise * run.initial_scale()).unwrap();
                    for (index, timestep) in timesteps.iter().enumerate() {
                        let input = run.scale_input(&state, index).unwrap();
                        let prediction =
                            input.affine(1.3, timestep / 1000.0).unwrap().sin().unwrap();
                        state = run.step(&prediction, index, &state).unwrap();
                    }
                    let error = relative_error(&state, expected);
                    assert!(error < 1e-4, "{key} is off by {error}");
                    compared += 1;
                }
            }
        }
    }
    // Five samplers, three spacings, two lengths, two predictions; four samplers without signal at the end.
    assert_eq!(compared, 5 * 3 * 2 * 2 + 4 * 2);
}

/// A configuration that names a class and, as diffusers' own files do, much that is not of betas.
fn of_class(class: &str) -> ScheduleConfig {
    let json =
        serde_json::json!({ "_class_name": class, "_diffusers_version": "0.35.1", "shift": 3.0 });
    ScheduleConfig::from_json(json.to_string().as_bytes()).unwrap()
}

#[test]
fn schedulers_without_betas_are_refused_by_name() {
    for class in [
        "EDMEulerScheduler",
        "EDMDPMSolverMultistepScheduler",
        "FlowMatchEulerDiscreteScheduler",
        "ScoreSdeVeScheduler",
        "SomethingNewScheduler",
        "",
    ] {
        let error = NoiseSchedule::new(&of_class(class))
            .unwrap_err()
            .to_string();
        let said = error.contains(class) && error.contains("saved again with DDIMScheduler");
        assert!(said, "{error}");
    }
    let odd = ScheduleConfig::from_json(br#"{"_class_name":["DDIMScheduler"]}"#).unwrap();
    assert!(NoiseSchedule::new(&odd).is_err());
    let flow = br#"{"_class_name":"UniPCMultistepScheduler","use_flow_sigmas":true}"#;
    let flow = ScheduleConfig::from_json(flow).unwrap();
    let error = NoiseSchedule::new(&flow).unwrap_err().to_string();
    assert!(error.contains("use_flow_sigmas"), "{error}");
}

#[test]
fn schedulers_with_betas_are_taken_whatever_they_draw_with() {
    for class in [
        "DDPMScheduler",
        "DDIMScheduler",
        "PNDMScheduler",
        "LMSDiscreteScheduler",
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "HeunDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "UniPCMultistepScheduler",
        "DEISMultistepScheduler",
        "LCMScheduler",
        "TCDScheduler",
    ] {
        assert!(NoiseSchedule::new(&of_class(class)).is_ok(), "{class}");
    }
    for nobody in [&b"{}"[..], br#"{"_class_name":null}"#] {
        let config = ScheduleConfig::from_json(nobody).unwrap();
        assert!(NoiseSchedule::new(&config).is_ok());
    }
}

#[test]
fn betas_that_a_file_leaves_out_are_those_of_its_class() {
    let betas = |config: ScheduleConfig| {
        let ScheduleConfig {
            beta_start,
            beta_end,
            beta_schedule,
            ..
        } = config;
        (beta_start, beta_end, beta_schedule)
    };
    let ddim = (1e-4, 0.02, BetaSchedule::Linear);
    assert_eq!(betas(of_class("DDIMScheduler")), ddim);
    assert_eq!(betas(of_class("EulerDiscreteScheduler")), ddim);
    let latent = |schedule| (0.000_85, 0.012, schedule);
    let heun = betas(of_class("HeunDiscreteScheduler"));
    assert_eq!(heun, latent(BetaSchedule::Linear));
    let lcm = betas(of_class("LCMScheduler"));
    assert_eq!(lcm, latent(BetaSchedule::ScaledLinear));
    let told = br#"{"_class_name":"LCMScheduler","beta_end":0.02}"#;
    let told = ScheduleConfig::from_json(told).unwrap();
    assert_eq!(betas(told), (0.000_85, 0.02, BetaSchedule::ScaledLinear));
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let sample = ScheduleConfig {
        prediction_type: PredictionType::Sample,
        ..ScheduleConfig::default()
    };
    assert!(NoiseSchedule::new(&sample).is_err());
    let plain = ScheduleConfig::default();
    let endless = ScheduleConfig {
        num_train_timesteps: usize::MAX,
        ..plain.clone()
    };
    let (beta_start, beta_end) = (5.0, -5.0);
    let rising = ScheduleConfig {
        beta_start,
        ..plain.clone()
    };
    let negative = ScheduleConfig { beta_end, ..plain };
    for absurd in [endless, rising, negative] {
        assert!(NoiseSchedule::new(&absurd).is_err(), "{absurd:?}");
    }
    let zero_snr = ScheduleConfig {
        rescale_betas_zero_snr: true,
        ..ScheduleConfig::default()
    };
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
