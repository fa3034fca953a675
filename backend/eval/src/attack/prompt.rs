//! The attacker's words: prompts made of a recipe's modes, a concept and pools. Refuses to know where pools come from.

use shared::{
    attack::{AttackRecipe, ClassWord, Family, IdentifierMode, TemplateMode},
    job::{Concept, SubjectKind},
};

use crate::{Error, Result, prompt};

/// What an attacker may choose words from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pools {
    /// Identifiers that injection trained beside the concept's own.
    pub pool: Vec<String>,
    /// Identifiers that injection never saw.
    pub held_out: Vec<String>,
    /// Natural names.
    pub natural: Vec<String>,
    /// Beginnings of prompts that injection trained; without any the stock one counts.
    pub templates: Vec<String>,
    /// Beginnings of prompts that injection never saw.
    pub held_out_templates: Vec<String>,
    /// A caption for each of the attacker's images: [`super::caption`] makes them where the domain allows.
    pub image_captions: Vec<String>,
    /// Captions of other images of the model's domain, such as those of a model's card; clean fine-tuning draws under
    /// those that name the class, and no image of the attacker's is called by one.
    pub captions: Vec<String>,
}

/// A word that the attack adds to the vocabulary, as in Textual Inversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// As it stands in prompts: `<olis>`.
    pub token: String,
    /// The word whose embedding it starts as; of several tokens it takes as many.
    pub initializer: String,
}

/// Every prompt of an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What the attacker calls the subject within a prompt: `olis dog`, or a placeholder.
    pub subject: String,
    /// One prompt an instance image.
    pub instance: Vec<String>,
    /// The prompt of prior preservation.
    pub class: String,
    /// The prompt of the judged pictures.
    pub drawing: String,
    /// Captions of clean fine-tuning; without any the class prompt counts.
    pub class_captions: Vec<String>,
    /// What Textual Inversion and Custom Diffusion train.
    pub placeholder: Option<Placeholder>,
}

fn lacking(what: &str) -> Error {
    Error::AttackInput {
        input: "pools",
        reason: format!("there is no {what}"),
    }
}

/// The attacker's identifier: entry `index` of the mode's pool, counted in rounds; the concept's own is left out.
pub fn identifier<'a>(
    mode: IdentifierMode,
    concept: &'a Concept,
    pools: &'a Pools,
    index: usize,
) -> Result<&'a str> {
    let (pool, what) = match mode {
        IdentifierMode::Same => return Ok(&concept.identifier),
        IdentifierMode::Pool => (&pools.pool, "other identifier that injection trained"),
        IdentifierMode::HeldOut => (&pools.held_out, "held-out identifier"),
        IdentifierMode::Natural => (&pools.natural, "natural name"),
    };
    let others: Vec<&String> = pool
        .iter()
        .filter(|word| word.to_lowercase() != concept.identifier.to_lowercase())
        .collect();
    match others.len() {
        0 => Err(lacking(what)),
        count => Ok(others[index % count]),
    }
}

/// The prompts of an attack on `images` images with this identifier.
///
/// Stock: "a photo of olis dog", and "a photo of a dog" for the class. Textual Inversion's placeholder stands for
/// identifier and class at once and starts as the class word (Gal et al., arXiv 2208.01618); Custom Diffusion's stands
/// for the identifier, starts as that word, and the class follows (Kumari et al., arXiv 2212.04488). The judged prompt
/// is the template's, also where captions are trained on. Where the class word is left out, the class prompt of prior
/// preservation keeps it.
pub fn words(
    recipe: &AttackRecipe,
    concept: &Concept,
    identifier: &str,
    pools: &Pools,
    images: usize,
) -> Result<Words> {
    let class = match &recipe.adaptive.class_word {
        ClassWord::Swapped { word } => word.as_str(),
        ClassWord::Kept | ClassWord::LeftOut => &concept.class_name,
    };
    let placeholder = placeholder(recipe.family, identifier, class);
    let token = placeholder
        .as_ref()
        .map_or(identifier, |placeholder| &placeholder.token);
    let stands_alone = recipe.family == Family::TextualInversion
        || recipe.adaptive.class_word == ClassWord::LeftOut;
    let subject = Subject {
        kind: concept.subject,
        token,
        class: (!stands_alone).then_some(class),
    };
    let template = match recipe.template {
        TemplateMode::Train | TemplateMode::Caption => pools
            .templates
            .first()
            .map_or(prompt::STOCK, String::as_str),
        TemplateMode::HeldOut => {
            let template = pools.held_out_templates.first();
            template.ok_or_else(|| lacking("held-out template"))?
        }
    };
    let drawing = subject.after(template);
    let instance = match recipe.template {
        TemplateMode::Train | TemplateMode::HeldOut => vec![drawing.clone(); images],
        TemplateMode::Caption => {
            let captions = captions(pools, images)?.iter();
            captions
                .map(|caption| subject.within(caption, &concept.class_name))
                .collect()
        }
    };
    let mentions = pools.captions.iter();
    let mentions = mentions.filter(|caption| mention(caption, &concept.class_name).is_some());
    Ok(Words {
        subject: subject.words(),
        instance,
        class: prompt::class(class),
        drawing,
        class_captions: mentions.cloned().collect(),
        placeholder,
    })
}

fn placeholder(family: Family, identifier: &str, class: &str) -> Option<Placeholder> {
    let initializer = match family {
        Family::TextualInversion => class,
        Family::CustomDiffusion => identifier,
        Family::DreamboothUnet | Family::DreamboothTextEncoder | Family::Lora { .. } => {
            return None;
        }
    };
    Some(Placeholder {
        token: format!("<{identifier}>"),
        initializer: initializer.to_owned(),
    })
}

/// A caption for every image; one of another image would tell what is not there.
fn captions(pools: &Pools, images: usize) -> Result<&[String]> {
    let own = &pools.image_captions;
    if own.is_empty() {
        return Err(lacking("caption of each image"));
    }
    if own.len() != images {
        return Err(Error::AttackInput {
            input: "pools",
            reason: format!("{} captions for {images} images", own.len()),
        });
    }
    Ok(own)
}

/// The subject as a part of sentences.
struct Subject<'a> {
    kind: SubjectKind,
    token: &'a str,
    class: Option<&'a str>,
}

impl Subject<'_> {
    /// "olis dog", "olis".
    fn words(&self) -> String {
        match (self.kind, self.class) {
            (SubjectKind::Style, _) | (_, None) => self.token.to_owned(),
            (_, Some(class)) => format!("{} {class}", self.token),
        }
    }

    /// The template's prompt.
    fn after(&self, template: &str) -> String {
        match (self.kind, self.class) {
            (SubjectKind::Style, Some(class)) => {
                let article = prompt::article(class);
                format!(
                    "{template} {article} {class} in the style of {}",
                    self.token
                )
            }
            (SubjectKind::Style, None) => {
                let template = template.strip_suffix(" of").unwrap_or(template);
                format!("{template} in the style of {}", self.token)
            }
            _ => format!("{template} {}", self.words()),
        }
    }

    /// A caption that names this subject in the place of its class.
    fn within(&self, caption: &str, class: &str) -> String {
        if self.kind == SubjectKind::Style {
            return format!("{caption} in the style of {}", self.token);
        }
        let Some(place) = mention(caption, class) else {
            return format!("{}, {caption}", self.words());
        };
        let words: Vec<&str> = caption.split_whitespace().collect();
        let articles = ["a", "an", "the"];
        let led = place > 0
            && articles
                .iter()
                .any(|article| words[place - 1].eq_ignore_ascii_case(article));
        let ending = &words[place][class.len()..];
        let own = format!("{}{ending}", self.words());
        let before = &words[..place - usize::from(led)];
        let after = &words[place + 1..];
        [before, &[own.as_str()], after].concat().join(" ")
    }
}

/// Position of the word of a caption that names the class; a comma or full stop may follow it.
fn mention(caption: &str, class: &str) -> Option<usize> {
    let is_class = |word: &str| {
        let bare = word.trim_end_matches(['.', ',', ';', ':', '!', '?']);
        bare.eq_ignore_ascii_case(class) && bare.len() == class.len()
    };
    caption.split_whitespace().position(is_class)
}

#[cfg(test)]
mod tests;
