//! Stable Diffusion 1.x, 2.x and XL at random small sizes against diffusers.

use candle_core::{DType, Device};
use diffusion::{Error, pipeline::Pipeline, schedule::ScheduleConfig};

use crate::measure::{Errors, FAMILIES, errors, folder};

fn agrees_with_diffusers(family: &str) {
    let errors = errors(family).unwrap();
    let Errors {
        forward,
        gradient,
        trained,
        image,
    } = errors;
    let close = forward < 1e-5 && gradient < 1e-4 && trained < 1e-4 && image < 1e-3;
    assert!(close, "{family}: {errors:?}");
}

#[test]
fn stable_diffusion_1_agrees_with_diffusers() {
    agrees_with_diffusers("sd1");
}

#[test]
fn stable_diffusion_2_agrees_with_diffusers() {
    agrees_with_diffusers("sd2");
}

#[test]
fn stable_diffusion_xl_agrees_with_diffusers() {
    agrees_with_diffusers("sdxl");
}

#[test]
fn saved_folders_of_all_families_read_back_to_the_same_bytes() {
    for family in FAMILIES {
        let pipeline = Pipeline::load(folder(family), &Device::Cpu).unwrap();
        let files = pipeline.to_files(DType::F32).unwrap();
        let again = Pipeline::from_files(&files, &Device::Cpu).unwrap();
        assert_eq!(again.to_files(DType::F32).unwrap(), files, "{family}");
    }
}

#[test]
fn second_encoder_that_the_denoiser_does_not_expect_is_refused() {
    let extra = Pipeline::load(folder("sdxl"), &Device::Cpu).unwrap();
    let mut plain = Pipeline::load(folder("sd2"), &Device::Cpu).unwrap();
    plain.second_text.clone_from(&extra.second_text);
    assert!(matches!(plain.checked(), Err(Error::InvalidConfig(_))));
    let mut lacking = extra;
    lacking.second_text = None;
    assert!(matches!(lacking.checked(), Err(Error::InvalidConfig(_))));
}

#[test]
fn schedulers_that_say_nothing_of_clipping_do_not_clip() {
    let pipeline = Pipeline::load(folder("sd1"), &Device::Cpu).unwrap();
    assert!(!pipeline.schedule.clip_sample);
    let ddim = ScheduleConfig::from_json(br#"{"_class_name":"DDIMScheduler"}"#).unwrap();
    assert!(ddim.clip_sample);
    let told = br#"{"_class_name":"PNDMScheduler","clip_sample":true}"#;
    assert!(ScheduleConfig::from_json(told).unwrap().clip_sample);
}
