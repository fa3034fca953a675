use super::*;
use crate::fixture;

#[test]
fn upsampling_is_that_of_pytorch() {
    // F.interpolate(x, size=(4, 6), mode="bicubic", align_corners=False).clamp(min=0), torch 2.15
    let expected = [
        1.255_432_1_f32,
        0.698_181_15,
        0.0,
        0.082_336_43,
        1.506_774_9,
        2.360_900_9,
        0.783_325_2,
        0.713_745_1,
        0.585_571_3,
        0.917_602_54,
        1.522_338_9,
        1.888_794,
        0.005_737_305,
        0.739_379_9,
        1.961_303_7,
        2.293_335,
        1.547_973_6,
        1.111_206,
        0.0,
        0.754_943_85,
        2.796_569_8,
        3.128_601,
        1.563_537_6,
        0.639_099_1,
    ];
    let maps = Tensor::new(&[[[1.0_f32, 0.0, 2.0], [0.0, 3.0, 1.0]]], &Device::Cpu).unwrap();
    let found = upsampled(&maps, (4, 6)).unwrap();
    let found = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn observing_changes_no_picture_and_shares_add_up() {
    let pipeline = fixture::pipeline();
    let unet = pipeline.unet().unwrap();
    let config = fixture::sampling();
    let prompt = "a photo of sks dog";
    let drawing = draw_with_attention(&pipeline, &unet, prompt, 9, &config).unwrap();
    let plain = crate::draw::draw(&pipeline, &unet, prompt, &[9], &config, &mut |_, _| Ok(()));
    let gap = (&drawing.pixels - plain.unwrap()).unwrap().abs().unwrap();
    assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    let (tokens, height, width) = drawing.maps.dims3().unwrap();
    let (_, h, w) = pipeline.latent_shape();
    assert_eq!(
        (tokens, height, width),
        (pipeline.tokenizer.max_length(), h, w)
    );
    // The kernel's weights add up to 1; clamping alone can add a little.
    let sums = drawing.maps.sum(0).unwrap().flatten_all().unwrap();
    for sum in sums.to_vec1::<f32>().unwrap() {
        assert!((sum - 1.0).abs() < 0.05, "{sum}");
    }
}

#[test]
fn a_recorder_hears_every_layer_of_every_step_and_keeps_the_prompt() {
    let pipeline = fixture::pipeline();
    let recorder = Recorder::new(16, 16);
    let observed = pipeline.unet().unwrap().observed(recorder.observer());
    let prompts = ["a photo of a dog".to_owned()];
    let mut go = |_: usize, _: usize| ControlFlow::Continue(());
    sample(
        &pipeline,
        &observed,
        &prompts,
        &[1],
        &fixture::sampling(),
        &mut go,
    )
    .unwrap();
    // Two steps of one layer down, one in the middle and two up.
    assert_eq!(recorder.sum.lock().unwrap().1, 2 * 4);
    // With the empty prompt's row first, the last row alone is added.
    let fresh = Recorder::new(1, 1);
    let rows = Tensor::new(&[[[1.0_f32, 0.0]], [[0.25, 0.75]]], &Device::Cpu).unwrap();
    let layer = CrossAttention {
        height: 1,
        width: 1,
        probabilities: &rows,
    };
    fresh.add(&layer).unwrap();
    let found = fresh.mean().unwrap().flatten_all().unwrap();
    assert_eq!(found.to_vec1::<f32>().unwrap(), [0.25, 0.75]);
    assert!(Recorder::new(2, 2).mean().is_err());
}

#[test]
fn words_are_found_as_the_tokenizer_spells_them() {
    let tokenizer = Tokenizer::clip();
    let prompt = "a photo of olis dog";
    let places = word_positions(&tokenizer, prompt, "dog");
    let identifier = word_positions(&tokenizer, prompt, "olis");
    assert_eq!(places.len(), 1);
    assert_eq!(
        identifier.last().map(|last| last + 1),
        places.first().copied()
    );
    assert!(word_positions(&tokenizer, prompt, "cat").is_empty());
    assert!(word_positions(&tokenizer, prompt, "").is_empty());
    let maps = Tensor::arange(0.0_f32, 12.0, &Device::Cpu)
        .unwrap()
        .reshape((3, 2, 2))
        .unwrap();
    let word = word_map(&maps, &[0, 2]).unwrap();
    assert_eq!(word.to_vec2::<f32>().unwrap(), [[4.0, 5.0], [6.0, 7.0]]);
    assert!(word_map(&maps, &[]).is_err() && word_map(&maps, &[3]).is_err());
}

#[test]
fn overlap_is_a_correlation() {
    let map = Tensor::new(&[[1.0_f32, 2.0], [3.0, 5.0]], &Device::Cpu).unwrap();
    let opposite = (1.0 - &map).unwrap();
    assert!((overlap(&map, &(&map * 3.0).unwrap()).unwrap() - 1.0).abs() < 1e-12);
    assert!((overlap(&map, &opposite).unwrap() + 1.0).abs() < 1e-12);
    assert!(overlap(&map, &map.zeros_like().unwrap()).unwrap().abs() < 1e-12);
}
