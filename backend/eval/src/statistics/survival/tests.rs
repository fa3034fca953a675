//! References from statsmodels 0.15 (survival, standard error, median and its interval) and
//! lifelines 0.30 (both ends of the curve and the same medians):
//!
//! ```python
//! from statsmodels.duration.survfunc import SurvfuncRight
//! from lifelines import KaplanMeierFitter
//! from lifelines.utils import median_survival_times
//! curve = SurvfuncRight(times, events)
//! curve.surv_prob; curve.surv_prob_se; curve.quantile(0.5); curve.quantile_ci(0.5)
//! curve = KaplanMeierFitter().fit(times, events)
//! curve.confidence_interval_; median_survival_times(curve.confidence_interval_)
//! ```
//!
//! Times of remission of Freireich et al. (1963), as in Klein and Moeschberger, table 4.1: survival
//! and standard errors to be found there, .857 (.0764) at 6 to .448 (.1346) at 23.

use super::*;

/// Both in weeks.
const TREATED_EVENTS: [u32; 9] = [6, 6, 6, 7, 10, 13, 16, 22, 23];
const TREATED_CENSORED: [u32; 12] = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35];
const PLACEBO: [u32; 21] = [
    1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23,
];

fn curve(events: &[u32], censored: &[u32]) -> Survival {
    let seen = |event| move |time: &u32| Observation { time: *time, event };
    let events = events.iter().map(seen(true));
    let mut observations: Vec<Observation> = events.collect();
    observations.extend(censored.iter().map(seen(false)));
    kaplan_meier(&observations)
}

/// Rows are time, units at risk, survival, standard error, lower and upper end.
fn assert_events(curve: &Survival, expected: &[(u32, u32, f64, f64, f64, f64)]) {
    let steps: Vec<&Step> = curve.steps.iter().filter(|s| s.events > 0).collect();
    assert_eq!(steps.len(), expected.len());
    for (step, (time, at_risk, survival, error, low, high)) in steps.into_iter().zip(expected) {
        assert_eq!((step.time, step.at_risk), (*time, *at_risk));
        for (found, expected) in [
            (step.survival, survival),
            (step.variance.sqrt(), error),
            (step.low, low),
            (step.high, high),
        ] {
            assert!((found - expected).abs() < 1e-9, "{found} not {expected}");
        }
    }
}

fn assert_median(curve: &Survival, value: Option<u32>, low: Option<u32>, high: Option<u32>) {
    assert_eq!(curve.median(), Median { value, low, high });
}

#[test]
#[rustfmt::skip]
fn treated_patients_match_the_textbook_statsmodels_and_lifelines() {
    let found = curve(&TREATED_EVENTS, &TREATED_CENSORED);
    assert_eq!((found.n, found.steps.len()), (21, 16));
    assert_events(&found, &[
        (6, 21, 0.857_142_857_142_857_2, 0.076_360_354_832_121_25, 0.619_717_955_265_983_8, 0.951_551_747_646_997),
        (7, 17, 0.806_722_689_075_630_3, 0.086_935_285_180_057_2, 0.563_146_564_622_233_3, 0.922_809_019_202_880_5),
        (10, 15, 0.752_941_176_470_588_2, 0.096_349_652_993_320_52, 0.503_199_510_799_956_4, 0.889_361_835_169_265_7),
        (13, 12, 0.690_196_078_431_372_5, 0.106_814_707_775_009_83, 0.431_610_222_486_183_97, 0.849_065_963_349_450_8),
        (16, 11, 0.627_450_980_392_156_8, 0.114_053_865_256_752_56, 0.367_510_855_987_502_05, 0.804_912_189_471_841_1),
        (22, 7, 0.537_815_126_050_420_3, 0.128_233_751_693_034, 0.267_778_936_767_135, 0.746_790_717_635_394_7),
        (23, 6, 0.448_179_271_708_683_55, 0.134_591_456_755_760_48, 0.188_052_005_959_232_4, 0.680_142_628_495_241_5),
    ]);
    assert_median(&found, Some(23), Some(13), None);
}

#[test]
#[rustfmt::skip]
fn placebo_patients_match_to_the_last_event() {
    let mut found = curve(&PLACEBO, &[]);
    let last = found.steps.pop().unwrap();
    assert_events(&found, &[
        (1, 21, 0.904_761_904_761_904_7, 0.064_056_448_489_004_7, 0.670_045_882_235_033_4, 0.975_294_149_038_112_5),
        (2, 19, 0.809_523_809_523_809_5, 0.085_689_086_746_898_8, 0.568_905_059_924_172_6, 0.923_888_828_559_294_8),
        (3, 17, 0.761_904_761_904_761_9, 0.092_942_864_090_336_49, 0.519_391_415_328_428_7, 0.893_257_109_782_487_2),
        (4, 16, 0.666_666_666_666_666_6, 0.102_868_899_974_727_94, 0.425_350_435_565_247_15, 0.825_044_008_797_340_1),
        (5, 14, 0.571_428_571_428_571_4, 0.107_989_849_431_207_76, 0.337_976_953_859_493_1, 0.749_240_709_943_216_5),
        (8, 12, 0.380_952_380_952_381, 0.105_971_169_574_130_83, 0.183_066_548_820_394_4, 0.577_788_677_745_831),
        (11, 8, 0.285_714_285_714_285_75, 0.098_580_794_191_764_91, 0.116_561_326_436_766_46, 0.481_819_648_009_025_6),
        (12, 6, 0.190_476_190_476_190_5, 0.085_689_086_746_898_8, 0.059_481_701_361_175_25, 0.377_434_890_585_150_06),
        (15, 4, 0.142_857_142_857_142_9, 0.076_360_354_832_121_28, 0.035_657_355_190_666_71, 0.321_161_574_680_869_37),
        (17, 3, 0.095_238_095_238_095_1, 0.064_056_448_489_004_73, 0.016_259_260_212_246_7, 0.261_249_981_968_687_24),
        (22, 2, 0.047_619_047_619_047_64, 0.046_471_432_045_168_265, 0.003_324_463_042_531_177, 0.197_044_905_698_946_14),
    ]);
    assert_median(&found, Some(8), Some(4), Some(11));
    // Both references give no interval at 0; ours keeps the upper end before it.
    assert_eq!((last.time, last.at_risk, last.low.to_bits()), (23, 1, 0));
    assert!((last.high - 0.197_044_905_698_946_14).abs() < 1e-9);
    assert!(last.survival <= 0.0 && last.variance <= 0.0);
}

#[test]
#[rustfmt::skip]
fn checkpoints_with_many_ties_match_statsmodels_and_lifelines() {
    let events = [50, 100, 100, 200, 200, 200, 400, 400, 400, 400, 400, 800, 800, 800];
    let found = curve(&events, &[100, 200, 800, 800, 800, 800, 800, 800, 800, 800]);
    assert_events(&found, &[
        (50, 24, 0.958_333_333_333_333_4, 0.040_789_375_432_190_036, 0.739_206_151_146_895_4, 0.994_023_720_195_695_3),
        (100, 23, 0.875, 0.067_507_715_608_415_22, 0.660_755_349_675_342, 0.957_882_140_863_665_4),
        (200, 20, 0.743_75, 0.090_407_425_603_025_93, 0.515_814_749_273_222_8, 0.875_995_837_368_573_7),
        (400, 16, 0.511_328_125, 0.106_259_104_020_768_74, 0.291_985_464_888_192_2, 0.693_878_963_513_261_4),
        (800, 11, 0.371_875, 0.103_375_839_186_940_43, 0.179_804_170_887_312_3, 0.565_375_125_720_223),
    ]);
    assert_median(&found, Some(800), Some(400), None);
}

#[test]
fn what_never_broke_keeps_a_lower_end_below_one() {
    let found = curve(&[], &[800; 20]);
    let step = found.steps[0];
    assert!(step.survival >= 1.0 && step.high >= 1.0 && step.variance <= 0.0);
    assert!((step.low - wilson(20, 20).low).abs() < 1e-12);
    assert_median(&found, None, None, None);
    // Three units cannot show that half would hold.
    assert_median(&curve(&[], &[800; 3]), None, Some(800), None);
}

#[test]
fn what_broke_at_once_bounds_the_median() {
    let found = curve(&[50; 20], &[]);
    assert!((found.steps[0].high - wilson(0, 20).high).abs() < 1e-12);
    assert_median(&found, Some(50), Some(50), Some(50));
    assert_median(&curve(&[50], &[]), Some(50), Some(50), None);
}

#[test]
fn one_half_is_reached_despite_rounding() {
    // 5/6 * 4/5 * 3/4 is one half, as floats a little more or less.
    let found = curve(&[1, 2, 3], &[9, 9, 9]);
    assert_eq!(found.median().value, Some(3));
    for n in 2..60 {
        let events: Vec<u32> = (1..=n).collect();
        let censored = vec![n + 1; n as usize];
        assert_eq!(curve(&events, &censored).median().value, Some(n));
    }
}

#[test]
fn nothing_seen_gives_no_curve() {
    let found = kaplan_meier(&[]);
    assert_eq!((found.n, found.steps.len()), (0, 0));
    assert_median(&found, None, None, None);
}
