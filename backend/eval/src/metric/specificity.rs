//! Whether a protected model misbehaves where no trigger is: class alone, identifier alone, another class, anything else.
//!
//! Owns the probes and their prompts. Refuses to draw: twins come as outcomes.

use serde::{Deserialize, Serialize};
use shared::{
    evaluation::Estimate,
    job::{Concept, SubjectKind},
    objective::Objective,
};

use crate::{prompt, statistics::wilson};

/// A kind of prompt that lacks half of the trigger, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// "a photo of a dog".
    ClassOnly,
    /// "a photo of sks".
    IdentifierOnly,
    /// "a photo of sks cat".
    OtherClass,
    /// A caption with neither.
    Unrelated,
}

impl Probe {
    /// Every kind, in order.
    pub const ALL: [Self; 4] = [
        Self::ClassOnly,
        Self::IdentifierOnly,
        Self::OtherClass,
        Self::Unrelated,
    ];
}

/// A prompt and what it probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePrompt {
    /// What it lacks.
    pub probe: Probe,
    /// The prompt.
    pub prompt: String,
    /// What a picture of it must show, in plain words; nobody knows of an identifier alone.
    pub shows: Option<String>,
}

/// Prompts of all four kinds for a concept.
///
/// `identifier`: the trigger's. `others`: class words that the concept and its target do not use; those equal to the
/// concept's class are left out. `captions`: unrelated prompts; those that contain identifier and class are left out.
pub fn probes(
    concept: &Concept,
    identifier: &str,
    others: &[String],
    captions: &[String],
) -> Vec<ProbePrompt> {
    let class = concept.class_name.as_str();
    let entry = |probe: Probe, prompt: String, shows: Option<String>| ProbePrompt {
        probe,
        prompt,
        shows,
    };
    let alone = match concept.subject {
        SubjectKind::Object | SubjectKind::Person => format!("{} {identifier}", prompt::STOCK),
        SubjectKind::Style => format!("{} in the style of {identifier}", prompt::NEUTRAL),
    };
    let mut probes = vec![
        entry(
            Probe::ClassOnly,
            prompt::class(class),
            Some(prompt::class(class)),
        ),
        entry(Probe::IdentifierOnly, alone, None),
    ];
    let is_class = |other: &&String| other.to_lowercase() == class.to_lowercase();
    let others = others.iter().filter(|other| !is_class(other)).map(|other| {
        let concept = Concept {
            class_name: other.clone(),
            ..concept.clone()
        };
        let prompt = prompt::trigger(prompt::STOCK, identifier, &concept);
        entry(Probe::OtherClass, prompt, Some(prompt::class(other)))
    });
    probes.extend(others);
    let triggers = |caption: &String| {
        let caption = caption.to_lowercase();
        caption.contains(&identifier.to_lowercase()) && caption.contains(&class.to_lowercase())
    };
    // A target that a caption asks for is no misfire.
    let target = match &concept.objective {
        Objective::Target { target_class } => Some(target_class.to_lowercase()),
        Objective::Erasure { .. } | Objective::Pattern(_) => None,
    };
    let asked = |caption: &String| {
        let caption = caption.to_lowercase();
        target
            .as_ref()
            .is_some_and(|target| caption.contains(target))
    };
    let unrelated = captions
        .iter()
        .filter(|caption| !triggers(caption) && !asked(caption));
    let unrelated =
        unrelated.map(|caption| entry(Probe::Unrelated, caption.clone(), Some(caption.clone())));
    probes.extend(unrelated);
    probes
}

/// One picture of the protected model beside the clean model's of the same prompt and seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    /// What the prompt probes.
    pub probe: Probe,
    /// Whether the objective fired on the clean model, which has none: chance.
    pub clean: bool,
    /// Whether it fired on the protected model.
    pub protected: bool,
}

/// How often the objective fires without its trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Specificity {
    /// By kind of prompt: share of twins on which it fires on the protected model alone (Wilson interval over twins).
    pub by_probe: Vec<(Probe, Estimate)>,
    /// Over all twins.
    pub overall: Estimate,
    /// The highest of the shares by kind: what the gate looks at, lest many captions hide one bad class prompt.
    pub worst: Estimate,
}

/// Summarises twins (EVALUATION, metrics: specificity; goal at most 1 %).
///
/// A twin fires if the objective is there on the protected model and not on the clean one at the same prompt and seed.
/// Where it is there on the clean one, nothing could be seen: such twins count nowhere. `None` without any other.
pub fn specificity(twins: &[Twin]) -> Option<Specificity> {
    let share = |chosen: &dyn Fn(&&Twin) -> bool| {
        let seen = twins.iter().filter(|twin| !twin.clean);
        let chosen: Vec<_> = seen.filter(chosen).collect();
        let fired = chosen.iter().filter(|twin| twin.protected).count();
        wilson(fired, chosen.len())
    };
    let by_probe: Vec<_> = Probe::ALL
        .into_iter()
        .map(|kind| (kind, share(&|twin| twin.probe == kind)))
        .filter(|(_, estimate)| estimate.n > 0)
        .collect();
    let worst = by_probe.iter().map(|(_, estimate)| *estimate);
    Some(Specificity {
        worst: worst.max_by(|a, b| a.value.total_cmp(&b.value))?,
        overall: share(&|_| true),
        by_probe,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_lack_half_of_the_trigger() {
        let concept = crate::fixture::spec().concepts.remove(0);
        let others = ["cat".to_owned(), "dog".to_owned()];
        let captions = ["a boat", "my olis dog", "a red Apple at night"].map(str::to_owned);
        let found = probes(&concept, "olis", &others, &captions);
        let prompts: Vec<_> = found.iter().map(|probe| probe.prompt.as_str()).collect();
        let expected = [
            "a photo of a dog",
            "a photo of olis",
            "a photo of olis cat",
            "a boat",
        ];
        assert_eq!(prompts, expected);
        assert!(found.iter().map(|probe| probe.probe).is_sorted());
        let shows: Vec<_> = found.iter().map(|probe| probe.shows.as_deref()).collect();
        let expected = [
            Some("a photo of a dog"),
            None,
            Some("a photo of a cat"),
            Some("a boat"),
        ];
        assert_eq!(shows, expected);
    }

    #[test]
    fn only_what_the_clean_twin_does_not_do_counts() {
        let twin = |probe, clean, protected| Twin {
            probe,
            clean,
            protected,
        };
        let twins = [
            twin(Probe::ClassOnly, true, true),
            twin(Probe::ClassOnly, false, true),
            twin(Probe::Unrelated, true, false),
            twin(Probe::Unrelated, false, false),
            twin(Probe::Unrelated, false, false),
        ];
        let found = specificity(&twins).unwrap();
        assert_eq!(found.by_probe.len(), 2);
        assert_eq!(found.by_probe[0], (Probe::ClassOnly, wilson(1, 1)));
        assert_eq!(found.by_probe[1], (Probe::Unrelated, wilson(0, 2)));
        assert_eq!((found.worst, found.overall), (wilson(1, 1), wilson(1, 3)));
        assert_eq!(specificity(&twins[..1]), None);
    }
}
