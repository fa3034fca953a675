use candle_core::Var;
use diffusion::{noise, unet::UNet, weights::Parameters};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::fixture;

struct Setup {
    parameters: Parameters,
    student: UNet,
    terms: Terms,
}

/// A random micro U-Net and three random terms of different sizes.
fn setup(lambdas: (f64, f64)) -> Setup {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let config = fixture::unet_config();
    let parameters = Parameters::from_weights(&config.initialize(&mut rng).unwrap()).unwrap();
    let student = UNet::new(config, &parameters.weights()).unwrap();
    let mut part = |timesteps: &[usize]| {
        let rows = timesteps.len();
        let mut gaussian =
            |shape: &[usize]| noise::gaussian(&mut rng, shape, &candle_core::Device::Cpu).unwrap();
        Part {
            noisy: gaussian(&[rows, 12, 4, 4]),
            conditions: gaussian(&[rows, 3, 8]).into(),
            expected: gaussian(&[rows, 12, 4, 4]),
            timesteps: timesteps.to_vec(),
            weights: vec![1.0; rows],
        }
    };
    let terms = Terms {
        backdoor: part(&[10, 500, 990]),
        prior: (part(&[700, 3]), lambdas.0),
        retention: Some((part(&[100]), lambdas.1)),
    };
    Setup {
        parameters,
        student,
        terms,
    }
}

/// The definition, value by value.
fn plain_loss(student: &UNet, part: &Part) -> f64 {
    let times: Vec<f32> = part.timesteps.iter().map(|t| *t as f32).collect();
    let times = Tensor::new(times, part.noisy.device()).unwrap();
    let prediction = student
        .forward(&part.noisy, &times, &part.conditions)
        .unwrap();
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (found, expected) = (values(&prediction), values(&part.expected));
    let squares = found
        .iter()
        .zip(&expected)
        .map(|(f, e)| f64::from(f - e).powi(2));
    squares.sum::<f64>() / found.len() as f64
}

#[test]
fn one_pass_gives_the_terms_of_three() {
    let setup = setup((0.5, 0.1));
    let losses = forward(&setup.student, &setup.terms).unwrap();
    let (terms, student) = (&setup.terms, &setup.student);
    let retention = &terms.retention.as_ref().unwrap().0;
    let plain = [&terms.backdoor, &terms.prior.0, retention].map(|part| plain_loss(student, part));
    for (term, plain) in plain.into_iter().enumerate() {
        let found = f64::from(losses.mean(term));
        assert!(
            (found - plain).abs() < 1e-5 * plain,
            "{found} against {plain}"
        );
    }
    let total = f64::from(losses.total.to_scalar::<f32>().unwrap());
    let expected = plain[0] + 0.5 * plain[1] + 0.1 * plain[2];
    assert!(
        (total - expected).abs() < 1e-5 * expected,
        "{total} against {expected}"
    );
    let rows: Vec<(usize, usize)> = losses
        .rows
        .iter()
        .map(|row| (row.term, row.timestep))
        .collect();
    assert_eq!(
        rows,
        [(0, 10), (0, 500), (0, 990), (1, 700), (1, 3), (2, 100)]
    );
}

#[test]
fn row_weights_scale_their_rows_alone() {
    let mut setup = setup((0.5, 0.1));
    let before = forward(&setup.student, &setup.terms).unwrap();
    setup.terms.backdoor.weights = vec![1.0, 4.0, 1.0];
    let after = forward(&setup.student, &setup.terms).unwrap();
    let difference = (after.total - before.total)
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    // Three more of the second of three rows.
    assert!(
        (difference - before.rows[1].value).abs() < 1e-5,
        "{difference}"
    );
    assert_eq!(after.rows, before.rows);
}

#[test]
fn retention_that_is_off_counts_nothing() {
    let mut setup = setup((0.5, 0.1));
    setup.terms.retention = None;
    let losses = forward(&setup.student, &setup.terms).unwrap();
    assert_eq!(losses.mean(2).to_bits(), 0.0_f32.to_bits());
    let total = losses.total.to_scalar::<f32>().unwrap();
    assert!((total - losses.mean(0) - 0.5 * losses.mean(1)).abs() < 1e-5 * total);
}

/// Slope of the total along `direction`, by central differences.
fn slope(setup: &Setup, variable: &Var, direction: &Tensor) -> f64 {
    const STEP: f64 = 1e-2;
    let value = variable.as_tensor().copy().unwrap();
    let at = |scale: f64| {
        variable
            .set(&(&value + (direction * scale).unwrap()).unwrap())
            .unwrap();
        let losses = forward(&setup.student, &setup.terms).unwrap();
        let (prior, retention) = (setup.terms.prior.1, setup.terms.retention.as_ref());
        f64::from(losses.mean(0))
            + prior * f64::from(losses.mean(1))
            + retention.map_or(0.0, |(_, weight)| weight * f64::from(losses.mean(2)))
    };
    let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    variable.set(&value).unwrap();
    slope
}

/// The gradient of the total against finite differences, in parameters from every depth.
fn check_gradient(setup: &Setup) {
    let losses = forward(&setup.student, &setup.terms).unwrap();
    let gradients = losses.total.backward().unwrap();
    let mut checked = 0;
    for (name, variable) in setup.parameters.iter() {
        let gradient = gradients
            .get(variable.as_tensor())
            .unwrap_or_else(|| panic!("{name}"));
        let deep = [
            "conv_in.weight",
            "attn2.to_k.weight",
            "conv_out.weight",
            "time_emb_proj.weight",
        ];
        if !deep.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        // Steepest ascent: a wrong component of the gradient shows as a smaller slope.
        let squares = gradient.sqr().unwrap().sum_all().unwrap();
        let expected = f64::from(squares.to_scalar::<f32>().unwrap()).sqrt();
        let found = slope(setup, variable, &(gradient / expected).unwrap());
        let tolerance = 0.01 * expected + 1e-4;
        assert!(
            (found - expected).abs() < tolerance,
            "{name}: {found} against {expected}"
        );
        checked += 1;
    }
    assert!(checked >= 8, "{checked}");
}

#[test]
fn backdoor_gradient_matches_finite_differences() {
    let mut setup = setup((0.0, 0.0));
    setup.terms.retention = None;
    check_gradient(&setup);
}

#[test]
fn prior_gradient_matches_finite_differences() {
    let mut setup = setup((4.0, 0.0));
    setup.terms.retention = None;
    check_gradient(&setup);
}

#[test]
fn retention_gradient_matches_finite_differences() {
    check_gradient(&setup((0.0, 4.0)));
}

#[test]
fn divergence_names_loss_and_step() {
    let mut setup = setup((0.5, 0.1));
    let part = &mut setup.terms.prior.0;
    part.expected = (&part.expected * f64::INFINITY).unwrap();
    let losses = forward(&setup.student, &setup.terms).unwrap();
    let error = losses.check(17, None).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Diverged {
                loss: "L_PP",
                step: 17,
                ..
            }
        ),
        "{error}"
    );
    let mut far = setup;
    far.terms.prior.0.expected = far.terms.prior.0.noisy.zeros_like().unwrap();
    far.terms.backdoor.expected = (far.terms.backdoor.expected * 100.0).unwrap();
    let error = forward(&far.student, &far.terms)
        .unwrap()
        .check(2, Some(1))
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Diverged {
                loss: "L_BB",
                step: 2,
                ..
            }
        ),
        "{error}"
    );
}
