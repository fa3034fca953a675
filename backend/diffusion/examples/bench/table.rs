//! Medians, ratios, and how they are shown.

use crate::jobs::{Job, Kind, Outcome};

/// One phase of one job on both sides.
pub(crate) struct Row {
    job: Job,
    phase: &'static str,
    /// Median milliseconds of this package.
    pub(crate) ours: f64,
    /// Median milliseconds of `PyTorch`.
    pub(crate) theirs: f64,
    /// Median over rounds of `PyTorch`'s time by ours: both times of a round meet the same noise.
    ratio: f64,
    /// `PyTorch`'s fastest round by ours, which a busy machine spoils least.
    fastest: f64,
    /// What both sides computed in the last round.
    checks: [f64; 2],
}

impl Row {
    /// The phases of a job.
    pub(crate) fn all(job: &Job, rounds: &[[Outcome; 2]]) -> Vec<Self> {
        let time = |side: usize, phase: &str| {
            let times = rounds.iter().map(|round| round[side].times[phase]);
            times.collect::<Vec<f64>>()
        };
        let checks = [0, 1].map(|side| rounds.last().map_or(f64::NAN, |round| round[side].check));
        let row = |phase: &'static str| {
            let (ours, theirs) = (time(0, phase), time(1, phase));
            let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours);
            let fastest = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
            Self {
                job: job.clone(),
                phase,
                ratio: median(ratios.collect()),
                fastest: fastest(&theirs) / fastest(&ours),
                ours: median(ours),
                theirs: median(theirs),
                checks,
            }
        };
        job.phases().into_iter().map(row).collect()
    }

    /// Whether this is the row of a phase of a job.
    pub(crate) fn is(&self, job: &Job, phase: &str) -> bool {
        self.job == *job && self.phase == phase
    }

    /// The less favourable of both ratios.
    fn least(&self) -> f64 {
        self.ratio.min(self.fastest)
    }

    pub(crate) fn print(&self) {
        let [ours, theirs] = self.checks;
        println!(
            "{:12} {:5} {:7} {:10} {:10.2} {:10.2} {:7.2} {:7.2}   {ours:.6} {theirs:.6}",
            self.job.model,
            self.job.batch,
            self.job.threads,
            self.phase,
            self.ours,
            self.theirs,
            self.ratio,
            self.fastest
        );
    }
}

impl Job {
    /// The job in words.
    pub(crate) fn name(&self) -> String {
        let phases = self.phases();
        let phase = phases.last().copied().unwrap_or_default();
        let plural = if self.threads == 1 { "" } else { "s" };
        format!(
            "{phase} of {}, batch {}, {} thread{plural}",
            self.model, self.batch, self.threads
        )
    }
}

pub(crate) fn head() {
    println!(
        "{:12} {:5} {:7} {:10} {:>10} {:>10} {:>7} {:>7}   loss or spread: ours, PyTorch",
        "model", "batch", "threads", "phase", "ours ms", "PyTorch ms", "ratio", "fastest"
    );
}

/// Where this package is slower, and the one line of the least favourable ratios.
pub(crate) fn summary(rows: &[Row], memory: &[[f64; 2]]) {
    for row in rows.iter().filter(|row| row.least() < 1.0) {
        let name = row.job.name();
        println!("slower: {name} ({}), ratio {:.2}", row.phase, row.least());
    }
    println!(
        "PyTorch's time or memory by ours, the least over threads, batches, sizes and both ratios:"
    );
    let least = |kind: Kind, model: &str, phase: &str| {
        let of_it = |row: &&Row| {
            row.job.kind == kind && row.job.model.starts_with(model) && row.phase == phase
        };
        let ratios = rows.iter().filter(of_it).map(Row::least);
        ratios.fold(f64::INFINITY, f64::min)
    };
    let memory = memory.iter().map(|[ours, theirs]| theirs / ours);
    println!(
        "train_ratio_demo={:.2} train_ratio_medium={:.2} sample_ratio={:.2} memory_ratio={:.2}",
        least(Kind::Train, "unet-demo", "step"),
        least(Kind::Train, "unet-medium", "step"),
        least(Kind::Sample, "unet", "sampling"),
        memory.fold(f64::INFINITY, f64::min)
    );
}

/// The middle value, or the mean of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match values.get(low).zip(values.get(high)) {
        Some((low, high)) => f64::midpoint(*low, *high),
        None => f64::NAN,
    }
}
