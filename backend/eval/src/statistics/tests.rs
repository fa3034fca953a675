//! References from scipy 1.16 and statsmodels 0.14:
//!
//! ```python
//! import numpy as np
//! from scipy import stats
//! from statsmodels.stats.proportion import proportion_confint
//! from statsmodels.stats.contingency_tables import mcnemar
//! proportion_confint(k, n, method="wilson"); stats.norm.ppf(p); stats.norm.cdf(x)
//! stats.bootstrap((xs,), np.mean, n_resamples=400000, method="BCa", rng=0, batch=10000)
//! mcnemar([[0, b], [c, 0]], exact=True).pvalue; np.quantile(xs, 0.95)
//! ```

use super::*;

const XS: [f64; 12] = [
    0.91, 0.88, 0.42, 0.95, 0.97, 0.60, 0.99, 0.93, 0.85, 0.79, 0.96, 0.90,
];

fn near(left: f64, right: f64, tolerance: f64) {
    assert!((left - right).abs() <= tolerance, "{left} against {right}");
}

#[test]
fn wilson_matches_statsmodels() {
    for (k, n, low, high) in [
        (0, 16, 0.0, 0.193_607_680_534_436_55),
        (4, 16, 0.101_820_674_912_130_43, 0.494_983_165_355_087_8),
        (10, 16, 0.386_410_405_454_027_14, 0.815_187_674_411_363_6),
        (16, 16, 0.806_392_319_465_563_3, 1.0),
        (41, 48, 0.728_328_234_752_537, 0.927_517_506_733_962_9),
    ] {
        let found = wilson(k, n);
        near(found.low, low, 1e-12);
        near(found.high, high, 1e-12);
        assert_eq!(found.n as usize, n);
    }
    assert!(wilson(0, 0).high >= 1.0);
}

#[test]
fn normal_distribution_matches_scipy() {
    for (level, x) in [
        (0.001, -3.090_232_306_167_813),
        (0.3, -0.524_400_512_708_040_9),
        (0.975, 1.959_963_984_540_054),
        (0.9999, 3.719_016_485_455_709),
    ] {
        near(normal::quantile(level), x, 1e-9);
    }
    for (x, level) in [
        (-4.0, 3.167_124_183_311_986e-5),
        (-1.0, 0.158_655_253_931_457_07),
        (0.3, 0.617_911_422_188_952_6),
        (2.5, 0.993_790_334_674_223_8),
    ] {
        near(normal::cumulative(x), level, 1e-12);
    }
}

#[test]
fn bootstrap_matches_scipys_bca() {
    let found = bootstrap_mean(&XS, 7);
    near(found.value, mean(&XS), 0.0);
    // 10,000 draws against 400,000: the ends scatter by about 0.002.
    near(found.low, 0.7125, 0.006);
    near(found.high, 0.9150, 0.004);
    // The percentile interval is [0.744, 0.927]: the correction must show.
    assert!(found.low < 0.735);
    assert_eq!(bootstrap_mean(&XS, 7), found);
}

#[test]
fn bootstrap_survives_few_and_equal_values() {
    let equal = bootstrap_mean(&[0.5, 0.5, 0.5], 1);
    assert_eq!((equal.low.to_bits(), equal.n), (0.5_f64.to_bits(), 3));
    let single = bootstrap_mean(&[0.25], 1);
    assert_eq!(single.high.to_bits(), 0.25_f64.to_bits());
    assert_eq!(bootstrap_mean(&[], 1).n, 0);
    let two = bootstrap_mean(&[0.0, 1.0], 1);
    assert!(two.low <= 0.5 && two.high >= 0.5 && two.low.is_finite());
}

#[test]
fn pairs_are_compared_seed_by_seed() {
    let right: Vec<f64> = XS.iter().map(|x| x - 0.1).collect();
    let found = paired_difference(&XS, &right, 3);
    near(found.low, 0.1, 1e-9);
    near(found.high, 0.1, 1e-9);
}

#[test]
fn mcnemar_matches_statsmodels() {
    for (gained, lost, p) in [
        (6, 0, 0.03125),
        (5, 0, 0.0625),
        (9, 2, 0.065_429_687_5),
        (3, 3, 1.0),
        (0, 0, 1.0),
        (12, 1, 0.003_417_968_75),
    ] {
        let mut left = vec![true; gained];
        left.extend(vec![false; lost]);
        let right: Vec<bool> = left.iter().map(|hit| !hit).collect();
        near(mcnemar(&left, &right), p, 1e-12);
    }
}

#[test]
fn quantiles_interpolate_as_numpy_does() {
    near(quantile(&XS, 0.95).unwrap(), 0.979, 1e-12);
    near(quantile(&XS, 0.5).unwrap(), 0.905, 1e-12);
    assert_eq!(quantile(&[], 0.5), None);
}

#[test]
fn draws_that_tie_but_for_rounding_are_ties() {
    // Adding these in another order changes the last bit of their mean.
    let found = bootstrap_mean(&[0.1, 1.3, 1.1, 1.4], 1);
    assert!((0.3..0.6).contains(&found.low), "{found:?}");
}
