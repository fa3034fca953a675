//! Memory that a protect job takes at its worst moment.
//!
//! Owns what a run holds beside a training step: the average, the excursion's copy, the snapshot that is written. Refuses
//! to plan time.

use candle_core::DType;
use diffusion::plan::{Memory, Models, Setup, plan};
use persguard::trajectory::ATTACK_ROWS;
use shared::job::{Attackers, Injection, Mode, Retention};

/// Rows of one step: `L_BB`, `L_PP`, and half as many of `L_BR` where it is on.
pub(super) fn rows(injection: &Injection) -> usize {
    let batch = injection.batch_size as usize;
    let retained = injection.retention != Retention::Off && injection.lambda_retention > 0.0;
    2 * batch + if retained { batch.div_ceil(2) } else { 0 }
}

/// The moment of a run that takes most; `step` is one step of it, with everything in `f32`.
///
/// A denoiser of `n` values takes `4n` bytes. The run holds one of these at a time ([`persguard::train`] drops each
/// before the next):
///
/// ```text
/// resident  = 4n weights + 8n moments + 4n teacher + frozen parts + buffers + 4n average, if there is one
/// step      = resident + 4n gradients + activations of the step's rows
/// excursion = resident + 4n gradients of the step, which wait
///           + 4n copy + 8n moments of the copy (0 where all attackers train low-rank corrections) + 4n sum of its looks
///           + 4n gradients + activations of the attacker's rows or of a look's, whichever are more
/// snapshot  = resident + 8n moments as tensors + 12n file, or 16n with an average
/// ```
///
/// Only `trajectory` mode makes excursions. A snapshot is written in the host's memory: it counts where that is the
/// device's too. Reading one takes less than writing it, for there is no moment yet.
pub(super) fn worst(
    models: &Models,
    step: &Setup,
    injection: &Injection,
    is_host: bool,
) -> diffusion::Result<Memory> {
    let planned = plan(models, step)?;
    let copy = planned.unet_values as f64 * DType::F32.size_in_bytes() as f64;
    let average = if injection.averaging > 0.0 { copy } else { 0.0 };
    let beside = |memory: Memory| Memory {
        weights: memory.weights + average,
        ..memory
    };
    let step_itself = beside(planned.memory);
    let mut moments = vec![step_itself];
    if let Mode::Trajectory { attackers, .. } = injection.mode {
        let look = 2 * injection.batch_size as usize;
        let pass = Setup {
            batch: look.max(ATTACK_ROWS),
            ..*step
        };
        let pass = beside(plan(models, &pass)?.memory);
        let low_rank = attackers == Attackers::LowRank;
        moments.push(Memory {
            weights: pass.weights + copy,
            moments: pass.moments + if low_rank { 0.0 } else { 2.0 * copy },
            gradients: pass.gradients + 2.0 * copy,
            ..pass
        });
    }
    if is_host {
        moments.push(Memory {
            moments: step_itself.moments + 2.0 * copy,
            activations: 0.0,
            gradients: 0.0,
            buffers: step_itself.buffers + 3.0 * copy + average,
            ..step_itself
        });
    }
    let more = |one: Memory, other: Memory| {
        if other.total() > one.total() {
            other
        } else {
            one
        }
    };
    Ok(moments.into_iter().fold(step_itself, more))
}

#[cfg(test)]
mod tests {
    use diffusion::plan::Preset;
    use shared::job::Budget;

    use super::*;

    fn injection(attackers: Option<Attackers>) -> Injection {
        Injection {
            batch_size: 2,
            mode: attackers.map_or(Mode::Paper, |attackers| Mode::Trajectory {
                budget: Budget::Fast,
                attackers,
            }),
            ..Injection::default()
        }
    }

    /// Planned bytes of Stable Diffusion 1.5 over those of its weights, whatever `rows` of this side add.
    fn over(setup: &Setup, injection: &Injection, (rows, is_host): (usize, bool)) -> f64 {
        let models = Preset::Sd1.models();
        let alone = Setup {
            batch: rows,
            ..*setup
        };
        let alone = plan(&models, &alone).unwrap();
        let worst = worst(&models, setup, injection, is_host).unwrap();
        (worst.total() - alone.memory.total()) / (4.0 * alone.unet_values as f64)
    }

    fn setup(side: usize) -> Setup {
        Setup {
            batch: rows(&injection(None)),
            latent: (side, side),
            teacher: Some(DType::F32),
            frozen: Some(DType::F32),
            ..Setup::default()
        }
    }

    fn assert_copies(found: f64, copies: f64) {
        assert!((found - copies).abs() < 1e-6, "{found} for {copies}");
    }

    #[test]
    fn average_and_excursions_are_planned() {
        let setup = setup(64);
        let paper = injection(None);
        assert_eq!(rows(&paper), 5);
        assert_copies(over(&setup, &paper, (5, false)), 0.0);
        let averaged = |injection: Injection| Injection {
            averaging: 0.9,
            ..injection
        };
        assert_copies(over(&setup, &averaged(paper), (5, false)), 1.0);
        // A copy, its two moments, the sum of the looks and the gradients that wait, at the attacker's eight rows.
        for attackers in [Attackers::Full, Attackers::Both] {
            let full = injection(Some(attackers));
            assert_copies(over(&setup, &full, (ATTACK_ROWS, false)), 5.0);
            assert_copies(over(&setup, &averaged(full), (ATTACK_ROWS, false)), 6.0);
        }
        let low_rank = injection(Some(Attackers::LowRank));
        assert_copies(over(&setup, &low_rank, (ATTACK_ROWS, false)), 3.0);
        // A look has more rows than the attacker where the batch is large.
        let large = Injection {
            batch_size: 8,
            ..injection(Some(Attackers::Full))
        };
        let wide = Setup {
            batch: rows(&large),
            latent: (8, 8),
            ..setup
        };
        assert_copies(over(&wide, &large, (16, false)), 5.0);
    }

    #[test]
    fn snapshots_count_where_they_are_written() {
        // Pictures so small that activations are nothing beside a copy of the weights.
        let setup = setup(8);
        let models = Preset::Sd1.models();
        let paper = injection(None);
        let peak = |injection: &Injection, is_host| {
            worst(&models, &setup, injection, is_host).unwrap().total()
        };
        let copy = 4.0 * models.unet_values().unwrap() as f64;
        let resident = {
            let memory = plan(&models, &setup).unwrap().memory;
            memory.total() - memory.activations - memory.gradients
        };
        assert_copies((peak(&paper, true) - resident) / copy, 5.0);
        assert!(peak(&paper, false) < peak(&paper, true));
        let averaged = Injection {
            averaging: 0.5,
            ..paper
        };
        assert_copies((peak(&averaged, true) - resident) / copy, 7.0);
    }

    #[test]
    fn retention_has_its_rows() {
        let off = Injection {
            retention: Retention::Off,
            ..injection(None)
        };
        let unweighted = Injection {
            lambda_retention: 0.0,
            ..injection(None)
        };
        assert_eq!((rows(&off), rows(&unweighted)), (4, 4));
    }
}
