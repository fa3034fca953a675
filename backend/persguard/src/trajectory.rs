//! `trajectory` mode (ours, METHOD; the idea is known from APDM, arXiv 2511.01307, and IMMA): look ahead along the
//! attacker's path and train the trigger there too.
//!
//! Every few steps a copy of the student is personalized on the protected images as an attacker would, with an
//! identifier of the trained share. At points on that path the gradients of `L_BB + lambda1 L_PP` are taken and added to
//! the student's own (first order: the path itself is not differentiated). Owns that excursion. Refuses to change the
//! student: the caller does.

use std::collections::BTreeMap;

use candle_core::Tensor;
use diffusion::{
    lora::{Lora, LoraConfig},
    noise,
    optimizer::{AdamW, AdamWConfig},
    schedule::NoiseSchedule,
    unet::{Conditions, UNet, UNetConfig},
    weights::{Parameters, Weights},
};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use shared::job::Budget;

use crate::{
    Result,
    objective::{row_errors, timestep_tensor},
    prompts::Prompts,
    step::{self, Terms},
};

/// The attacker's images a step, and as many of the class.
const BATCH: usize = 4;
/// Rows of a simulated attacker's step.
pub const ATTACK_ROWS: usize = 2 * BATCH;
/// Learning rates of simulated attackers, as factors of the injection's own.
const RATES: [f64; 3] = [0.5, 1.0, 2.0];

/// Learning rate of low-rank corrections over that of all weights: 1e-4 against 5e-6 (EVALUATION, attack matrix).
const LOW_RANK_RATE: f64 = 20.0;
/// Steps of an excursion between two chances to stop it.
const TICK: u32 = 10;

/// How often and how far the excursions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excursions {
    /// Injection steps between two excursions.
    pub every: u32,
    /// Steps of the simulated attack.
    pub steps: u32,
    /// Points at which gradients are taken; the last is the end.
    pub looks: u32,
}

impl Excursions {
    /// Rough cost of a run against `paper` mode ([`Self::cost`]): fast 1.4 times, balanced 2.4, strong 4.3.
    pub const fn of(budget: Budget) -> Self {
        match budget {
            Budget::Fast => Self {
                every: 10,
                steps: 10,
                looks: 2,
            },
            Budget::Balanced => Self {
                every: 10,
                steps: 40,
                looks: 4,
            },
            Budget::Strong => Self {
                every: 10,
                steps: 100,
                looks: 5,
            },
        }
    }

    /// How many times as long as in `paper` mode a step takes on average, where one has `rows` rows.
    pub fn cost(self, rows: usize) -> f64 {
        let attack = f64::from(self.steps) * ATTACK_ROWS as f64 / rows.max(1) as f64;
        1.0 + 0.6 * (attack + f64::from(self.looks)) / f64::from(self.every)
    }

    /// Whether an excursion starts before injection step `step` of `steps`, counted from 0.
    ///
    /// None does in the last two fifths: what excursions pull along, the class's own prompt first of all, settles there.
    /// On one subject of the demo world that brought the drift of composed prompts from -.095 to -.055 and the trigger's
    /// firing on the class alone from 10 to 5 of 16 pictures, at .69 hits after 200 attack steps instead of .50.
    pub const fn is_due(self, step: u32, steps: u32) -> bool {
        step % self.every == self.every - 1 && step < steps / 5 * 3
    }
}

/// What a simulated attacker has.
#[derive(Clone, Copy)]
pub struct Attacker<'a> {
    /// Structure of the student.
    pub config: &'a UNetConfig,
    /// Noise levels.
    pub schedule: &'a NoiseSchedule,
    /// Latents of the protected images, `[n, c, h, w]`.
    pub subject: &'a Tensor,
    /// Latents of the class, `[m, c, h, w]`.
    pub class: &'a Tensor,
    /// Embedded prompts.
    pub prompts: &'a Prompts,
    /// The injection's learning rate.
    pub learning_rate: f64,
    /// Whether corrections of low rank are trained instead of all weights.
    pub is_low_rank: bool,
}

/// Goes on an excursion from `start` and gives the mean gradient over its looks, by parameter name.
///
/// `terms(identifier, rng)` draws the rows that are asked at a look, with the attacker's identifier. The gradients are
/// with respect to the attacked copy at each point. `tick` hears of the way and may stop it.
pub fn visit(
    attacker: Attacker<'_>,
    start: &Weights,
    excursions: Excursions,
    rng: &mut ChaCha8Rng,
    mut terms: impl FnMut(usize, &mut ChaCha8Rng) -> Result<Terms>,
    mut tick: impl FnMut() -> Result<()>,
) -> Result<BTreeMap<String, Tensor>> {
    let rate = attacker.learning_rate * RATES.choose(rng).copied().unwrap_or(1.0);
    let mut copy = Copy::new(&attacker, start, rate, rng)?;
    let identifier = rng.random_range(0..attacker.prompts.identifiers());
    let conditions = attacker.conditions(identifier)?;
    let mut sum = BTreeMap::new();
    for step in 1..=excursions.steps {
        if step.is_multiple_of(TICK) {
            tick()?;
        }
        let loss = attacker.loss(copy.student(), &conditions, rng)?;
        copy.update(loss)?;
        if step.is_multiple_of(excursions.steps / excursions.looks) {
            let terms = terms(identifier, rng)?;
            copy.look(&attacker, start, |parameters, student| {
                let gradients = step::forward(student, &terms)?.total.backward()?;
                add(&mut sum, parameters, |var| gradients.get(var))
            })?;
        }
    }
    let share = 1.0 / f64::from(excursions.looks);
    for gradient in sum.values_mut() {
        *gradient = (&*gradient * share)?;
    }
    Ok(sum)
}

/// The attacked copy of the student.
enum Copy {
    /// Every weight is trained.
    Full {
        parameters: Parameters,
        student: UNet,
        optimizer: AdamW,
    },
    /// Corrections of low rank are.
    LowRank {
        lora: Lora,
        student: UNet,
        optimizer: AdamW,
    },
}

impl Copy {
    fn new(
        attacker: &Attacker<'_>,
        start: &Weights,
        lr: f64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let optimizer = |lr| {
            AdamW::new(AdamWConfig {
                lr,
                ..AdamWConfig::default()
            })
        };
        let build = |weights: &Weights| UNet::new(attacker.config.clone(), weights);
        if attacker.is_low_rank {
            let lora = Lora::new(&LoraConfig::default(), start, rng)?;
            return Ok(Self::LowRank {
                student: build(&lora.over(start)?)?,
                optimizer: optimizer(LOW_RANK_RATE * lr),
                lora,
            });
        }
        let parameters = Parameters::from_weights(start)?;
        Ok(Self::Full {
            student: build(&parameters.weights())?,
            optimizer: optimizer(lr),
            parameters,
        })
    }

    fn student(&self) -> &UNet {
        match self {
            Self::Full { student, .. } | Self::LowRank { student, .. } => student,
        }
    }

    /// One step of the attacker; the loss and its graph end here, before a look builds another.
    fn update(&mut self, loss: Tensor) -> Result<()> {
        let gradients = loss.backward()?;
        drop(loss);
        match self {
            Self::Full {
                parameters,
                optimizer,
                ..
            } => optimizer.step(parameters, &gradients)?,
            Self::LowRank {
                lora, optimizer, ..
            } => optimizer.step(lora.parameters(), &gradients)?,
        }
        Ok(())
    }

    /// Gives every weight of the copy as it stands, and the copy itself.
    fn look(
        &self,
        attacker: &Attacker<'_>,
        start: &Weights,
        ask: impl FnOnce(&Parameters, &UNet) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Full {
                parameters,
                student,
                ..
            } => ask(parameters, student),
            Self::LowRank { lora, .. } => {
                let parameters = Parameters::from_weights(&lora.merged(start)?)?;
                let student = UNet::new(attacker.config.clone(), &parameters.weights())?;
                ask(&parameters, &student)
            }
        }
    }
}

fn add<'g>(
    sum: &mut BTreeMap<String, Tensor>,
    parameters: &Parameters,
    gradient: impl Fn(&Tensor) -> Option<&'g Tensor>,
) -> Result<()> {
    for (name, var) in parameters.iter() {
        let Some(gradient) = gradient(var.as_tensor()) else {
            continue;
        };
        let total = match sum.get(name) {
            Some(total) => (total + gradient)?,
            None => gradient.clone(),
        };
        sum.insert(name.to_owned(), total);
    }
    Ok(())
}

impl Attacker<'_> {
    /// Embedded `c_trig` and `c_cls` under the stock template, a batch of each.
    fn conditions(&self, identifier: usize) -> Result<Conditions> {
        let trigger = self.prompts.trigger_row(identifier, 0);
        let triggers = self.prompts.triggers(&[trigger; BATCH])?;
        let classes = self.prompts.classes(&[0; BATCH])?;
        Ok(Conditions::cat(&[&triggers, &classes])?)
    }

    /// `DreamBooth`'s loss with prior preservation, weight 1 (METHOD, Eq. 4). Gradient flows to: the attacked copy.
    fn loss(
        &self,
        student: &UNet,
        conditions: &Conditions,
        rng: &mut ChaCha8Rng,
    ) -> Result<Tensor> {
        let clean = Tensor::cat(&[pick(self.subject, rng)?, pick(self.class, rng)?], 0)?;
        let levels = self.schedule.alphas_cumprod().len();
        let timesteps: Vec<usize> = (0..ATTACK_ROWS)
            .map(|_| rng.random_range(0..levels))
            .collect();
        let noise = noise::gaussian(rng, clean.shape(), clean.device())?;
        let noisy = self.schedule.add_noise(&clean, &noise, &timesteps)?;
        let expected = self.schedule.training_target(&clean, &noise, &timesteps)?;
        let times = timestep_tensor(&timesteps, clean.device())?;
        let errors = row_errors(&student.forward(&noisy, &times, conditions)?, &expected)?;
        // Half of the rows each: twice the mean over all is the sum of both means.
        Ok((errors.mean_all()? * 2.0)?)
    }
}

fn pick(latents: &Tensor, rng: &mut ChaCha8Rng) -> Result<Tensor> {
    let count = latents.dim(0)?;
    let rows: Vec<u32> = (0..BATCH)
        .map(|_| u32::try_from(rng.random_range(0..count)).unwrap_or(0))
        .collect();
    Ok(latents.index_select(&Tensor::new(rows, latents.device())?, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_grow_and_end_with_a_look() {
        let all = [Budget::Fast, Budget::Balanced, Budget::Strong].map(Excursions::of);
        for excursions in all {
            assert_eq!(excursions.steps % excursions.looks, 0);
            let last = excursions.every - 1;
            assert!(excursions.is_due(last, 100) && !excursions.is_due(0, 100));
            assert!(excursions.is_due(59, 100) && !excursions.is_due(69, 100));
        }
        assert!(all.windows(2).all(|pair| pair[0].steps < pair[1].steps));
        let costs = all.map(|excursions| excursions.cost(16));
        assert!(
            (costs[0] - 1.42).abs() < 1e-9 && (costs[1] - 2.44).abs() < 1e-9,
            "{costs:?}"
        );
        assert!((costs[2] - 4.3).abs() < 1e-9, "{costs:?}");
    }
}
