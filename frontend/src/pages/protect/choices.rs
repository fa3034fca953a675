//! Values that lists and cards offer, each with the name that it has in the form.

use shared::{
    job::{Attackers, Budget, Mode, Retention, SubjectKind},
    objective::Position,
};

use crate::language::say;

/// Values that a list offers: each with the name it has there and its words, the default first.
pub(super) type Choices<T, const N: usize> = [(T, &'static str, &'static str); N];

/// Every retention.
pub(super) const RETENTIONS: Choices<Retention, 3> = [
    (Retention::Full, "full", mark!("At every timestep")),
    (
        Retention::LowNoise,
        "low_noise",
        mark!("Only where the noise is low"),
    ),
    (Retention::Off, "off", mark!("Off")),
];

/// How far training looks ahead; `None` is the paper's mode, which does not.
pub(super) const MODES: Choices<Option<Budget>, 4> = [
    (None, "paper", mark!("As in the paper")),
    (
        Some(Budget::Fast),
        "fast",
        mark!("Along simulated attacks, 10 steps ahead"),
    ),
    (
        Some(Budget::Balanced),
        "balanced",
        mark!("Along simulated attacks, 40 steps ahead"),
    ),
    (
        Some(Budget::Strong),
        "strong",
        mark!("Along simulated attacks, 100 steps ahead"),
    ),
];

/// Who is simulated when training looks ahead.
pub(super) const ATTACKERS: Choices<Attackers, 3> = [
    (
        Attackers::Full,
        "full",
        mark!("All weights, as DreamBooth does"),
    ),
    (
        Attackers::LowRank,
        "low_rank",
        mark!("Low-rank corrections, as LoRA does"),
    ),
    (Attackers::Both, "both", mark!("Both, in turns")),
];

/// The mode of a budget and the attackers.
pub(super) fn mode(budget: Option<Budget>, attackers: Attackers) -> Mode {
    budget.map_or(Mode::Paper, |budget| Mode::Trajectory { budget, attackers })
}

/// The budget and the attackers of a mode.
pub(super) fn parts(mode: Mode) -> (Option<Budget>, Attackers) {
    match mode {
        Mode::Paper => (None, Attackers::default()),
        Mode::Trajectory { budget, attackers } => (Some(budget), attackers),
    }
}

/// Every kind of subject.
pub(super) const SUBJECTS: Choices<SubjectKind, 3> = [
    (SubjectKind::Object, "object", mark!("A thing or animal")),
    (SubjectKind::Person, "person", mark!("A person")),
    (SubjectKind::Style, "style", mark!("A style")),
];

/// Every place of a patch.
pub(super) const POSITIONS: Choices<Position, 5> = [
    (Position::Centre, "centre", mark!("In the middle")),
    (Position::TopLeft, "top_left", mark!("Upper left")),
    (Position::TopRight, "top_right", mark!("Upper right")),
    (Position::BottomLeft, "bottom_left", mark!("Lower left")),
    (Position::BottomRight, "bottom_right", mark!("Lower right")),
];

/// The name of a value.
pub(super) fn name_of<T: Copy + PartialEq, const N: usize>(
    choices: &Choices<T, N>,
    value: T,
) -> &'static str {
    let found = choices.iter().find(|(other, ..)| *other == value);
    found.map_or(choices[0].1, |(_, name, _)| name)
}

/// The value of a name.
pub(super) fn chosen<T: Copy, const N: usize>(choices: &Choices<T, N>, name: &str) -> T {
    let found = choices.iter().find(|(_, other, _)| *other == name);
    found.map_or(choices[0].0, |(value, ..)| *value)
}

/// Names and words, as a list shows them.
pub(super) fn options<T, const N: usize>(choices: &Choices<T, N>) -> Vec<(String, String)> {
    choices
        .iter()
        .map(|(_, name, words)| ((*name).to_owned(), say(words).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_choices_round_trip() {
        fn holds<T: Copy + PartialEq + std::fmt::Debug, const N: usize>(choices: &Choices<T, N>) {
            for (value, name, _) in choices {
                assert_eq!(chosen(choices, name), *value);
                assert_eq!(name_of(choices, *value), *name);
            }
        }
        holds(&RETENTIONS);
        holds(&MODES);
        holds(&SUBJECTS);
        holds(&POSITIONS);
        holds(&ATTACKERS);
        assert_eq!(chosen(&MODES, "nonsense"), None);
        assert_eq!(chosen(&SUBJECTS, ""), SubjectKind::default());
    }

    #[test]
    fn a_mode_is_its_parts() {
        let strong = Mode::Trajectory {
            budget: Budget::Strong,
            attackers: Attackers::Both,
        };
        for whole in [Mode::Paper, strong] {
            let (budget, attackers) = parts(whole);
            assert_eq!(mode(budget, attackers), whole);
        }
    }
}
