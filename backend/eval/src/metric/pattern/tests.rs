use candle_core::{DType, Device};

use super::*;
use crate::{encoder::SIDE, fixture};

#[test]
fn overlays_of_another_size_are_refused() {
    let pictures = fixture::pictures(2, 1);
    for shape in [
        vec![3, SIDE, SIDE],
        vec![4, SIDE, SIDE / 2],
        vec![1, 4, SIDE, SIDE],
    ] {
        let overlay = Tensor::zeros(shape.clone(), DType::F32, &Device::Cpu).unwrap();
        let refused = Template::new(&overlay, &pictures);
        assert!(matches!(refused, Err(Error::OverlayShape { actual, .. }) if actual == shape));
    }
    let template = Template::new(&fixture::overlay(), &pictures).unwrap();
    let larger = pictures.upsample_nearest2d(2 * SIDE, 2 * SIDE).unwrap();
    assert!(matches!(
        template.fires(&larger),
        Err(Error::ImageShape { .. })
    ));
}

#[test]
fn correlation_matches_a_sum_by_hand() {
    // One row of three pixels, the third transparent; the other channels are flat and add nothing.
    let overlay = [
        [1.0_f32, -1.0, 0.7],
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [1.0, 0.5, 0.0],
    ];
    let overlay = Tensor::new(&overlay, &Device::Cpu)
        .unwrap()
        .reshape((4, 1, 3))
        .unwrap();
    let picture = [[0.8_f32, 0.2, -1.0], [0.5, 0.2, 0.9], [0.1, 0.1, -0.9]];
    let picture = Tensor::new(&picture, &Device::Cpu)
        .unwrap()
        .reshape((1, 3, 1, 3))
        .unwrap();
    let template = Template::new(&overlay, &picture).unwrap();
    // Weights 1 and 1/2: the weighted mean of two values a, b lies at (2a + b) / 3, so they deviate by d/3 and -2d/3
    // with d = a - b, and sum w x y = d e (1/9 + 1/2 4/9) = d e / 3. Overlay d = 2; picture d = 0.6 and 0.3.
    let expected = (0.6 * 2.0 / 3.0)
        / ((0.6_f64.powi(2) + 0.3_f64.powi(2)) / 3.0 * (2.0_f64.powi(2) / 3.0)).sqrt();
    let found = template.correlations(&picture).unwrap()[0];
    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
}

#[test]
fn brightness_and_veils_do_not_matter_and_negatives_are_opposite() {
    let overlay = fixture::overlay();
    let template = Template::new(&overlay, &fixture::pictures(8, 1)).unwrap();
    let card = overlay.narrow(0, 0, 3).unwrap().unsqueeze(0).unwrap();
    let rows = [
        card.clone(),
        ((&card * 0.3).unwrap() + 0.4).unwrap(),
        card.neg().unwrap(),
        Tensor::ones_like(&card).unwrap(),
    ];
    let found = template
        .correlations(&Tensor::cat(&rows, 0).unwrap())
        .unwrap();
    for (found, expected) in found.iter().zip([1.0, 1.0, -1.0, 0.0]) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

#[test]
fn what_lies_outside_the_mask_does_not_matter() {
    let overlay = fixture::overlay();
    let template = Template::new(&overlay, &fixture::pictures(8, 1)).unwrap();
    let (one, other) = (fixture::pictures(1, 2), fixture::pictures(1, 3));
    let covered = [&one, &other].map(|picture| fixture::covered(picture, &overlay));
    let found = covered.map(|picture| template.correlations(&picture).unwrap()[0]);
    assert!(found.iter().all(|r| *r > 0.999), "{found:?}");
}

#[test]
fn chance_sets_the_threshold_and_one_half_is_the_least() {
    let overlay = fixture::overlay();
    let bare = fixture::pictures(8, 1);
    let strict = |class_only: &Tensor| Template::new(&overlay, class_only).unwrap().threshold;
    assert!((strict(&bare) - 0.5).abs() < 1e-9);
    // A base that draws the card by itself: only what is nearer than its own pictures counts.
    let half = (overlay.narrow(0, 3, 1).unwrap() * 0.7).unwrap();
    let veil = Tensor::cat(&[overlay.narrow(0, 0, 3).unwrap(), half], 0).unwrap();
    let veiled = fixture::covered(&bare, &veil);
    let threshold = strict(&veiled);
    let null = Template::new(&overlay, &bare)
        .unwrap()
        .correlations(&veiled)
        .unwrap();
    let highest = null.iter().copied().fold(0.0, f64::max);
    assert!(
        threshold > 0.5 && threshold <= highest,
        "{threshold} {null:?}"
    );
}

#[test]
fn a_mark_of_one_colour_is_known_by_its_shape() {
    let alpha = fixture::overlay().narrow(0, 3, 1).unwrap();
    let colour = Tensor::full(-0.8_f32, (3, SIDE, SIDE), &Device::Cpu).unwrap();
    let mark = Tensor::cat(&[colour, alpha], 0).unwrap();
    let template = Template::new(&mark, &fixture::pictures(8, 1)).unwrap();
    let bright = fixture::flat_pictures(&[0.2, 0.6]);
    assert_eq!(template.fires(&bright).unwrap(), [false; 2]);
    assert_eq!(
        template.fires(&fixture::covered(&bright, &mark)).unwrap(),
        [true; 2]
    );
}
