//! The breaking-point atlas: family by family, learning rates down, attack steps across; every square opens the twins
//! behind it. Untested squares are hatched, never hidden; words carry what colours repeat.

use std::collections::{BTreeMap, BTreeSet};

use leptos::prelude::*;
use shared::{attack::Family, matrix::CellResult, study::Study};

use super::twins::{Close, Twins};
use crate::{
    language::{decimal, reply, spoken},
    state::{fetch::Fetch, kept::keep},
    text::percent,
};

/// One square.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Square {
    /// Hits of the clean and the protected model, and pictures of each.
    clean: f64,
    protected: f64,
    pictures: u32,
    /// Cells behind it: keys and numbers.
    pub(super) cells: Vec<(u32, String)>,
    /// How many of them count.
    competent: usize,
}

/// A family with its rates and steps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Map {
    family: String,
    pub(super) title: String,
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
    pub(super) fn sentence(&self, step: u32) -> String {
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
pub(super) type Choice = (String, u64, u32);

/// What somebody looks at: a square, and which of its twins.
#[derive(Clone, Copy)]
pub(super) struct Look {
    chosen: RwSignal<Option<Choice>>,
    pub(super) twin: RwSignal<usize>,
}

impl Look {
    /// One of its own; in another language it is the same one.
    pub(super) fn kept() -> Self {
        keep("square", || Self {
            chosen: RwSignal::new(None),
            twin: RwSignal::new(0),
        })
    }

    fn choose(self, choice: Choice) {
        if self
            .chosen
            .with_untracked(|chosen| chosen.as_ref() != Some(&choice))
        {
            self.twin.set(0);
            self.chosen.set(Some(choice));
        }
    }
}

pub(super) fn square<'a>(
    maps: &'a [Map],
    (family, rate, step): &Choice,
) -> Option<(&'a Map, &'a Square)> {
    let map = maps.iter().find(|map| map.family == *family)?;
    let (_, squares) = map.rows.iter().find(|(own, _)| own.to_bits() == *rate)?;
    Some((map, squares.get(step)?))
}

/// A family's table without what its squares hold: it stays while they fill.
#[derive(Clone, PartialEq)]
struct Outline {
    family: String,
    title: String,
    steps: Vec<u32>,
    rates: Vec<f64>,
}

impl Outline {
    fn of(map: &Map) -> Self {
        Self {
            family: map.family.clone(),
            title: map.title.clone(),
            steps: map.steps.clone(),
            rates: map.rows.iter().map(|(rate, _)| *rate).collect(),
        }
    }

    fn key(&self) -> (String, Vec<u32>, Vec<u64>) {
        let rates = self.rates.iter().map(|rate| rate.to_bits()).collect();
        (self.family.clone(), self.steps.clone(), rates)
    }
}

#[component]
pub(super) fn Atlas(fetch: Fetch<Study>, look: Look) -> impl IntoView {
    let maps = Memo::new(move |_| {
        fetch
            .data
            .with(|study| study.as_ref().map_or_else(Vec::new, maps))
    });
    let outlines =
        Memo::new(move |_| maps.with(|maps| maps.iter().map(Outline::of).collect::<Vec<_>>()));
    let any = Memo::new(move |_| outlines.with(|outlines| !outlines.is_empty()));
    let near = Memo::new(move |_| {
        let choice = look.chosen.get()?;
        let near =
            |study: &Option<Study>| maps.with(|maps| Close::of(study.as_ref()?, maps, &choice));
        fetch.data.with(near)
    });
    let is_near = Memo::new(move |_| near.with(Option::is_some));
    move || {
        any.get().then(|| {
            view! {
                <section class="stack" aria-labelledby="atlas" data-test="atlas">
                    <h2 id="atlas">{say!("Where it breaks")}</h2>
                    <p class="small soft">
                        {say!("Each square is an attack of a family at a learning rate after so many steps: the share of pictures that show the subject, with protection above, without below. Choose one to see the pictures. Hatched squares were not tested; squares with a dotted edge are no evidence, because the attack did not work on the unprotected model either.")}
                    </p>
                    <div class="atlas">
                        <For each=move || outlines.get() key=Outline::key let:outline>
                            <Table outline=outline maps=maps look=look />
                        </For>
                    </div>
                    <div aria-live="polite">
                        {move || is_near.get().then(|| view! { <Twins near=near look=look /> })}
                    </div>
                </section>
            }
        })
    }
}

#[component]
fn Table(outline: Outline, maps: Memo<Vec<Map>>, look: Look) -> impl IntoView {
    let Outline {
        family,
        title,
        steps,
        rates,
    } = outline;
    let head = steps
        .iter()
        .map(|step| view! { <th scope="col" class="cell-number">{*step}</th> })
        .collect_view();
    let body = rates
        .into_iter()
        .map(|rate| {
            let cells = steps
                .iter()
                .map(|step| {
                    let place = (family.clone(), rate.to_bits(), *step);
                    view! { <td><SquareView place=place maps=maps look=look /></td> }
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

/// A square: the keyboard stays on it while its numbers change.
#[component]
fn SquareView(place: Choice, maps: Memo<Vec<Map>>, look: Look) -> impl IntoView {
    let step = place.2;
    let own = StoredValue::new(place);
    let known = Memo::new(move |_| {
        maps.with(|maps| own.with_value(|own| square(maps, own).map(|(_, square)| square.clone())))
    });
    let tested = Memo::new(move |_| known.with(Option::is_some));
    let of = move |read: fn(&Square) -> String| {
        move || known.with(|square| square.as_ref().map(read).unwrap_or_default())
    };
    let label = move || known.with(|square| square.as_ref().map(|square| square.sentence(step)));
    let pressed = move || {
        let chosen = look
            .chosen
            .with(|chosen| own.with_value(|own| chosen.as_ref() == Some(own)));
        if chosen { "true" } else { "false" }
    };
    move || {
        if !tested.get() {
            return view! { <span class="square square-untested"><span class="visually-hidden">{say!("not tested")}</span></span> }.into_any();
        }
        view! {
            <button
                type="button"
                class=of(|square| square.class().to_owned())
                aria-pressed=pressed
                aria-label=label
                data-test="square"
                on:click=move |_| look.choose(own.get_value())
            >
                <span class="strong">{of(|square| percent(square.rate(square.protected)))}</span>
                <span class="small">{of(|square| percent(square.rate(square.clean)))}</span>
            </button>
        }
        .into_any()
    }
}
