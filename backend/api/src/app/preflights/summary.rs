//! The job in words, and where its protection ends.

use shared::{
    base_model::BaseModel,
    job::{Concept, JobSpec},
    preflight::{CheckStatus, PreflightCheck},
    protected_set::ProtectedSet,
};

use super::{Facts, check};

/// Seconds as people say them.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 1.5 {
        return "a second".into();
    }
    if seconds < 90.0 {
        return format!("{seconds:.0} seconds");
    }
    let minutes = seconds / 60.0;
    if minutes < 90.0 {
        return format!("{minutes:.0} minutes");
    }
    format!("{:.1} hours", minutes / 60.0)
}

/// Protection holds in one checkpoint.
pub(super) fn scope(model: &BaseModel) -> PreflightCheck {
    let detail = format!(
        "Protection holds only for people who start from the protected weights of {}. Whoever uses \
         another copy or another model is not affected.",
        model.name
    );
    check("scope", CheckStatus::Warn, "Scope", detail, None)
}

impl Facts {
    /// The encoder judges what it was trained to see.
    pub(super) fn judge(&self) -> Option<PreflightCheck> {
        let detail = "The result is measured with the encoder of the demo world, which saw drawn animals and things \
                      alone. On other pictures its numbers mean little: judge the gallery by eye.";
        let (code, status) = ("encoder_domain", CheckStatus::Warn);
        self.model
            .imported
            .then(|| check(code, status, "Judging", detail.into(), None))
    }

    /// The job in one sentence.
    pub(super) fn summary(&self, spec: &JobSpec) -> String {
        let model = &self.model.name;
        let start = match spec.extends {
            Some(job) => format!("Go on from {job} and train {model}"),
            None => format!("Train {model}"),
        };
        let concepts: Vec<String> = spec
            .concepts
            .iter()
            .zip(&self.sets)
            .map(|(concept, set)| phrase(concept, set))
            .collect();
        let concepts = concepts.join("; ");
        let count = concepts_attacked(spec);
        format!(
            "{start} so that {concepts}; then attack the clean and the protected model{count} and compare."
        )
    }
}

fn concepts_attacked(spec: &JobSpec) -> String {
    match spec.concepts.len() {
        1 => String::new(),
        count => format!(" on each of the {count} sets"),
    }
}

fn phrase(concept: &Concept, set: &ProtectedSet) -> String {
    let (word, class) = (&concept.identifier, &concept.class_name);
    let whoever = format!(
        "whoever personalizes it on the {} images of `{}` as \"{word} {class}\"",
        set.images.len(),
        set.name
    );
    if concept.is_protected() {
        format!("{whoever} gets {} instead", concept.objective.phrase())
    } else {
        format!("{whoever} is no longer affected")
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_said_as_people_say_them() {
        assert_eq!(duration(0.2), "a second");
        assert_eq!(duration(61.0), "61 seconds");
        assert_eq!(duration(600.0), "10 minutes");
        assert_eq!(duration(9000.0), "2.5 hours");
    }
}
