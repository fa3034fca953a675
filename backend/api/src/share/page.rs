//! The HTML of shared pages: one style and one line of script of their own, and a policy that allows nothing else.

use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use shared::{
    evaluation::{CheckpointResult, Estimate, EvaluationReport, Grade, ScoredImage, ScoredPair},
    problem::{ErrorCode, Problem},
};

use super::{Place, Shared, day, figure::Frame, grade};
use crate::style;

const STYLE: &str = include_str!("page.css");
/// Shows the button that prints, which needs it.
const SCRIPT: &str = include_str!("page.js");

static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| style::source(STYLE));
static SCRIPT_SOURCE: LazyLock<String> = LazyLock::new(|| style::source(SCRIPT));

/// What such a page may do, and who may show it in a frame.
pub(crate) fn policy(embed_origins: &[String]) -> String {
    // The dashboard shows the owner what the recipient sees.
    let framed: String = embed_origins
        .iter()
        .flat_map(|origin| [" ", origin])
        .collect();
    format!(
        "default-src 'none'; img-src 'self'; style-src {}; script-src {}; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'self'{framed}",
        *STYLE_SOURCE, *SCRIPT_SOURCE
    )
}

/// What a page shows beside the link and the gallery.
pub(crate) struct Content<'a> {
    pub(crate) shared: &'a Shared,
    /// Absolute address of the page.
    pub(crate) url: &'a str,
    /// Number of protected pictures that are shown.
    pub(crate) references: usize,
    /// What a visitor wants to see.
    pub(crate) look: Look,
}

/// Pairs on one page: with twice as many it would be larger than 60 KB before its pictures.
const PAIRS: usize = 48;

/// Which pairs a visitor looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Steps of the attack; the last unless told.
    pub(crate) step: Option<u32>,
    /// Page of that step's pairs, from 1.
    pub(crate) page: usize,
}

fn frame(title: &str, head: &Markup, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex, nofollow";
                link rel="icon" type="image/svg+xml" href="/favicon.svg";
                title { (title) }
                (head)
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// A page with one card: a question or a refusal.
fn card(title: &str, body: &Markup) -> String {
    let body = html! {
        main { div.center.card.stack { p.brand { "PersGuard" } h1 { (title) } (body) } }
    };
    frame(title, &html! {}, &body)
}

fn question(wrong: bool) -> Markup {
    html! {
        // Without an action the form goes to the page's own address.
        form method="post" {
            label for="password" { "Password" }
            input id="password" name="password" type="password" required autocomplete="off" autofocus
                aria-invalid=[wrong.then_some("true")] aria-describedby=[wrong.then_some("wrong")];
            @if wrong { p #wrong.bad.small role="alert" { "That is not the password of this page." } }
            button type="submit" { "Open" }
        }
    }
}

/// Asks for the password; tells nothing of what lies behind.
pub(crate) fn locked() -> String {
    card(
        "A shared page",
        &html! {
            p { "Whoever shared this page gave it a password. Ask them for it, if you have none." }
            (question(false))
        },
    )
}

/// Why there is no page.
pub(crate) fn refusal(problem: &Problem) -> String {
    let title = match problem.code {
        ErrorCode::NotFound => "There is no page here",
        ErrorCode::Gone => "This link has ended",
        ErrorCode::InvalidCredentials => "A shared page",
        ErrorCode::RateLimited => "Too many attempts",
        _ => "This page cannot be shown",
    };
    let detail = match problem.code {
        ErrorCode::NotFound => {
            "The address is not complete, or what it showed was taken back. Ask the sender."
        }
        ErrorCode::Gone => "Ask the sender for another.",
        ErrorCode::InvalidCredentials => "Whoever shared this page gave it a password.",
        _ => &problem.detail,
    };
    card(
        title,
        &html! {
            p { (detail) }
            @if problem.code == ErrorCode::InvalidCredentials { (question(true)) }
            @else { p.small.soft { "Request " (problem.request_id) } }
        },
    )
}

/// The grade where colours are not seen.
const fn glyph(grade: Grade) -> &'static str {
    match grade {
        Grade::Resisted => "\u{2713}",
        Grade::Weakened => "\u{25d0}",
        Grade::NotResisted => "\u{2717}",
        Grade::NoEvidence => "?",
    }
}

/// What link previews show; the picture is composed and holds no picture of the gallery.
fn meta(content: &Content<'_>) -> Markup {
    let link = &content.shared.link;
    let verdict = &content.shared.gallery.output.report.verdict;
    let picture = format!("{}/preview.png", content.url);
    let told = [
        ("og:type", "article"),
        ("og:site_name", "PersGuard"),
        ("og:title", &link.title),
        ("og:description", verdict),
        ("og:url", content.url),
        ("og:image", &picture),
        ("og:image:width", "1200"),
        ("og:image:height", "630"),
        (
            "og:image:alt",
            "How often the subject shows with and without protection, as two curves.",
        ),
    ];
    html! {
        meta name="description" content=(verdict);
        meta name="twitter:card" content="summary_large_image";
        @for (name, value) in told { meta property=(name) content=(value); }
    }
}

/// The page of a gallery.
pub(crate) fn show(content: &Content<'_>) -> String {
    let shared = content.shared;
    let (link, report) = (&shared.link, &shared.gallery.output.report);
    let all = shared.gallery.output.pairs.len();
    let shown = shared.pairs().count();
    let body = html! {
        header {
            span.brand { "PersGuard" }
            span.small.soft {
                @if !link.recipient.is_empty() { "Shared with " (link.recipient) " \u{b7} " }
                "until " (day(link.expires_at))
            }
        }
        main {
            div.stack {
                h1 { (link.title) }
                p.soft { "What an attacker gets who personalizes the model on protected pictures, without and with "
                    "protection. Measured on " (day(shared.gallery.created_at)) "." }
                section.card.stack aria-label="Verdict" {
                    p { span.grade.(report.grade.as_str()) { (glyph(report.grade)) " " (grade(report.grade)) } }
                    p.lead { (report.verdict) }
                    h2.small { "What this does not show" }
                    ul.small { @for limit in &report.limits { li { (limit) } } }
                }
            }
            section aria-labelledby="pairs" {
                h2 #pairs { "What an attacker gets" }
                p.soft { "Left: the model as it was. Right: the protected model. The same prompt, seed and length of "
                    "the attack." }
                @if shown < all {
                    p { strong { "The sender chose " (shown) " of " (all) " pairs." } " The numbers below count all of them." }
                }
                (pairs(shared, content.look))
            }
            (numbers(report))
            @if content.references > 0 {
                section aria-labelledby="references" {
                    h2 #references { "The protected pictures" }
                    div.refs {
                        @for number in 0..content.references {
                            img src=(path(shared, &format!("references/{number}"))) loading="lazy"
                                alt=(format!("Protected picture {}", number + 1));
                        }
                    }
                }
            }
            (method(report))
            // Without a script and a download there is nothing in it.
            section.keep hidden[!link.download] aria-labelledby="save" {
                h2 #save { "To keep" }
                p #print hidden { button type="button" { "Print or save as PDF" } }
                @if link.download {
                    p { a.button href=(path(shared, "archive")) download="" { "Save pictures and numbers" } }
                    p.small.soft { "A tar archive with the pictures as they stand here and the report as JSON." }
                }
            }
            script { (PreEscaped(SCRIPT)) }
        }
        footer.small.soft {
            p { "Every number has its sample and a 95 % interval. Generated pictures show what an attack makes of a model, "
                "not what its owner publishes. This page ends on " (day(link.expires_at)) "." }
        }
    };
    frame(&link.title, &meta(content), &body)
}

fn path(shared: &Shared, rest: &str) -> String {
    format!("/s/{}/{rest}", shared.token)
}

/// The shown steps, rising, with their pairs.
fn steps(shared: &Shared) -> Vec<(u32, Vec<(usize, &ScoredPair)>)> {
    let mut steps: Vec<(u32, Vec<(usize, &ScoredPair)>)> = Vec::new();
    for (position, pair) in shared.pairs() {
        match steps.iter_mut().find(|(step, _)| *step == pair.attack_step) {
            Some((_, pairs)) => pairs.push((position, pair)),
            None => steps.push((pair.attack_step, vec![(position, pair)])),
        }
    }
    steps.sort_by_key(|(step, _)| *step);
    steps
}

fn pairs(shared: &Shared, look: Look) -> Markup {
    let steps = steps(shared);
    let asked = steps.iter().find(|(step, _)| Some(*step) == look.step);
    let Some((step, pairs)) = asked.or(steps.last()) else {
        return html! { p { "There are no pictures here any more." } };
    };
    let pages = pairs.len().div_ceil(PAIRS);
    let page = look.page.clamp(1, pages);
    let shown = pairs.chunks(PAIRS).nth(page - 1).unwrap_or_default();
    let name = |step: u32| match step {
        0 => "Before any attack".to_owned(),
        step => format!("{step} steps"),
    };
    let to = |step: u32, page: usize| format!("?step={step}&page={page}#pairs");
    html! {
        nav.steps aria-label="Length of the attack" {
            @for (other, _) in &steps {
                a href=(to(*other, 1)) aria-current=[(other == step).then_some("true")] { (name(*other)) }
            }
        }
        div.pairs { @for (position, pair) in shown { (twins(shared, *position, pair)) } }
        @if pages > 1 {
            nav.steps aria-label="Pages" {
                @if page > 1 { a href=(to(*step, page - 1)) rel="prev" { "Previous" } }
                span.small.soft { "Page " (page) " of " (pages) " \u{b7} " (pairs.len()) " pairs" }
                @if page < pages { a href=(to(*step, page + 1)) rel="next" { "Next" } }
            }
        }
    }
}

fn twins(shared: &Shared, position: usize, pair: &ScoredPair) -> Markup {
    html! {
        div.pair {
            (picture(shared, Place { position, protected: false }, &pair.clean, pair))
            (picture(shared, Place { position, protected: true }, &pair.protected, pair))
            p.small.soft { "Seed " (pair.seed) " \u{b7} " q { (pair.prompt) } }
        }
    }
}

fn picture(shared: &Shared, place: Place, image: &ScoredImage, pair: &ScoredPair) -> Markup {
    let (name, class) = if place.protected {
        ("With protection", "guarded")
    } else {
        ("Without protection", "clean")
    };
    let found = if image.hit {
        "subject shown"
    } else {
        "subject not shown"
    };
    let alt = format!(
        "{name}, seed {}: {found}, similarity {:.2}",
        pair.seed, image.similarity
    );
    html! {
        figure {
            img.drawn src=(path(shared, &format!("pictures/{}", place.number()))) alt=(alt) loading="lazy"
                width="384" height="384";
            figcaption { span.dot.(class) { (name) } br; (found) ", " (format!("{:.2}", image.similarity)) }
        }
    }
}

fn percent(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}

fn rate(estimate: &Estimate) -> Markup {
    html! {
        (percent(estimate.value))
        small { (percent(estimate.low)) " to " (percent(estimate.high)) ", n = " (estimate.n) }
    }
}

fn similarity(estimate: &Estimate) -> Markup {
    html! {
        (format!("{:.2}", estimate.value))
        small { (format!("{:.2} to {:.2}", estimate.low, estimate.high)) }
    }
}

fn numbers(report: &EvaluationReport) -> Markup {
    html! {
        section aria-labelledby="numbers" {
            h2 #numbers { "By the length of the attack" }
            (chart(&report.checkpoints))
            div.wide tabindex="0" role="region" aria-label="Results by attack step" {
                table {
                    thead { tr {
                        th scope="col" { "Attack steps" }
                        th scope="col" { "Subject shown, without" }
                        th scope="col" { "Subject shown, with" }
                        th scope="col" { "Similarity, without" }
                        th scope="col" { "Similarity, with" }
                    } }
                    tbody {
                        @for result in &report.checkpoints {
                            tr {
                                th scope="row" { (result.attack_step) }
                                td { (rate(&result.clean.hit_rate)) }
                                td { (rate(&result.protected.hit_rate)) }
                                td { (similarity(&result.clean.similarity)) }
                                td { (similarity(&result.protected.similarity)) }
                            }
                        }
                    }
                }
            }
            p.small.soft { "A picture counts as the subject above a similarity of " (format!("{:.2}", report.hit_threshold))
                " by the encoder " q { (report.encoder) } ". Never compare similarities across encoders. "
                "Small figures are 95 % intervals." }
        }
    }
}

fn chart(results: &[CheckpointResult]) -> Markup {
    let plot = Frame {
        left: 52.0,
        top: 16.0,
        width: 560.0,
        height: 190.0,
    };
    let clean = plot.line(results, |result| &result.clean);
    let guarded = plot.line(results, |result| &result.protected);
    let (right, below) = (plot.left + plot.width, plot.y(0.0));
    html! {
        svg viewBox="0 0 640 260" role="img" aria-labelledby="chart-name" {
            title #chart-name { "Share of pictures that show the subject, by attack steps; the table below has the same numbers." }
            @for share in [0.0, 0.5, 1.0] {
                line.axis x1=(plot.left) x2=(right) y1=(plot.y(share)) y2=(plot.y(share)) {}
                text x="44" y=(plot.y(share) + 4.0) text-anchor="end" { (percent(share)) }
            }
            polygon.b-clean points=(clean.band) {}
            polygon.b-guarded points=(guarded.band) {}
            polyline.l-clean points=(clean.points) {}
            polyline.l-guarded points=(guarded.points) {}
            @for (x, y) in &clean.places { circle.d-clean cx=(x) cy=(y) r="4" {} }
            @for (x, y) in &guarded.places { rect.d-guarded x=(x - 4.0) y=(y - 4.0) width="8" height="8" {} }
            @for (index, result) in results.iter().enumerate() {
                text x=(plot.x(index, results.len())) y=(below + 20.0) text-anchor="middle" { (result.attack_step) }
            }
            text x=(plot.left) y="252" { "\u{25cf} without protection, dashed   \u{25a0} with protection" }
            text x=(right) y="252" text-anchor="end" { "attack steps" }
        }
    }
}

fn method(report: &EvaluationReport) -> Markup {
    let attack = &report.attack;
    let yes = |value: bool| if value { "yes" } else { "no" };
    let told = [
        ("Attack", attack.family.clone()),
        ("Steps", attack.steps.to_string()),
        ("Learning rate", format!("{:e}", attack.learning_rate)),
        (
            "Prior preservation",
            yes(attack.prior_preservation).to_owned(),
        ),
        (
            "Attacker\u{2019}s pictures",
            attack.instance_images.to_string(),
        ),
        ("Attacker\u{2019}s prompt", attack.prompt.clone()),
        (
            "Identifier held out",
            yes(attack.identifier_held_out).to_owned(),
        ),
        ("Seed", attack.seed.to_string()),
        ("Clean U-Net", report.clean_sha256.clone()),
        ("Protected U-Net", report.protected_sha256.clone()),
    ];
    html! {
        section aria-labelledby="method" {
            h2 #method { "How it was measured" }
            dl.small { @for (name, value) in told { dt { (name) } dd { (value) } } }
        }
    }
}
