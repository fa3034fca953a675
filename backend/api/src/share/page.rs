//! The HTML of shared pages: one style and one line of script of their own, and a policy that allows nothing else.

use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use shared::{
    evaluation::{CheckpointResult, Estimate, EvaluationReport, Grade, ScoredImage, ScoredPair},
    language::Language,
    problem::{ErrorCode, Problem},
    say,
};

use super::{Place, Reader, Shared, figure::Frame, grade};
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
    /// The visitor's language.
    pub(crate) reader: Reader,
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

fn frame(reader: Reader, title: &str, head: &Markup, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang=(reader.language.tag()) dir=(reader.language.direction()) {
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
fn card(reader: Reader, title: &str, body: &Markup) -> String {
    let body = html! {
        main { div.center.card.stack { p.brand { "PersGuard" } h1 { (title) } (body) } }
    };
    frame(reader, title, &html! {}, &body)
}

fn question(reader: Reader, wrong: bool) -> Markup {
    html! {
        // Without an action the form goes to the page's own address.
        form method="post" {
            label for="password" { (say!(reader, "Password")) }
            input id="password" name="password" type="password" required autocomplete="off" autofocus
                aria-invalid=[wrong.then_some("true")] aria-describedby=[wrong.then_some("wrong")];
            @if wrong { p #wrong.bad.small role="alert" { (say!(reader, "That is not the password of this page.")) } }
            button type="submit" { (say!(reader, "Open")) }
        }
    }
}

/// Asks for the password; tells nothing of what lies behind.
pub(crate) fn locked(reader: Reader) -> String {
    card(
        reader,
        say!(reader, "A shared page"),
        &html! {
            p { (say!(reader, "Whoever shared this page gave it a password. Ask them for it, if you have none.")) }
            (question(reader, false))
            (languages(reader, &to(None, 1)))
        },
    )
}

/// Why there is no page.
pub(crate) fn refusal(problem: &Problem, reader: Reader) -> String {
    let title = match problem.code {
        ErrorCode::NotFound => say!(reader, "There is no page here"),
        ErrorCode::Gone => say!(reader, "This link has ended"),
        ErrorCode::InvalidCredentials => say!(reader, "A shared page"),
        ErrorCode::RateLimited => say!(reader, "Too many attempts"),
        _ => say!(reader, "This page cannot be shown"),
    };
    let detail = match problem.code {
        ErrorCode::NotFound => Some(say!(
            reader,
            "The address is not complete, or what it showed was taken back. Ask the sender."
        )),
        ErrorCode::Gone => Some(say!(reader, "Ask the sender for another.")),
        ErrorCode::InvalidCredentials => {
            Some(say!(reader, "Whoever shared this page gave it a password."))
        }
        ErrorCode::RateLimited => Some(say!(reader, "Wait a minute, then try again.")),
        _ => None,
    };
    card(
        reader,
        title,
        &html! {
            @if let Some(detail) = detail { p { (detail) } }
            @else { p { (sentence(reader, &problem.detail)) } }
            @if problem.code == ErrorCode::InvalidCredentials { (question(reader, true)) }
            @else { p.small.soft { (say!(reader, "Request")) " " (problem.request_id) } }
        },
    )
}

/// Every language by its own name; the page's address names the one that is chosen.
fn languages(reader: Reader, place: &str) -> Markup {
    html! {
        nav.steps aria-label=(say!(reader, "Language")) {
            @for language in Language::ALL {
                a href=(format!("{place}&language={}", language.tag())) lang=(language.tag()) hreflang=(language.tag())
                    aria-current=[(language == reader.language).then_some("true")] { (language.name()) }
            }
        }
    }
}

/// Where a step's pairs are.
fn to(step: Option<u32>, page: usize) -> String {
    step.map_or_else(
        || format!("?page={page}"),
        |step| format!("?step={step}&page={page}"),
    )
}

/// A report's sentence; what is not known in the reader's language says which it is in.
fn sentence(reader: Reader, english: &str) -> Markup {
    let known = reader.known(english);
    html! {
        @if let Some(text) = known { (text) }
        @else { span lang=(Language::English.tag()) { (english) } }
    }
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
    let reader = content.reader;
    let verdict = reader.reply(&content.shared.gallery.output.report.verdict);
    let picture = format!("{}/preview.png", content.url);
    let told = [
        ("og:type", "article"),
        ("og:site_name", "PersGuard"),
        ("og:title", &link.title),
        ("og:description", &verdict),
        ("og:url", content.url),
        ("og:image", &picture),
        ("og:image:width", "1200"),
        ("og:image:height", "630"),
        (
            "og:image:alt",
            say!(
                reader,
                "How often the subject shows with and without protection, as two curves."
            ),
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
    let (shared, reader) = (content.shared, content.reader);
    let moment = |at| reader.language.moment(at);
    let (link, report) = (&shared.link, &shared.gallery.output.report);
    let all = shared.gallery.output.pairs.len();
    let shown = shared.pairs().count();
    let body = html! {
        header {
            span.brand { "PersGuard" }
            span.small.soft {
                @if !link.recipient.is_empty() { (say!(reader, "Shared with {name}", name = link.recipient)) " \u{b7} " }
                (say!(reader, "until {moment}", moment = moment(link.expires_at)))
            }
        }
        main {
            div.stack {
                h1 { (link.title) }
                p.soft { (say!(reader, "What an attacker gets who personalizes the model on protected pictures, without and with protection. Measured on {moment}.", moment = moment(shared.gallery.created_at))) }
                section.card.stack aria-label=(say!(reader, "Verdict")) {
                    p { span.grade.(report.grade.as_str()) { (glyph(report.grade)) " " (grade(report.grade, reader)) } }
                    p.lead { (sentence(reader, &report.verdict)) }
                    h2.small { (say!(reader, "What this does not show")) }
                    ul.small { @for limit in &report.limits { li { (sentence(reader, limit)) } } }
                }
            }
            section aria-labelledby="pairs" {
                h2 #pairs { (say!(reader, "What an attacker gets")) }
                p.soft { (say!(reader, "Left: the model as it was. Right: the protected model. The same prompt, seed and length of the attack.")) }
                @if shown < all {
                    p { strong { (say!(reader, "The sender chose {shown} of {all} pairs.", shown = shown, all = all)) } " "
                        (say!(reader, "The numbers below count all of them.")) }
                }
                (pairs(content))
            }
            (numbers(reader, report))
            @if content.references > 0 {
                section aria-labelledby="references" {
                    h2 #references { (say!(reader, "The protected pictures")) }
                    div.refs {
                        @for number in 0..content.references {
                            img src=(path(shared, &format!("references/{number}"))) loading="lazy"
                                alt=(say!(reader, "Protected picture {number}", number = number + 1));
                        }
                    }
                }
            }
            (method(reader, report))
            // Without a script and a download there is nothing in it.
            section.keep hidden[!link.download] aria-labelledby="save" {
                h2 #save { (say!(reader, "To keep")) }
                p #print hidden { button type="button" { (say!(reader, "Print or save as PDF")) } }
                @if link.download {
                    p { a.button href=(path(shared, "archive")) download="" { (say!(reader, "Save pictures and numbers")) } }
                    p.small.soft { (say!(reader, "A tar archive with the pictures as they stand here and the report as JSON.")) }
                }
            }
            script { (PreEscaped(SCRIPT)) }
        }
        footer.small.soft {
            p { (say!(reader, "Every number has its sample and a 95 % interval. Generated pictures show what an attack makes of a model, not what its owner publishes. This page ends on {moment}.", moment = moment(link.expires_at))) }
            (languages(reader, &to(content.look.step, content.look.page)))
        }
    };
    frame(reader, &link.title, &meta(content), &body)
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

fn pairs(content: &Content<'_>) -> Markup {
    let (shared, look, reader) = (content.shared, content.look, content.reader);
    let steps = steps(shared);
    let asked = steps.iter().find(|(step, _)| Some(*step) == look.step);
    let Some((step, pairs)) = asked.or(steps.last()) else {
        return html! { p { (say!(reader, "There are no pictures here any more.")) } };
    };
    let pages = pairs.len().div_ceil(PAIRS);
    let page = look.page.clamp(1, pages);
    let shown = pairs.chunks(PAIRS).nth(page - 1).unwrap_or_default();
    let name = |step: u32| match step {
        0 => say!(reader, "Before any attack").to_owned(),
        step => say!(reader, "{step} steps", step = step),
    };
    let named = if reader.named {
        format!("&language={}", reader.language.tag())
    } else {
        String::new()
    };
    let to = |step: u32, page: usize| format!("{}{named}#pairs", to(Some(step), page));
    html! {
        nav.steps aria-label=(say!(reader, "Length of the attack")) {
            @for (other, _) in &steps {
                a href=(to(*other, 1)) aria-current=[(other == step).then_some("true")] { (name(*other)) }
            }
        }
        div.pairs { @for (position, pair) in shown { (twins(reader, shared, *position, pair)) } }
        @if pages > 1 {
            nav.steps aria-label=(say!(reader, "Pages")) {
                @if page > 1 { a href=(to(*step, page - 1)) rel="prev" { (say!(reader, "Previous")) } }
                span.small.soft { (say!(reader, "Page {page} of {pages}", page = page, pages = pages)) " \u{b7} "
                    (say!(reader, "{count} pairs", count = pairs.len())) }
                @if page < pages { a href=(to(*step, page + 1)) rel="next" { (say!(reader, "Next")) } }
            }
        }
    }
}

fn twins(reader: Reader, shared: &Shared, position: usize, pair: &ScoredPair) -> Markup {
    html! {
        div.pair {
            (picture(reader, shared, Place { position, protected: false }, &pair.clean, pair))
            (picture(reader, shared, Place { position, protected: true }, &pair.protected, pair))
            p.small.soft { (say!(reader, "Seed {seed}", seed = pair.seed)) " \u{b7} " q { (pair.prompt) } }
        }
    }
}

fn picture(
    reader: Reader,
    shared: &Shared,
    place: Place,
    image: &ScoredImage,
    pair: &ScoredPair,
) -> Markup {
    let (name, class) = if place.protected {
        (say!(reader, "With protection"), "guarded")
    } else {
        (say!(reader, "Without protection"), "clean")
    };
    let found = if image.hit {
        say!(reader, "subject shown")
    } else {
        say!(reader, "subject not shown")
    };
    let similarity = reader.language.decimal(image.similarity, 2);
    let alt = say!(
        reader,
        "{name}, seed {seed}: {found}, similarity {similarity}",
        name = name,
        seed = pair.seed,
        found = found,
        similarity = similarity
    );
    html! {
        figure {
            img.drawn src=(path(shared, &format!("pictures/{}", place.number()))) alt=(alt) loading="lazy"
                width="384" height="384";
            figcaption { span.dot.(class) { (name) } br; (found) ", " (similarity) }
        }
    }
}

fn percent(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}

fn rate(reader: Reader, estimate: &Estimate) -> Markup {
    let range = say!(
        reader,
        "{low} to {high}, n = {n}",
        low = percent(estimate.low),
        high = percent(estimate.high),
        n = estimate.n
    );
    html! {
        (percent(estimate.value))
        small { (range) }
    }
}

fn similarity(reader: Reader, estimate: &Estimate) -> Markup {
    let decimal = |value| reader.language.decimal(value, 2);
    html! {
        (decimal(estimate.value))
        small { (say!(reader, "{low} to {high}", low = decimal(estimate.low), high = decimal(estimate.high))) }
    }
}

fn numbers(reader: Reader, report: &EvaluationReport) -> Markup {
    html! {
        section aria-labelledby="numbers" {
            h2 #numbers { (say!(reader, "By the length of the attack")) }
            (chart(reader, &report.checkpoints))
            div.wide tabindex="0" role="region" aria-label=(say!(reader, "Results by attack step")) {
                table {
                    thead { tr {
                        th scope="col" { (say!(reader, "Attack steps")) }
                        th scope="col" { (say!(reader, "Subject shown, without")) }
                        th scope="col" { (say!(reader, "Subject shown, with")) }
                        th scope="col" { (say!(reader, "Similarity, without")) }
                        th scope="col" { (say!(reader, "Similarity, with")) }
                    } }
                    tbody {
                        @for result in &report.checkpoints {
                            tr {
                                th scope="row" { (result.attack_step) }
                                td { (rate(reader, &result.clean.hit_rate)) }
                                td { (rate(reader, &result.protected.hit_rate)) }
                                td { (similarity(reader, &result.clean.similarity)) }
                                td { (similarity(reader, &result.protected.similarity)) }
                            }
                        }
                    }
                }
            }
            p.small.soft { (say!(
                reader,
                "A picture counts as the subject above a similarity of {threshold} by the encoder “{encoder}”. Never compare similarities across encoders. Small figures are 95 % intervals.",
                threshold = reader.language.decimal(report.hit_threshold, 2),
                encoder = reader.reply(&report.encoder)
            )) }
        }
    }
}

fn chart(reader: Reader, results: &[CheckpointResult]) -> Markup {
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
            title #chart-name { (say!(reader, "Share of pictures that show the subject, by attack steps; the table below has the same numbers.")) }
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
            text x=(plot.left) y="252" { (say!(reader, "\u{25cf} without protection, dashed   \u{25a0} with protection")) }
            text x=(right) y="252" text-anchor="end" { (say!(reader, "attack steps")) }
        }
    }
}

fn method(reader: Reader, report: &EvaluationReport) -> Markup {
    let attack = &report.attack;
    let yes = |value: bool| {
        if value {
            say!(reader, "yes")
        } else {
            say!(reader, "no")
        }
    };
    let told = [
        (say!(reader, "Attack"), attack.family.clone()),
        (say!(reader, "Steps"), attack.steps.to_string()),
        (
            say!(reader, "Learning rate"),
            reader.language.written(&attack.learning_rate.to_string()),
        ),
        (
            say!(reader, "Prior preservation"),
            yes(attack.prior_preservation).to_owned(),
        ),
        (
            say!(reader, "Attacker's pictures"),
            attack.instance_images.to_string(),
        ),
        (say!(reader, "Attacker's prompt"), attack.prompt.clone()),
        (
            say!(reader, "Identifier held out"),
            yes(attack.identifier_held_out).to_owned(),
        ),
        (say!(reader, "Seed"), attack.seed.to_string()),
        (say!(reader, "Clean U-Net"), report.clean_sha256.clone()),
        (
            say!(reader, "Protected U-Net"),
            report.protected_sha256.clone(),
        ),
    ];
    html! {
        section aria-labelledby="method" {
            h2 #method { (say!(reader, "How it was measured")) }
            dl.small { @for (name, value) in told { dt { (name) } dd { (value) } } }
        }
    }
}
