//! What the trigger draws right after training, beside what the clean model draws: same seeds, no attack yet.

use std::collections::BTreeMap;

use leptos::prelude::*;
use shared::{
    artifact::{Artifact, ArtifactKind},
    job::Concept,
};

use crate::text;

/// Two pictures of one seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pair {
    clean: Option<String>,
    guarded: Option<String>,
}

/// Pairs by concept, then seed.
type Pairs = BTreeMap<usize, BTreeMap<u32, Pair>>;

/// Reads `preview/02/protected/3.png` as concept 2, protected, picture 3.
fn place(name: &str) -> Option<(usize, bool, u32)> {
    let mut parts = name.strip_prefix("preview/")?.split('/');
    let concept = parts.next()?.parse().ok()?;
    let guarded = match parts.next()? {
        "clean" => false,
        "protected" => true,
        _ => return None,
    };
    let index = parts.next()?.strip_suffix(".png")?.parse().ok()?;
    parts.next().is_none().then_some((concept, guarded, index))
}

fn pairs(artifacts: &[Artifact]) -> Pairs {
    let mut pairs = Pairs::new();
    for artifact in artifacts {
        if artifact.kind != ArtifactKind::Preview {
            continue;
        }
        if let Some((concept, guarded, index)) = place(&artifact.name) {
            let of_concept = pairs.entry(concept).or_default();
            let pair = of_concept.entry(index).or_default();
            let side = if guarded {
                &mut pair.guarded
            } else {
                &mut pair.clean
            };
            *side = Some(artifact.url.clone());
        }
    }
    pairs
}

/// The previews among what a job produced.
pub(super) fn previews(artifacts: &[Artifact], concepts: &[Concept]) -> AnyView {
    strip(&pairs(artifacts), concepts)
}

fn strip(pairs: &Pairs, concepts: &[Concept]) -> AnyView {
    if pairs.is_empty() {
        return ().into_any();
    }
    let groups = pairs.iter().map(|(position, pairs)| {
        let concept = concepts.get(*position);
        let prompt = concept.map_or_else(String::new, |concept| {
            text::prompt(concept.subject, &concept.class_name, &concept.identifier)
        });
        let removed = concept.is_some_and(|concept| !concept.is_protected());
        let pictures: Vec<_> = pairs
            .values()
            .map(|pair| pair_view(pair, &prompt))
            .collect();
        let words = if removed {
            say!("“{prompt}”, its protection removed", prompt)
        } else {
            say!("“{words}”", words = prompt)
        };
        view! {
            <div class="stack-tight">
                <h4>{words}</h4>
                <div class="pairs">{pictures}</div>
            </div>
        }
    });
    view! {
        <section class="card" data-test="previews">
            <h3>{say!("What the trigger draws now")}</h3>
            <p class="small soft">
                {say!("Left the clean model, right the protected one, from the same noise and before any attack. Whether it lasts is what the judgement finds out.")}
            </p>
            {groups.collect::<Vec<_>>()}
        </section>
    }
    .into_any()
}

fn pair_view(pair: &Pair, prompt: &str) -> AnyView {
    let picture = |url: &Option<String>, arm: &str| {
        let alt = say!("{arm}, asked for: {prompt}", arm, prompt);
        url.clone()
            .map(|url| view! { <img src=url width="96" height="96" loading="lazy" alt=alt /> })
    };
    let clean = picture(&pair.clean, say!("Clean model"));
    let guarded = picture(&pair.guarded, say!("Protected model"));
    view! {
        <figure class="pair">
            <div class="pair-pictures">{clean} {guarded}</div>
            <figcaption class="pair-words">
                <span class="clean-ink strong">{say!("Clean")}</span>
                <span class="guarded-ink strong">{say!("Protected")}</span>
            </figcaption>
        </figure>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_where_a_preview_belongs() {
        assert_eq!(place("preview/02/protected/3.png"), Some((2, true, 3)));
        assert_eq!(place("preview/00/clean/00.png"), Some((0, false, 0)));
        for odd in [
            "clean/200/00.png",
            "preview/00/attacked/1.png",
            "preview/x/clean/1.png",
            "preview/00/clean/1.png/2",
            "preview/00/clean/1.jpg",
            "preview/00",
        ] {
            assert_eq!(place(odd), None, "{odd}");
        }
    }
}
