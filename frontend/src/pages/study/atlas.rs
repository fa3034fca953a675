//! The breaking-point atlas: family by family, learning rates down, attack steps across; every square opens the twins
//! behind it. Untested squares are hatched, never hidden; words carry what colours repeat.

use std::collections::{BTreeMap, BTreeSet};

use leptos::prelude::*;
use shared::{attack::Family, matrix::CellResult, study::Study};

use crate::{
    components::compare::Compare,
    language::{decimal, reply, spoken},
    state::kept::keep,
    text::percent,
};

/// Pictures of each arm that a square shows.
const SHOWN: usize = 4;

/// One square.
#[derive(Clone, Debug, Default, PartialEq)]
struct Square {
    /// Hits of the clean and the protected model, and pictures of each.
    clean: f64,
    protected: f64,
    pictures: u32,
    /// Cells behind it: keys and numbers.
    cells: Vec<(u32, String)>,
    /// How many of them count.
    competent: usize,
}

/// A family with its rates and steps.
#[derive(Clone, Debug, PartialEq)]
struct Map {
    family: String,
    title: String,
    steps: Vec<u32>,
    rows: Vec<(f64, BTreeMap<u32, Square>)>,
}

fn key(family: Family) -> String {
    family.slug()
}

/// Every family of the cells that ended; with a report the untested ones are there too.
fn maps(study: &Study) -> Vec<Map> {
    let protected = |result: &&CellResult| result.cell.subject == 0;
    let cells: Vec<&CellResult> = study.cells.iter().filter(protected).collect();
    let mut order: Vec<Family> = Vec::new();
    let untested = study.report.iter().flat_map(|report| &report.not_tested);
    let planned = cells
        .iter()
        .map(|result| &result.cell)
        .chain(untested.filter(|cell| cell.subject == 0));
    let mut places: BTreeMap<String, (BTreeSet<u32>, Vec<f64>)> = BTreeMap::new();
    for cell in planned {
        if !order.contains(&cell.recipe.family) {
            order.push(cell.recipe.family);
        }
        let (steps, rates) = places.entry(key(cell.recipe.family)).or_default();
        steps.extend(&cell.recipe.checkpoints);
        if !rates.contains(&cell.learning_rate) {
            rates.push(cell.learning_rate);
        }
    }
    let map = |family: Family| {
        let (steps, mut rates) = places.remove(&key(family)).unwrap_or_default();
        rates.sort_by(f64::total_cmp);
        let own: Vec<&CellResult> = cells
            .iter()
            .copied()
            .filter(|result| result.cell.recipe.family == family)
            .collect();
        let rows = rates
            .into_iter()
            .map(|rate| (rate, row(&own, rate)))
            .collect();
        Map {
            family: key(family),
            title: reply(&family.title()),
            steps: steps.into_iter().collect(),
            rows,
        }
    };
    order.into_iter().map(map).collect()
}

fn row(cells: &[&CellResult], rate: f64) -> BTreeMap<u32, Square> {
    let mut squares: BTreeMap<u32, Square> = BTreeMap::new();
    for result in cells
        .iter()
        .filter(|result| result.cell.learning_rate.to_bits() == rate.to_bits())
    {
        for checkpoint in &result.checkpoints {
            let square = squares.entry(checkpoint.attack_step).or_default();
            let (clean, protected) = (checkpoint.clean.hit_rate, checkpoint.protected.hit_rate);
            square.clean += clean.value * f64::from(clean.n);
            square.protected += protected.value * f64::from(protected.n);
            square.pictures += protected.n;
            square.competent += usize::from(result.grade != shared::evaluation::Grade::NoEvidence);
            square.cells.push((result.cell.number, result.key.clone()));
        }
    }
    squares
}

impl Square {
    fn rate(&self, hits: f64) -> f64 {
        hits / f64::from(self.pictures.max(1))
    }

    /// For the eye: how often the attacker gets the subject from the protected model, in five shades.
    fn class(&self) -> &'static str {
        if self.competent == 0 {
            return "square square-none";
        }
        match self.rate(self.protected) {
            rate if rate < 0.05 => "square square-0",
            rate if rate < 0.25 => "square square-1",
            rate if rate < 0.5 => "square square-2",
            rate if rate < 0.75 => "square square-3",
            _ => "square square-4",
        }
    }

    /// For the ear.
    fn sentence(&self, step: u32) -> String {
        let evidence = if self.competent == 0 {
            say!("The attack did not work on the unprotected model: no evidence.")
        } else {
            ""
        };
        say!(
            "After {step} steps the subject appears in {protected} of {pictures} pictures with protection and in {clean} without. {evidence}",
            step,
            protected = decimal(self.protected, 0),
            pictures = self.pictures,
            clean = decimal(self.clean, 0),
            evidence
        )
    }
}

/// The chosen square: family, rate and step.
type Choice = (String, u64, u32);

#[component]
pub(super) fn Atlas(study: Study) -> impl IntoView {
    let maps = maps(&study);
    if maps.is_empty() {
        return ().into_any();
    }
    let chosen = keep("square", || RwSignal::new(None::<Choice>));
    let stored = StoredValue::new((maps.clone(), study));
    let tables = maps
        .into_iter()
        .map(|map| view! { <Table map=map chosen=chosen /> })
        .collect_view();
    let twins = move || {
        let (family, rate, step) = chosen.get()?;
        stored.with_value(|(maps, study)| {
            let map = maps.iter().find(|map| map.family == family)?;
            let (_, squares) = map.rows.iter().find(|(own, _)| own.to_bits() == rate)?;
            let square = squares.get(&step)?.clone();
            let title = say!(
                "{title}, learning rate {rate}, {step} steps",
                title = map.title,
                rate = f64::from_bits(rate),
                step
            );
            let pairs = pairs(study, &square, step);
            Some(view! { <Twins title=title sentence=square.sentence(step) pairs=pairs /> })
        })
    };
    view! {
        <section class="stack" aria-labelledby="atlas" data-test="atlas">
            <h2 id="atlas">{say!("Where it breaks")}</h2>
            <p class="small soft">
                {say!("Each square is an attack of a family at a learning rate after so many steps: the share of pictures that show the subject, with protection above, without below. Choose one to see the pictures. Hatched squares were not tested; squares with a dotted edge are no evidence, because the attack did not work on the unprotected model either.")}
            </p>
            <div class="atlas">{tables}</div>
            <div aria-live="polite">{twins}</div>
        </section>
    }
    .into_any()
}

#[component]
fn Table(map: Map, chosen: RwSignal<Option<Choice>>) -> impl IntoView {
    let Map {
        family,
        title,
        steps,
        rows,
    } = map;
    let head = steps
        .iter()
        .map(|step| view! { <th scope="col" class="cell-number">{*step}</th> })
        .collect_view();
    let body = rows
        .into_iter()
        .map(|(rate, squares)| {
            let cells = steps
                .iter()
                .map(|step| {
                    let place = (family.clone(), rate.to_bits(), *step);
                    let square = squares.get(step).cloned();
                    view! { <td><SquareView square=square place=place chosen=chosen /></td> }
                })
                .collect_view();
            view! { <tr><th scope="row" class="number">{spoken(&rate)}</th>{cells}</tr> }
        })
        .collect_view();
    let caption = title.clone();
    view! {
        <div class="table-frame" tabindex="0" role="region" aria-label=title>
            <table class="atlas-map">
                <caption>{caption}</caption>
                <thead><tr><th scope="col">{say!("Rate")}</th>{head}</tr></thead>
                <tbody>{body}</tbody>
            </table>
        </div>
    }
}

#[component]
fn SquareView(
    square: Option<Square>,
    place: Choice,
    chosen: RwSignal<Option<Choice>>,
) -> impl IntoView {
    let Some(square) = square else {
        return view! { <span class="square square-untested"><span class="visually-hidden">{say!("not tested")}</span></span> }.into_any();
    };
    let own = place.clone();
    let pressed = move || {
        if chosen.with(|chosen| chosen.as_ref() == Some(&own)) {
            "true"
        } else {
            "false"
        }
    };
    let label = square.sentence(place.2);
    view! {
        <button
            type="button"
            class=square.class()
            aria-pressed=pressed
            aria-label=label
            data-test="square"
            on:click=move |_| chosen.set(Some(place.clone()))
        >
            <span class="strong">{percent(square.rate(square.protected))}</span>
            <span class="small">{percent(square.rate(square.clean))}</span>
        </button>
    }
    .into_any()
}

/// Addresses of twins: clean and protected pictures of the same cell, step and place.
fn pairs(study: &Study, square: &Square, step: u32) -> Vec<(String, String)> {
    let url = |name: &str| study.pictures.get(name).cloned();
    let mut pairs = Vec::new();
    for (_, key) in &square.cells {
        for at in 0..SHOWN {
            let clean = url(&format!("{key}/clean/{step}/{at:02}.png"));
            let protected = url(&format!("{key}/protected/{step}/{at:02}.png"));
            pairs.extend(clean.zip(protected));
        }
    }
    pairs.truncate(12);
    pairs
}

#[component]
fn Twins(title: String, sentence: String, pairs: Vec<(String, String)>) -> impl IntoView {
    let first = RwSignal::new(0_usize);
    let stored = StoredValue::new(pairs.clone());
    let side = move |pick: fn(&(String, String)) -> &String| {
        Signal::derive(move || {
            stored.with_value(|pairs| {
                pairs
                    .get(first.get())
                    .map(|pair| pick(pair).clone())
                    .unwrap_or_default()
            })
        })
    };
    let strip = pairs
        .iter()
        .enumerate()
        .map(|(at, (clean, protected))| {
            let pressed = move || if first.get() == at { "true" } else { "false" };
            view! {
                <button type="button" class="pair-pick" aria-pressed=pressed aria-label=say!("Twin {number}", number = at + 1) on:click=move |_| first.set(at)>
                    <img src=clean.clone() width="40" height="40" alt="" loading="lazy" />
                    <img src=protected.clone() width="40" height="40" alt="" loading="lazy" />
                </button>
            }
        })
        .collect_view();
    let compare = (!pairs.is_empty()).then(|| {
        view! {
            <div class="study-compare">
                <Compare clean_url=side(|pair| &pair.0) protected_url=side(|pair| &pair.1) prompt=Signal::stored(title.clone()) />
            </div>
        }
    });
    let empty = pairs.is_empty().then(
        || view! { <p class="small soft">{say!("No pictures of this square are kept.")}</p> },
    );
    view! {
        <div class="card" data-test="square-twins">
            <h3>{title.clone()}</h3>
            <p>{sentence}</p>
            {compare}
            <div class="pair-strip">{strip}</div>
            {empty}
        </div>
    }
}
