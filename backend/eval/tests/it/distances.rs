//! FID and KID against the published formulas with SciPy's matrix square root.

use candle_core::{DType, Device, Tensor};
use eval::{
    Error,
    metric::distance::{KernelConfig, frechet_distance, kernel_distance, polynomial_mmd},
};

use crate::support::{bytes, json};

fn features(count: usize, width: usize, seed: u32) -> Tensor {
    let mut values: Vec<f64> = bytes(count * width, seed)
        .into_iter()
        .map(|byte| f64::from(byte) / 256.0)
        .collect();
    values
        .iter_mut()
        .step_by(width)
        .for_each(|value| *value *= f64::from(seed));
    Tensor::from_vec(values, (count, width), &Device::Cpu).unwrap()
}

#[test]
fn distances_agree_with_scipy() {
    for case in json("distances.json").as_array().unwrap() {
        let size = |name: &str| usize::try_from(case[name].as_u64().unwrap()).unwrap();
        let left = features(size("n"), size("width"), 2);
        let right = features(size("m"), size("width"), 3);
        let near = |found: f64, name: &str| {
            let expected = case[name].as_f64().unwrap();
            // SciPy's root of a singular product is good to about half of the digits.
            assert!((found - expected).abs() < 1e-5, "{name} {found} {expected}");
        };
        near(frechet_distance(&left, &right).unwrap(), "frechet");
        near(polynomial_mmd(&left, &right).unwrap(), "kernel");
    }
}

#[test]
fn both_ways_to_the_root_agree() {
    // One picture more than features: through the covariances; one repeated feature fewer: through the rows.
    let (left, right) = (features(13, 12, 2), features(13, 12, 3));
    let by_columns = frechet_distance(&left, &right).unwrap();
    let pad = |rows: &Tensor| rows.pad_with_zeros(1, 0, 4).unwrap();
    let by_rows = frechet_distance(&pad(&left), &pad(&right)).unwrap();
    assert!(
        (by_columns - by_rows).abs() < 1e-8,
        "{by_columns} {by_rows}"
    );
    assert!(frechet_distance(&left, &left).unwrap() < 1e-9);
}

#[test]
fn subsets_that_hold_all_are_the_whole_and_seeds_repeat() {
    let (left, right) = (features(20, 6, 2), features(20, 6, 3));
    let config = |subset_size, seed| KernelConfig {
        subsets: 5,
        subset_size,
        seed,
    };
    let whole = kernel_distance(&left, &right, config(1000, 1)).unwrap();
    assert!((whole.mean - polynomial_mmd(&left, &right).unwrap()).abs() < 1e-12);
    assert!(whole.deviation < 1e-12 && whole.subset_size == 20);
    let part = kernel_distance(&left, &right, config(8, 1)).unwrap();
    assert_eq!(part, kernel_distance(&left, &right, config(8, 1)).unwrap());
    assert_ne!(part, kernel_distance(&left, &right, config(8, 2)).unwrap());
    assert!(part.deviation > 0.0);
}

#[test]
fn features_that_do_not_fit_are_refused() {
    let good = features(4, 3, 2);
    let bad = (&good / 0.0).unwrap();
    let one = features(1, 3, 2);
    let wide = features(4, 5, 2);
    let flat = Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap();
    for other in [&bad, &one, &wide, &flat] {
        assert!(matches!(
            frechet_distance(&good, other),
            Err(Error::ImageShape { .. })
        ));
        let config = KernelConfig::default();
        assert!(matches!(
            kernel_distance(&good, other, config),
            Err(Error::ImageShape { .. })
        ));
    }
    let none = KernelConfig {
        subsets: 0,
        ..KernelConfig::default()
    };
    assert!(kernel_distance(&good, &good, none).is_err());
}
