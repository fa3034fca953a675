//! How fast this machine is with this model: a few steps of each family and a few pictures, before anything is planned in
//! minutes. Refuses to keep what it trained.

use std::{collections::BTreeMap, time::Instant};

use shared::{
    attack::Family,
    matrix::{Cell, Pace},
};

use super::{
    arm,
    cell::{Stage, Tick},
};
use crate::{Result, statistics::quantile};

/// Steps of each family; the first is left out, because it fills caches.
const STEPS: u32 = 4;
/// Pictures that are drawn.
const PICTURES: usize = 4;

/// Measures a step of every family that `stage.plan` has, and a picture, on one thread.
pub fn measure_pace(stage: &Stage<'_>, workers: u32, tick: Tick<'_>) -> Result<Pace> {
    let mut cells: Vec<(Family, &Cell)> = Vec::new();
    for cell in stage
        .plan
        .cells
        .iter()
        .filter(|cell| cell.recipe.is_plain())
    {
        if !cells
            .iter()
            .any(|(family, _)| *family == cell.recipe.family)
        {
            cells.push((cell.recipe.family, cell));
        }
    }
    let mut pace = Pace {
        workers,
        milliseconds_per_step: BTreeMap::new(),
        milliseconds_per_picture: 0.0,
    };
    for (at, (family, cell)) in cells.iter().enumerate() {
        tick("Measuring the pace", at, cells.len())?;
        let mut attack = arm::probe(stage, cell)?;
        attack.advance_to(STEPS, &mut |_| Ok(()))?;
        let steps = attack.step_seconds().get(1..).unwrap_or_default();
        let milliseconds = 1000.0 * quantile(steps, 0.5).unwrap_or_default();
        pace.milliseconds_per_step
            .insert(family.slug(), milliseconds);
        if at == 0 {
            let start = Instant::now();
            let prompts = vec![attack.words().drawing.clone(); PICTURES];
            let seeds: Vec<u64> = (0..PICTURES as u64).collect();
            attack.draw(
                &prompts,
                &seeds,
                &arm::sampling(&stage.plan.settings)?,
                &mut |_, _| Ok(()),
            )?;
            pace.milliseconds_per_picture =
                1000.0 * start.elapsed().as_secs_f64() / PICTURES as f64;
        }
    }
    Ok(pace)
}
