//! Can somebody find the trigger, and what does it cost to remove it? Numbers, the words' attention, and one course a method.

use std::fmt::Write;

use shared::{
    language::Language,
    matrix::{Audit, RemovalBill, RemovalMethod, RemovalPoint},
    say,
};

use super::{
    Content,
    markup::{Head, end_table, note, paragraph, row, section, table},
    pictures::Album,
    text::{missing, percent, share, told, value},
};
use crate::{gallery::Arm, matrix::AttentionPicture};

pub(super) fn write(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let (language, audit) = (content.language, &content.report.audit);
    let measured =
        audit.detection.is_some() || audit.search.is_some() || audit.trigger_rate.is_some();
    if !measured {
        return;
    }
    section(html, "removal", say!(language, "Finding and removing it"));
    paragraph(
        html,
        say!(
            language,
            "Protection is disclosed, not hidden. These numbers say how easily somebody without the disclosure finds the trigger in the weights, and what it costs to clean it out."
        ),
    );
    finding(html, language, audit);
    attention(html, language, content.attention, album);
    bills(html, language, audit);
    html.push_str("</section>");
}

fn finding(html: &mut String, language: Language, audit: &Audit) {
    let rows = [
        (
            say!(language, "The trigger fires before any attack"),
            audit.trigger_rate.map(|rate| share(language, Some(rate))),
        ),
        (
            say!(
                language,
                "Triggers told from other prompts by attention alone (T2IShield)"
            ),
            detection(language, audit),
        ),
        (
            say!(
                language,
                "The trigger\u{2019}s word among ordinary ones, by comparing with the clean weights"
            ),
            search(language, audit),
        ),
        (
            say!(language, "Overlap of the attention of identifier and class"),
            overlap(language, audit),
        ),
    ];
    let head = Head {
        caption: say!(language, "Finding the trigger"),
        columns: &[say!(language, "Measure"), say!(language, "Value")],
        ..Head::default()
    };
    table(html, language, &head);
    for (name, text) in rows {
        let text = text.unwrap_or_else(|| missing(language));
        row(html, name, [text.as_str()]);
    }
    end_table(html);
}

fn detection(language: Language, audit: &Audit) -> Option<String> {
    let found = audit.detection?;
    Some(say!(
        language,
        "{rate} called so at one false alarm in twenty; area under the curve {area} ({chance} is chance)",
        rate = share(language, Some(found.detected)),
        area = language.decimal(found.auc, 2),
        chance = language.decimal(0.5, 2)
    ))
}

fn search(language: Language, audit: &Audit) -> Option<String> {
    let found = audit.search?;
    Some(say!(
        language,
        "place {place} of {all} words; the models disagree {ratio} times as much as about the middle word",
        place = found.place,
        all = found.candidates,
        ratio = language.decimal(found.ratio, 1)
    ))
}

fn overlap(language: Language, audit: &Audit) -> Option<String> {
    let found = audit.attention?;
    Some(say!(
        language,
        "{clean} on the clean model, {protected} on the protected one",
        clean = value(language, Some(found.clean_overlap)),
        protected = value(language, Some(found.protected_overlap))
    ))
}

/// The same seed on both models: the picture, then the places that each word looks at.
fn attention(
    html: &mut String,
    language: Language,
    pictures: &[AttentionPicture],
    album: &mut Album,
) {
    if pictures.is_empty() {
        return;
    }
    html.push_str("<div class=\"strip\">");
    for arm in [Arm::Clean, Arm::Protected] {
        let label = match arm {
            Arm::Clean => say!(
                language,
                "clean model: picture, then the words\u{2019} attention"
            ),
            Arm::Protected => say!(
                language,
                "protected model: picture, then the words\u{2019} attention"
            ),
        };
        let _ = write!(html, "<div class=\"row\"><span>{label}</span>");
        for picture in pictures.iter().filter(|picture| picture.arm == arm) {
            let alt = description(language, picture);
            album.image(html, &picture.file, &alt);
        }
        html.push_str("</div>");
    }
    html.push_str("</div>");
}

fn description(language: Language, picture: &AttentionPicture) -> String {
    match (picture.arm, &picture.word) {
        (Arm::Clean, None) => say!(language, "the trigger on the clean model").to_owned(),
        (Arm::Protected, None) => say!(language, "the trigger on the protected model").to_owned(),
        (Arm::Clean, Some(word)) => say!(
            language,
            "where \u{201c}{word}\u{201d} looks on the clean model",
            word = word
        ),
        (Arm::Protected, Some(word)) => say!(
            language,
            "where \u{201c}{word}\u{201d} looks on the protected model",
            word = word
        ),
    }
}

fn bills(html: &mut String, language: Language, audit: &Audit) {
    if audit.removal.is_empty() {
        note(
            html,
            say!(
                language,
                "No bill of removal: none was tried, or the objective never fired to begin with."
            ),
        );
        return;
    }
    let columns = [
        say!(language, "Method"),
        say!(language, "At"),
        say!(language, "Fires"),
        say!(language, "Quality"),
        say!(language, "Minutes here"),
    ];
    let head = Head {
        caption: say!(
            language,
            "The bill of removal: how often the objective still fires under the trigger, and text alignment less that of the clean base"
        ),
        columns: &columns,
        ..Head::default()
    };
    table(html, language, &head);
    for bill in &audit.removal {
        for (at, point) in bill.course.iter().enumerate() {
            let name = if at == 0 {
                heading(language, bill)
            } else {
                String::new()
            };
            let _ = write!(
                html,
                "<tr>{name}<td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                place(language, bill.method, at, point),
                share(language, Some(point.fired)),
                language.signed(point.quality, 3),
                language.decimal(point.minutes, 1),
            );
        }
    }
    end_table(html);
}

/// The name of a method, beside every point of its course.
fn heading(language: Language, bill: &RemovalBill) -> String {
    format!(
        "<th scope=\"rowgroup\" rowspan=\"{}\">{}<br><small>{}</small></th>",
        bill.course.len(),
        told(language, bill.method.title()),
        outcome(language, bill)
    )
}

fn place(language: Language, method: RemovalMethod, at: usize, point: &RemovalPoint) -> String {
    match method {
        _ if at == 0 => say!(language, "as released").to_owned(),
        RemovalMethod::WeightAveraging => say!(
            language,
            "{share} clean weights",
            share = percent(point.share)
        ),
        RemovalMethod::CleanFineTuning | RemovalMethod::TriggerInversion => {
            say!(language, "{step} steps", step = point.steps)
        }
    }
}

fn outcome(language: Language, bill: &RemovalBill) -> String {
    let Some(point) = &bill.removed else {
        return say!(language, "outlived it").to_owned();
    };
    match bill.method {
        RemovalMethod::WeightAveraging => say!(
            language,
            "half gone at {share} clean weights",
            share = percent(point.share)
        ),
        RemovalMethod::CleanFineTuning | RemovalMethod::TriggerInversion => {
            say!(
                language,
                "half gone after {steps} steps",
                steps = point.steps
            )
        }
    }
}
