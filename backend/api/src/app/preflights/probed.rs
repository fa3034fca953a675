//! What a node found out about this specification before the launch.

use shared::{
    JobId, OrganisationId,
    artifact::ArtifactKind,
    job::{Injection, JobKind, JobSpec, Retention, SubjectKind},
    preflight::{CheckStatus, PreflightCheck},
    probe::{ConceptProbe, KNOWN_SHARE, Nearby, ProbeReport},
};
use store::{JobRecord, ProbesOf};

use super::{Subject, check, summary::duration};
use crate::{
    app::{App, blobs, estimates},
    dispatch::probe::MAX_BYTES,
    error::Error,
};

/// Probes of a set that are looked at, newest first, so many at a time: the first one is nearly always the one.
const PAGE: u64 = 5;
const PAGES: u32 = 10;
/// A prompt this near to the trigger is likely to fire it.
const TOO_NEAR: f64 = 0.95;
/// Prompts that are listed.
const LISTED: usize = 3;

/// The probe of a specification's concepts in its base model.
pub(super) enum Probe {
    /// Nobody asked for one.
    None,
    /// It has not ended.
    UnderWay(JobId),
    /// It has, and found this out for what it was told.
    Done(Box<(JobRecord, ProbeReport)>),
}

impl Probe {
    /// The newest one that succeeded, or else one that is under way.
    pub(super) async fn find(
        app: &App,
        owner: OrganisationId,
        spec: &JobSpec,
    ) -> Result<Self, Error> {
        if let Some(done) = newest(app, owner, spec, false).await? {
            return Self::done(app, done).await;
        }
        let waiting = newest(app, owner, spec, true).await?;
        Ok(waiting.map_or(Self::None, |probe| Self::UnderWay(probe.id)))
    }

    async fn done(app: &App, job: JobRecord) -> Result<Self, Error> {
        let files = app.store().list_artifacts(job.owner_id, job.id).await?;
        let file = files
            .into_iter()
            .find(|file| file.kind == ArtifactKind::Probe);
        let Some(file) = file else {
            return Ok(Self::None);
        };
        let report = blobs::read_json(app, &file.sha256, MAX_BYTES).await?;
        Ok(Self::Done(Box::new((job, report))))
    }

    pub(super) fn job(&self) -> Option<JobId> {
        match self {
            Self::None => None,
            Self::UnderWay(id) => Some(*id),
            Self::Done(done) => Some(done.0.id),
        }
    }

    /// What was found for the concept at a position.
    pub(super) fn concept(&self, position: usize) -> Option<&ConceptProbe> {
        match self {
            Self::Done(done) => done.1.concepts.get(position),
            Self::None | Self::UnderWay(_) => None,
        }
    }

    /// The plan of a step, where the probe planned the same kind of step.
    pub(super) fn planned(&self, spec: &JobSpec) -> Option<&ProbeReport> {
        let Self::Done(done) = self else {
            return None;
        };
        let (known, wanted) = (&done.0.spec.injection, &spec.injection);
        // Excursions and an average keep copies of the weights, and retention has rows of its own.
        let of = |injection: &Injection| {
            let retained =
                injection.retention != Retention::Off && injection.lambda_retention > 0.0;
            let averaged = injection.averaging > 0.0;
            (averaged, retained, injection.batch_size, injection.mode)
        };
        (of(known) == of(wanted)).then_some(&done.1)
    }

    /// What is missing without one.
    pub(super) async fn note(
        &self,
        app: &App,
        spec: &JobSpec,
    ) -> Result<Option<PreflightCheck>, Error> {
        let detail = match self {
            Self::Done(_) => return Ok(None),
            Self::UnderWay(_) => {
                "A probe of these concepts is under way. Look again once it has ended.".into()
            }
            Self::None => {
                let time = match estimates::of_kind(app, JobKind::Probe, spec).await? {
                    Some(range) => {
                        format!("Earlier ones took up to {} here.", duration(range.high))
                    }
                    None => "How long that takes here is known after the first one.".into(),
                };
                format!(
                    "Start a probe to learn whether the base model draws this subject already, which other prompts lie \
                     near the trigger, and how much memory and time a step takes. {time}"
                )
            }
        };
        let code = "not_probed";
        Ok(Some(check(code, CheckStatus::Warn, "Probe", detail, None)))
    }
}

/// The newest probe of exactly these concepts, among those that are looked at.
async fn newest(
    app: &App,
    owner: OrganisationId,
    spec: &JobSpec,
    active: bool,
) -> Result<Option<JobRecord>, Error> {
    let Some(first) = spec.concepts.first() else {
        return Ok(None);
    };
    let which = ProbesOf {
        model: spec.base_model_id,
        set: first.protected_set_id,
        active,
    };
    let mut after = None;
    for _ in 0..PAGES {
        let probes = app.store().list_probes(owner, which, after, PAGE).await?;
        let Some(last) = probes.last() else {
            return Ok(None);
        };
        after = Some(last.id);
        let found = probes
            .into_iter()
            .find(|probe| probe.spec.concepts == spec.concepts);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

impl Subject<'_> {
    /// What the probe found for this concept.
    pub(super) fn probed(&self, found: &ConceptProbe) -> Vec<PreflightCheck> {
        vec![
            self.known(found),
            self.tokens(found.identifier_tokens),
            self.blast_radius(&found.nearby),
        ]
    }

    fn known(&self, found: &ConceptProbe) -> PreflightCheck {
        let (status, detail) = match found.familiarity.filter(|found| found.n > 0) {
            None => (
                CheckStatus::Warn,
                "Whether the base model draws this subject already could not be measured.".into(),
            ),
            Some(found) => {
                let numbers = format!(
                    "Of {} pictures that it drew of the class alone, {:.0} % are as near to your images as those are \
                     to one another (mean similarity {:.2}; among your images {:.2}).",
                    found.n,
                    found.known_share * 100.0,
                    found.class_only,
                    found.among_images
                );
                if found.known_share > KNOWN_SHARE {
                    let meaning =
                        "The base already draws this subject; protection cannot take that away.";
                    (CheckStatus::Warn, format!("{meaning} {numbers}"))
                } else {
                    let meaning = "The base does not draw this subject by itself.";
                    (CheckStatus::Pass, format!("{meaning} {numbers}"))
                }
            }
        };
        let (code, field) = ("subject_known", "class_name");
        self.check(code, status, "Subject", detail, field)
    }

    fn tokens(&self, tokens: u32) -> PreflightCheck {
        let word = &self.concept.identifier;
        let (status, detail) = if tokens == 1 {
            let detail = format!("`{word}` is one token of this model.");
            (CheckStatus::Pass, detail)
        } else {
            let detail = format!(
                "`{word}` is {tokens} tokens of this model, which weakens the trigger. Choose a word that is one."
            );
            (CheckStatus::Warn, detail)
        };
        let (code, field) = ("identifier_tokens", "identifier");
        self.check(code, status, "Identifier", detail, field)
    }

    fn blast_radius(&self, nearby: &[Nearby]) -> PreflightCheck {
        let mut nearby: Vec<&Nearby> = nearby.iter().collect();
        nearby.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        let listed: Vec<String> = nearby
            .iter()
            .take(LISTED)
            .map(|near| format!("\"{}\" ({:.2})", near.prompt, near.similarity))
            .collect();
        let nearest = nearby
            .iter()
            .find(|near| !self.is_class_prompt(&near.prompt));
        let (status, meaning) = match nearest {
            None => (CheckStatus::Warn, "No other prompt was compared."),
            Some(near) if near.similarity >= TOO_NEAR => (
                CheckStatus::Warn,
                "Another prompt is so near to the trigger that it may fire too. Choose a rarer identifier.",
            ),
            Some(_) => (
                CheckStatus::Pass,
                "No other prompt comes close to the trigger.",
            ),
        };
        let detail = match listed.as_slice() {
            [] => meaning.to_owned(),
            listed => format!("{meaning} Nearest: {}.", listed.join(", ")),
        };
        let (code, field) = ("blast_radius", "identifier");
        self.check(code, status, "Blast radius", detail, field)
    }

    /// "a photo of a dog" for a dog, "a painting" for a style of paintings: the trigger without its identifier.
    fn is_class_prompt(&self, prompt: &str) -> bool {
        let class = self.concept.class_name.to_lowercase();
        let prompt = prompt.to_lowercase();
        let is_article = |word: &&str| ["a", "an", "the"].contains(word);
        let words: Vec<&str> = prompt
            .split_whitespace()
            .filter(|word| !is_article(word))
            .collect();
        match (self.concept.subject, words.as_slice()) {
            (SubjectKind::Style, [medium]) => *medium == class,
            (_, ["photo", "of", subject]) => *subject == class,
            _ => false,
        }
    }
}
