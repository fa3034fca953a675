use base64::{Engine, engine::general_purpose::STANDARD};
use shared::matrix::{Audit, Cost};

use super::*;
use crate::matrix::{
    merge,
    tests::{plan, results},
};

fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(8, 8, image::Rgb([200, 10, 10]))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

fn shown(report: &MatrixReport) -> String {
    shown_in(Language::English, report)
}

fn shown_in(language: Language, report: &MatrixReport) -> String {
    let picture = png();
    page(&Content {
        language,
        report,
        title: "Violet dog",
        issued_at: Timestamp::from_milliseconds(1_800_000_000_000),
        certificate: Some("certificate.json"),
        known_bypasses: &["Another word.".to_owned()],
        picture: &|_, name| (!name.ends_with("05.png")).then(|| picture.clone()),
        references: &|_| vec![picture.clone()],
        attention: &[],
    })
}

fn report() -> MatrixReport {
    let plan = plan();
    merge(&plan, &results(&plan), Audit::default(), Cost::default())
}

#[test]
fn every_number_and_every_cell_is_on_the_page_and_nothing_is_loaded() {
    let report = report();
    let html = shown(&report);
    for part in [
        "Resisted in 6 of 10 competent tests",
        "LoRA (rank 2)",
        "id=\"cell-1\"",
        "id=\"cell-18\"",
        "No evidence",
        "2027-01-15",
        "persguard verify certificate.json",
        "Another word.",
    ] {
        assert!(html.contains(part), "{part}");
    }
    for forbidden in ["http://", "https://", "<script", "NaN", "inf ", "url("] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert_eq!(html.matches("<article").count(), report.cells.len());
    // Two controls at three seeds, in the table and on their cards: nobody is to resist their owners.
    assert_eq!(html.matches("badge control").count(), 12);
}

/// Everything that is measured, so that every part of the page is there.
fn full_report() -> MatrixReport {
    let estimate = Some(crate::statistics::wilson(8, 10));
    let point = |steps, fired| shared::matrix::RemovalPoint {
        steps,
        minutes: 1.5,
        share: 0.25,
        fired: crate::statistics::wilson(fired, 10),
        quality: -0.012,
    };
    let bill =
        |method| crate::metric::removal::removal_bill(method, vec![point(0, 8), point(50, 1)]);
    let methods = [
        shared::matrix::RemovalMethod::CleanFineTuning,
        shared::matrix::RemovalMethod::WeightAveraging,
    ];
    let audit = Audit {
        trigger_rate: estimate,
        text_alignment: estimate,
        leaked: Some(1),
        leak_p_value: Some(0.0001),
        removal: methods.into_iter().filter_map(bill).collect(),
        ..Audit::default()
    };
    let plan = plan();
    let mut report = merge(&plan, &results(&plan), audit, Cost::default());
    for cause in [
        shared::matrix::Cause::MissedSubject,
        shared::matrix::Cause::LostPrompt,
        shared::matrix::Cause::Diverged,
    ] {
        report.cells[cause as usize].cause = cause;
    }
    report.not_tested = vec![report.cells[0].cell.clone()];
    report
}

/// Texts that people see or hear.
fn texts(html: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let (_, body) = html.split_once("</style>").unwrap();
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap();
        texts.push(text.to_owned());
        for name in [" alt=\"", " aria-label=\"", " title=\""] {
            let value = tag
                .split_once(name)
                .and_then(|(_, rest)| rest.split('"').next());
            texts.extend(value.map(str::to_owned));
        }
    }
    texts.retain(|text| text.bytes().any(|byte| byte.is_ascii_alphabetic()));
    texts
}

#[test]
fn german_page_says_nothing_in_english() {
    let report = full_report();
    let (english, german) = (
        shown_in(Language::English, &report),
        shown_in(Language::German, &report),
    );
    assert!(german.starts_with("<!doctype html>\n<html lang=\"de\" dir=\"ltr\">"));
    let (english, german) = (texts(&english), texts(&german));
    assert_eq!(english.len(), german.len());
    // Names, hashes and commands are the same in every language.
    let same = |text: &str| {
        let known = [
            "p",
            "Rate",
            "Another word.",
            "Encoder (the fixture&#39;s encoder)",
            "SHA-256",
            "Violet dog",
            "DreamBooth (U-Net)",
            "Textual Inversion",
            "Custom Diffusion",
        ];
        known.contains(&text)
            || text.starts_with("persguard verify")
            || report
                .subjects
                .iter()
                .any(|subject| text == subject.merkle_root)
            || text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
            || !text.contains(' ') && text.contains("e-")
            || text.contains("n\u{202f}=")
    };
    let untold: Vec<_> = english
        .iter()
        .zip(&german)
        .filter(|(one, other)| one == other && !same(one))
        .collect();
    assert!(untold.is_empty(), "{untold:#?}");
}

#[test]
fn german_numbers_and_moments_are_german() {
    let html = shown_in(Language::German, &full_report());
    for part in [
        ">15. Jan. 2027, 08:00 UTC</time>",
        "datetime=\"2027-01-15T08:00:00",
        "<td>-0,012</td><td>1,5</td>",
        "<td>-0,012</td>",
        ">0,75</text>",
        "<small>[49; 94]",
    ] {
        assert!(html.contains(part), "{part}");
    }
    let english = shown(&full_report());
    for part in [
        ">15 Jan 2027, 08:00 UTC</time>",
        ">0.75</text>",
        "<small>[49, 94]",
    ] {
        assert!(english.contains(part), "{part}");
    }
}

#[test]
fn what_no_catalogue_knows_says_that_it_is_english() {
    let mut report = report();
    "Nobody has <translated> this.".clone_into(&mut report.limits[0]);
    let limit = "<li><span lang=\"en\">Nobody has &lt;translated&gt; this.</span></li>";
    assert!(shown_in(Language::German, &report).contains(limit));
    assert!(shown(&report).contains("<li>Nobody has &lt;translated&gt; this.</li>"));
}

#[test]
fn hostile_names_stay_text() {
    let mut report = report();
    let evil = "<script>alert(1)</script>\"'&\u{202e}";
    for subject in &mut report.subjects {
        evil.clone_into(&mut subject.name);
        evil.clone_into(&mut subject.merkle_root);
    }
    for result in &mut report.cells {
        evil.clone_into(&mut result.cell.word);
        evil.clone_into(&mut result.cell.recipe.name);
    }
    evil.clone_into(&mut report.verdict);
    evil.clone_into(&mut report.limits[0]);
    let html = shown(&report);
    assert!(!html.contains("<script") && !html.contains('\u{202e}'));
    assert!(html.contains("&lt;script&gt;"));
}

#[test]
fn untested_squares_are_hatched_and_say_so() {
    let mut plan = plan();
    plan.kept = 0;
    let report = merge(&plan, &[], Audit::default(), Cost::default());
    let html = shown(&report);
    assert_eq!(
        html.matches("<td class=\"hatched\"><span class=\"sr\">not tested</span></td>")
            .count(),
        report.atlas.len()
    );
    assert!(html.contains("18 planned cells were not run"));
    assert!(html.contains("Not tested: the budget ended before it."));
}

#[test]
fn pictures_beyond_the_limit_are_counted_and_left_out() {
    let mut album = Album::default();
    let noise: Vec<u8> = (0..128 * 128 * 3_u32)
        .map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2])
        .collect();
    let mut file = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_raw(128, 128, noise).unwrap();
    picture
        .write_to(&mut file, image::ImageFormat::Png)
        .unwrap();
    let file = file.into_inner();
    let mut html = String::new();
    for _ in 0..LIMIT_BYTES / file.len() + 10 {
        album.image(&mut html, &file, "noise");
    }
    assert!(html.len() < LIMIT_BYTES + 1_000_000);
    let mut end = String::new();
    album.close(&mut end);
    assert!(
        end.contains("more pictures would have made this page too large"),
        "{end}"
    );
    let mut html = String::new();
    album.row(&mut html, "broken", &[b"no picture".to_vec()]);
    assert!(!html.contains("<img"));
}

#[test]
fn large_pictures_are_scaled_down() {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(512, 256)
        .write_to(&mut file, image::ImageFormat::Jpeg)
        .unwrap();
    let mut html = String::new();
    Album::default().image(&mut html, &file.into_inner(), "large");
    let data = html
        .split("base64,")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let picture = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap();
    assert_eq!((picture.width(), picture.height()), (128, 64));
}

#[test]
fn breaking_points_detection_and_the_bill_of_removal_are_told() {
    let point = |steps, fired| shared::matrix::RemovalPoint {
        steps,
        minutes: 0.5,
        share: 0.0,
        fired: crate::statistics::wilson(fired, 10),
        quality: -0.012,
    };
    let course = vec![point(0, 8), point(50, 1)];
    let bill = crate::metric::removal::removal_bill(
        shared::matrix::RemovalMethod::CleanFineTuning,
        course,
    );
    let audit = Audit {
        trigger_rate: Some(crate::statistics::wilson(8, 10)),
        search: Some(shared::matrix::TriggerSearch {
            candidates: 17,
            place: 1,
            ratio: 12.34,
        }),
        removal: bill.into_iter().collect(),
        ..Audit::default()
    };
    let plan = plan();
    let html = shown(&merge(&plan, &results(&plan), audit, Cost::default()));
    for part in [
        "Breaking points (S50)",
        "more than 100",
        "place 1 of 17 words; the models disagree 12.3 times",
        "half gone after 50 steps",
        "<td>as released</td>",
        "-0.012",
    ] {
        assert!(html.contains(part), "{part}");
    }
    let bare = shown(&report());
    assert!(
        !bare.contains("id=\"removal\""),
        "nothing measured, nothing said"
    );
}
