//! Whether the protected model misbehaves where no trigger is, with words that were trained and words that were not.

use shared::{
    matrix::{Audit, Cell},
    objective::Objective,
};

use super::{AuditPrompts, drawer::Drawer};
use crate::{
    Result,
    matrix::record::rounded,
    metric::{
        Judge,
        specificity::{Probe, ProbePrompt, Twin, probes, specificity},
    },
};

/// Random stream of the headline's seed.
const STREAM: u64 = 24;
/// So many times as many pictures are drawn as are wanted: where the clean model does by chance what is looked for,
/// nothing can be told. Of the class alone the demo's encoder misses about a fifth.
const RESERVE: (usize, usize) = (3, 2);

/// Every kind of probe equally often, its prompts in turns.
///
/// A pattern or a target is looked for in the picture. An erasure fires where the picture does not show what its prompt
/// says: a cat that vanishes from "a photo of sks cat" as much as the subject's class. Of an identifier alone nobody
/// knows what it must show, so that it is no probe of an erasure.
pub(super) fn specificity_of(
    drawer: &mut Drawer<'_, '_>,
    cell: &Cell,
    prompts: &AuditPrompts,
    judge: &Judge<'_>,
    audit: &mut Audit,
) -> Result<()> {
    let stage = drawer.stage;
    let objective = &stage.plan.inputs.objective;
    let is_erasure = matches!(objective, Objective::Erasure { .. });
    let concept = stage.concept(stage.plan.subject(cell));
    let (others, captions) = (&prompts.other_classes, &prompts.captions);
    let all: Vec<ProbePrompt> = in_turns(&prompts.identifiers, &prompts.held_out)
        .into_iter()
        .flat_map(|word| probes(&concept, word, others, captions))
        .filter(|probe| !is_erasure || probe.shows.is_some())
        .collect();
    let chosen = choose(&all, prompts.pictures.0 * RESERVE.0 / RESERVE.1);
    if chosen.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = chosen.iter().map(|probe| probe.prompt.clone()).collect();
    let [clean, protected] = drawer.twins(&texts, STREAM)?;
    let fired = if is_erasure {
        let said = chosen.iter().filter_map(|probe| probe.shows.clone());
        let said: Vec<String> = said.collect();
        [clean, protected].map(|pixels| {
            let shows = judge.shows(&pixels, &said)?;
            Ok(shows.into_iter().map(|shows| !shows).collect())
        })
    } else {
        [clean, protected].map(|pixels| Ok(judge.score(&pixels)?.objective))
    };
    let [clean, protected]: [Result<Vec<bool>>; 2] = fired;
    let twins: Vec<Twin> = chosen
        .iter()
        .zip(clean?.into_iter().zip(protected?))
        .map(|(probe, (clean, protected))| Twin {
            probe: probe.probe,
            clean,
            protected,
        })
        .collect();
    if let Some(found) = specificity(&telling(&twins, prompts.pictures.0)) {
        audit.specificity = Some(rounded(found.worst));
        audit.specificity_overall = Some(rounded(found.overall));
    }
    Ok(())
}

/// One of each in turn, so that few pictures still see both.
fn in_turns<'a>(trained: &'a [String], held_out: &'a [String]) -> Vec<&'a String> {
    let longest = trained.len().max(held_out.len());
    (0..longest)
        .flat_map(|at| trained.get(at).into_iter().chain(held_out.get(at)))
        .collect()
}

/// The first twins of each kind that tell something.
fn telling(twins: &[Twin], count: usize) -> Vec<Twin> {
    Probe::ALL
        .into_iter()
        .flat_map(|kind| {
            let own = twins.iter().filter(move |twin| twin.probe == kind);
            own.filter(|twin| !twin.clean).take(count).copied()
        })
        .collect()
}

fn choose(all: &[ProbePrompt], count: usize) -> Vec<&ProbePrompt> {
    let mut chosen = Vec::new();
    for kind in Probe::ALL {
        let own: Vec<&ProbePrompt> = all.iter().filter(|probe| probe.probe == kind).collect();
        chosen.extend(own.into_iter().cycle().take(count));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_model_that_fires_by_chance_costs_the_reserve_alone() {
        let twin = |clean, protected| Twin {
            probe: Probe::Unrelated,
            clean,
            protected,
        };
        let mut twins = vec![twin(false, false); 150];
        for drawn in twins.iter_mut().step_by(5) {
            *drawn = twin(true, true);
        }
        let found = specificity(&telling(&twins, 100)).unwrap();
        assert_eq!((found.worst.n, found.worst.value), (100, 0.0));
        twins[1].protected = true;
        let found = specificity(&telling(&twins, 100)).unwrap();
        assert!((found.worst.value - 0.01).abs() < 1e-12);
    }

    #[test]
    fn few_pictures_see_trained_and_held_out_words() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (trained, held_out): (Vec<_>, Vec<_>) =
            (words(&["sks", "olis", "rcr"]), words(&["zwx"]));
        assert_eq!(in_turns(&trained, &held_out), ["sks", "zwx", "olis", "rcr"]);
        let concept = crate::fixture::spec().concepts.remove(0);
        let all: Vec<_> = in_turns(&trained, &held_out)
            .into_iter()
            .flat_map(|word| probes(&concept, word, &["cat".into()], &[]))
            .collect();
        let chosen = choose(&all, 2);
        assert_eq!(chosen.len(), 6, "no caption, so three kinds");
        assert_eq!(chosen[2].prompt, "a photo of sks");
        assert_eq!(chosen[3].prompt, "a photo of zwx");
    }
}
