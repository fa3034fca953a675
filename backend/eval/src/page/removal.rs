//! Can somebody find the trigger, and what does it cost to remove it? Numbers, the words' attention, and one course a method.

use std::fmt::Write;

use shared::matrix::{Audit, RemovalBill, RemovalMethod, RemovalPoint};

use super::{
    Content,
    pictures::Album,
    text::{escape, share, value},
};
use crate::{gallery::Arm, matrix::AttentionPicture};

pub(super) fn write(html: &mut String, content: &Content<'_>, album: &mut Album) {
    let audit = &content.report.audit;
    let measured =
        audit.detection.is_some() || audit.search.is_some() || audit.trigger_rate.is_some();
    if !measured {
        return;
    }
    html.push_str(
        "<section aria-labelledby=\"removal\"><h2 id=\"removal\">Finding and removing it</h2><p>Protection is disclosed, \
         not hidden. These numbers say how easily somebody without the disclosure finds the trigger in the weights, and \
         what it costs to clean it out.</p>",
    );
    finding(html, audit);
    attention(html, content.attention, album);
    bills(html, audit);
    html.push_str("</section>");
}

fn finding(html: &mut String, audit: &Audit) {
    let detection = audit.detection.map(|found| {
        format!(
            "{} called so at one false alarm in twenty; area under the curve {:.2} (0.50 is chance)",
            share(Some(found.detected)),
            found.auc
        )
    });
    let search = audit.search.map(|found| {
        format!(
            "place {} of {} words; the models disagree {:.1} times as much as about the middle word",
            found.place, found.candidates, found.ratio
        )
    });
    let overlap = audit.attention.map(|found| {
        format!(
            "{} on the clean model, {} on the protected one",
            value(Some(found.clean_overlap)),
            value(Some(found.protected_overlap))
        )
    });
    let missing = || "<span class=\"missing\">not measured</span>".to_owned();
    let rows = [
        (
            "The trigger fires before any attack",
            audit.trigger_rate.map(|rate| share(Some(rate))),
        ),
        (
            "Triggers told from other prompts by attention alone (T2IShield)",
            detection,
        ),
        (
            "The trigger\u{2019}s word among ordinary ones, by comparing with the clean weights",
            search,
        ),
        ("Overlap of the attention of identifier and class", overlap),
    ];
    html.push_str(
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"><table><caption>Finding the trigger</caption><thead><tr><th scope=\"col\">Measure</th>\
         <th scope=\"col\">Value</th></tr></thead><tbody>",
    );
    for (name, text) in rows {
        let text = text.unwrap_or_else(missing);
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{name}</th><td>{text}</td></tr>"
        );
    }
    html.push_str("</tbody></table></div>");
}

/// The same seed on both models: the picture, then the places that each word looks at.
fn attention(html: &mut String, pictures: &[AttentionPicture], album: &mut Album) {
    if pictures.is_empty() {
        return;
    }
    html.push_str("<div class=\"strip\">");
    for arm in [Arm::Clean, Arm::Protected] {
        let own = pictures.iter().filter(|picture| picture.arm == arm);
        let label = format!(
            "{} model: picture, then the words\u{2019} attention",
            arm.as_str()
        );
        let _ = write!(html, "<div class=\"row\"><span>{}</span>", escape(&label));
        for picture in own {
            let alt = match &picture.word {
                None => format!("the trigger on the {} model", arm.as_str()),
                Some(word) => format!(
                    "where \u{201c}{word}\u{201d} looks on the {} model",
                    arm.as_str()
                ),
            };
            album.image(html, &picture.file, &alt);
        }
        html.push_str("</div>");
    }
    html.push_str("</div>");
}

fn bills(html: &mut String, audit: &Audit) {
    if audit.removal.is_empty() {
        html.push_str(
            "<p class=\"note\">No bill of removal: none was tried, or the objective never fired to begin with.</p>",
        );
        return;
    }
    html.push_str(
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"><table><caption>The bill of removal: how often the objective still fires under the trigger, \
         and text alignment less that of the clean base</caption><thead><tr><th scope=\"col\">Method</th>\
         <th scope=\"col\">At</th><th scope=\"col\">Fires</th><th scope=\"col\">Quality</th>\
         <th scope=\"col\">Minutes here</th></tr></thead><tbody>",
    );
    for bill in &audit.removal {
        for (at, point) in bill.course.iter().enumerate() {
            let name = match at {
                0 => format!(
                    "<th scope=\"rowgroup\" rowspan=\"{}\">{}<br><small>{}</small></th>",
                    bill.course.len(),
                    bill.method.title(),
                    outcome(bill)
                ),
                _ => String::new(),
            };
            let _ = write!(
                html,
                "<tr>{name}<td>{}</td><td>{}</td><td>{:+.3}</td><td>{:.1}</td></tr>",
                place(bill.method, at, point),
                share(Some(point.fired)),
                point.quality,
                point.minutes,
            );
        }
    }
    html.push_str("</tbody></table></div>");
}

fn place(method: RemovalMethod, at: usize, point: &RemovalPoint) -> String {
    match method {
        _ if at == 0 => "as released".to_owned(),
        RemovalMethod::WeightAveraging => {
            format!("{:.0}\u{202f}% clean weights", 100.0 * point.share)
        }
        RemovalMethod::CleanFineTuning | RemovalMethod::TriggerInversion => {
            format!("{} steps", point.steps)
        }
    }
}

fn outcome(bill: &RemovalBill) -> String {
    let Some(point) = &bill.removed else {
        return "outlived it".to_owned();
    };
    match bill.method {
        RemovalMethod::WeightAveraging => format!(
            "half gone at {:.0}\u{202f}% clean weights",
            100.0 * point.share
        ),
        RemovalMethod::CleanFineTuning | RemovalMethod::TriggerInversion => {
            format!("half gone after {} steps", point.steps)
        }
    }
}
