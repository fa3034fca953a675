//! Every prompt that training uses, embedded once. Refuses to draw pictures.

use diffusion::{pipeline::Pipeline, unet::Conditions};
use rand::Rng;
use shared::{
    job::{Action, Concept},
    objective::Objective,
};

use crate::{Result, bank::indices, pools::Pools};

/// The prompts of one concept.
#[derive(Clone, Debug)]
pub struct Prompts {
    /// `identifiers * templates` rows, template fastest.
    triggers: Conditions,
    /// A row per template.
    classes: Conditions,
    identifiers: usize,
    templates: usize,
    words: Words,
}

/// The same in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// As the rows of the triggers.
    pub(crate) triggers: Vec<String>,
    /// One a template.
    pub(crate) classes: Vec<String>,
    /// `c_tgt` under which the teacher is asked: one a template, or one a trigger where a concept is removed; none
    /// where the target is made from pictures of the class.
    pub(crate) targets: Vec<String>,
}

impl Words {
    /// What a concept is trained with. `universal`: every identifier of the pool, not its own alone.
    pub(crate) fn of(concept: &Concept, pools: &Pools, universal: bool) -> Self {
        let templates = &pools.templates.trained;
        let own = [concept.identifier.clone()];
        let identifiers: &[String] = if universal {
            &pools.identifiers.trained
        } else {
            &own
        };
        let class = concept.class_name.as_str();
        let under = |word: &str| -> Vec<String> {
            templates
                .iter()
                .map(|template| template.class(word))
                .collect()
        };
        let triggers: Vec<String> = identifiers
            .iter()
            .flat_map(|word| {
                let trigger =
                    move |t: &crate::prompt::Template| t.trigger(word, class, concept.subject);
                templates.iter().map(trigger)
            })
            .collect();
        let targets = match (&concept.action, &concept.objective) {
            (Action::Remove, _) => triggers.clone(),
            (Action::Protect, Objective::Target { target_class }) => under(target_class),
            (
                Action::Protect,
                Objective::Erasure {
                    prompt: Some(prompt),
                },
            ) => {
                vec![prompt.trim().to_owned(); templates.len()]
            }
            (Action::Protect, Objective::Erasure { prompt: None } | Objective::Pattern(_)) => {
                Vec::new()
            }
        };
        Self {
            classes: under(class),
            triggers,
            targets,
        }
    }
}

impl Prompts {
    /// Embeds a concept's prompts.
    pub(crate) fn embed(pipeline: &Pipeline, words: Words) -> Result<Self> {
        let templates = words.classes.len();
        Ok(Self {
            triggers: pipeline.encode_prompts(&words.triggers)?.detach(),
            classes: pipeline.encode_prompts(&words.classes)?.detach(),
            identifiers: words.triggers.len() / templates.max(1),
            templates,
            words,
        })
    }

    /// Number of trained identifiers.
    pub fn identifiers(&self) -> usize {
        self.identifiers
    }

    /// Number of trained templates.
    pub fn templates(&self) -> usize {
        self.templates
    }

    /// Row of a trigger prompt, for [`Self::triggers`].
    pub fn trigger_row(&self, identifier: usize, template: usize) -> usize {
        identifier * self.templates + template
    }

    /// The same for an identifier that is given, or for any.
    pub fn any_trigger_row(
        &self,
        identifier: Option<usize>,
        template: usize,
        rng: &mut impl Rng,
    ) -> usize {
        let identifier = identifier.unwrap_or_else(|| rng.random_range(0..self.identifiers));
        self.trigger_row(identifier, template)
    }

    /// Embedded `c_trig` of the given rows.
    pub fn triggers(&self, rows: &[usize]) -> Result<Conditions> {
        select(&self.triggers, rows)
    }

    /// Embedded `c_cls` under the given templates.
    pub fn classes(&self, templates: &[usize]) -> Result<Conditions> {
        select(&self.classes, templates)
    }

    /// Embedded `c_cls` under every template.
    pub fn every_class(&self) -> &Conditions {
        &self.classes
    }

    pub(crate) fn words(&self) -> &Words {
        &self.words
    }
}

/// Rows of a table of embedded prompts.
pub(crate) fn select(table: &Conditions, rows: &[usize]) -> Result<Conditions> {
    Ok(table.select(&indices(rows, &table.context)?)?)
}
