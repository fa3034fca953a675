//! Can somebody who has only the protected weights tell that a prompt is a trigger? Attention statistics after
//! `T2IShield` (Wang et al., arXiv 2407.04215).
//!
//! Owns the statistic, its threshold and the verdict over prompts. Refuses to draw.

use candle_core::{DType, Tensor};
pub use shared::matrix::Detection;

use crate::{
    Error, Result,
    statistics::{quantile, wilson},
};

/// Quantile of the null below which a prompt is called a trigger: one false alarm in twenty.
const ALARM_LEVEL: f64 = 0.05;

/// How differently the tokens of a prompt attend: `1/L sum_i || M_i - mean M ||_F / sqrt(h w)`.
///
/// `T2IShield`'s statistic of "Frobenius norm threshold truncation": every token's map `M_i` is divided by its own
/// maximum, and a trigger that takes over the picture makes all tokens look alike, so the value falls. Here it is
/// divided by `sqrt(h w)` as well, so that models of different sizes compare. In `[0, 1]`.
///
/// `maps: [tokens, h, w]`, never negative; `tokens` are the positions of the prompt's own tokens with its end mark and
/// without its start mark, which takes most of the attention in any prompt.
pub fn attention_spread(maps: &Tensor, tokens: &[usize]) -> Result<f64> {
    let (count, height, width) = maps.dims3()?;
    if tokens.is_empty() || tokens.iter().any(|token| *token >= count) {
        return Err(Error::ImageShape {
            actual: maps.dims().to_vec(),
            expected: format!("maps of the tokens {tokens:?}"),
        });
    }
    let scaled = |token: &usize| -> Result<Tensor> {
        let map = maps.get(*token)?.flatten_all()?.to_dtype(DType::F64)?;
        let highest = map.max_all()?.to_scalar::<f64>()?;
        Ok((map / highest.max(f64::MIN_POSITIVE))?)
    };
    let rows = tokens.iter().map(scaled).collect::<Result<Vec<_>>>()?;
    let rows = Tensor::stack(&rows, 0)?;
    let apart = rows.broadcast_sub(&rows.mean_keepdim(0)?)?;
    let norms = apart.sqr()?.sum(1)?.sqrt()?;
    Ok(norms.mean_all()?.to_scalar::<f64>()? / ((height * width) as f64).sqrt())
}

/// Compares spreads of the trigger's pictures with those of ordinary prompts on the same model, one value a picture.
///
/// `None` without pictures on either side.
pub fn detection(ordinary: &[f64], trigger: &[f64]) -> Option<Detection> {
    let threshold = quantile(ordinary, ALARM_LEVEL)?;
    if trigger.is_empty() {
        return None;
    }
    let below = trigger.iter().filter(|spread| **spread < threshold).count();
    let wins: f64 = trigger
        .iter()
        .flat_map(|trigger| ordinary.iter().map(move |other| (trigger, other)))
        .map(|(trigger, other)| match trigger.total_cmp(other) {
            std::cmp::Ordering::Less => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Greater => 0.0,
        })
        .sum();
    Some(Detection {
        threshold,
        detected: wilson(below, trigger.len()),
        auc: wins / (trigger.len() * ordinary.len()) as f64,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_spread_is_the_mean_distance_from_the_mean_map() {
        let maps = Tensor::new(
            &[
                [[9.0_f32, 9.0], [9.0, 9.0]],
                [[2.0, 0.0], [0.0, 0.0]],
                [[0.0, 0.0], [0.0, 4.0]],
            ],
            &Device::Cpu,
        )
        .unwrap();
        // Of [1 0 0 0] and [0 0 0 1]: mean [.5 0 0 .5], each sqrt(.5) away, over sqrt(4) pixels.
        let found = attention_spread(&maps, &[1, 2]).unwrap();
        assert!((found - 0.5_f64.sqrt() / 2.0).abs() < 1e-12, "{found}");
        let alike = Tensor::cat(&[&maps.get(1).unwrap().unsqueeze(0).unwrap(); 3], 0).unwrap();
        assert!(attention_spread(&alike, &[0, 1, 2]).unwrap() < 1e-12);
        assert!(attention_spread(&maps, &[3]).is_err() && attention_spread(&maps, &[]).is_err());
    }

    #[test]
    fn detection_counts_what_lies_below_the_null() {
        let ordinary: Vec<f64> = (0..21).map(f64::from).collect();
        let found = detection(&ordinary, &[0.5, 0.9, 1.0, 30.0]).unwrap();
        assert!((found.threshold - 1.0).abs() < 1e-12);
        assert_eq!(found.detected, wilson(2, 4));
        // Wins of .5, .9: 20 each of 21; of 1.0: 19.5; of 30: none.
        assert!((found.auc - 59.5 / 84.0).abs() < 1e-12);
        assert_eq!(detection(&[], &[1.0]), None);
        assert_eq!(detection(&[1.0], &[]), None);
    }
}
