//! The picture that link previews show: title, verdict and the two curves, and no picture of the gallery.

use std::fmt::Write;

use shared::{
    evaluation::{EvaluationReport, Grade},
    say,
};

use super::{
    Reader, Shared,
    figure::Frame,
    grade,
    picture::{draw, escape},
};
use crate::{app::App, error::Error};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 630;
/// Characters of a line of the verdict.
const LINE: usize = 52;
const LINES: usize = 4;

const fn colour(grade: Grade) -> &'static str {
    match grade {
        Grade::Resisted => "#1d6636",
        Grade::Weakened => "#7d5200",
        Grade::NotResisted => "#a8231b",
        Grade::NoEvidence => "#545a56",
    }
}

/// Lines of whole words; what does not fit ends in an ellipsis.
fn lines(text: &str, longest: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        let length = line.chars().count() + 1 + word.chars().count();
        if line.is_empty() {
            line.push_str(word);
        } else if length <= longest {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        lines.last_mut().expect("there is one").push('\u{2026}');
    }
    for line in &mut lines {
        if line.chars().count() > longest + 1 {
            *line = line.chars().take(longest).chain(['\u{2026}']).collect();
        }
    }
    lines
}

fn curves(svg: &mut String, report: &EvaluationReport, reader: Reader) {
    let plot = Frame {
        left: 700.0,
        top: 190.0,
        width: 410.0,
        height: 260.0,
    };
    let arms = [
        (
            plot.line(&report.checkpoints, |result| &result.clean),
            "#a3470b",
            "10 7",
            say!(reader, "without protection"),
            540,
        ),
        (
            plot.line(&report.checkpoints, |result| &result.protected),
            "#0d5f58",
            "none",
            say!(reader, "with protection"),
            576,
        ),
    ];
    let right = plot.left + plot.width;
    for (share, name) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
        let (y, left) = (plot.y(share), plot.left);
        let _ = write!(
            svg,
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#dfdbd1\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"{}\" font-size=\"22\" fill=\"#545a56\" text-anchor=\"end\">{name}</text>",
            left - 14.0,
            y + 8.0
        );
    }
    for (index, result) in report.checkpoints.iter().enumerate() {
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"484\" font-size=\"22\" fill=\"#545a56\" text-anchor=\"middle\">{}</text>",
            plot.x(index, report.checkpoints.len()),
            result.attack_step
        );
    }
    for (line, colour, dashes, name, y) in arms {
        let _ = write!(
            svg,
            "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.14\"/>\
             <polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"5\" stroke-dasharray=\"{dashes}\"/>\
             <line x1=\"700\" x2=\"760\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"5\" \
             stroke-dasharray=\"{dashes}\"/><text x=\"776\" y=\"{}\" font-size=\"24\" fill=\"#1b1f1d\">{name}</text>",
            line.band,
            line.points,
            y + 8
        );
    }
    let _ = write!(
        svg,
        "<text x=\"700\" y=\"160\" font-size=\"22\" fill=\"#545a56\">{}</text>",
        say!(reader, "pictures that show the subject, by attack steps")
    );
}

/// The drawing; without a report it tells nothing.
fn compose(title: &str, report: Option<&EvaluationReport>, reader: Reader) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\">\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#faf9f6\"/>\
         <rect width=\"{WIDTH}\" height=\"14\" fill=\"#0d5f58\"/>\
         <text x=\"72\" y=\"92\" font-size=\"34\" fill=\"#0d5f58\">PersGuard</text>"
    );
    for (index, line) in lines(title, 26, 2).iter().enumerate() {
        let _ = write!(
            svg,
            "<text x=\"72\" y=\"{}\" font-size=\"50\" fill=\"#1b1f1d\">{}</text>",
            176 + 58 * index,
            escape(line)
        );
    }
    if let Some(report) = report {
        let (word, colour) = (grade(report.grade, reader), colour(report.grade));
        let _ = write!(
            svg,
            "<text x=\"72\" y=\"330\" font-size=\"44\" fill=\"{colour}\" stroke=\"{colour}\">{word}</text>"
        );
        for (index, line) in lines(&reader.reply(&report.verdict), LINE, LINES)
            .iter()
            .enumerate()
        {
            let _ = write!(
                svg,
                "<text x=\"72\" y=\"{}\" font-size=\"23\" fill=\"#1b1f1d\">{}</text>",
                384 + 34 * index,
                escape(line)
            );
        }
        curves(&mut svg, report, reader);
    }
    svg.push_str("</svg>");
    svg
}

/// The preview of a page as PNG; behind a password it tells no more than the page does.
pub(crate) async fn read(app: &App, shared: &Shared, reader: Reader) -> Result<Vec<u8>, Error> {
    let svg = if shared.link.password_hash.is_some() {
        compose(say!(reader, "A shared page"), None, reader)
    } else {
        compose(
            &shared.link.title,
            Some(&shared.gallery.output.report),
            reader,
        )
    };
    let _permit = app.sharing().draw().await?;
    let drawn = tokio::task::spawn_blocking(move || {
        draw(&svg, WIDTH, HEIGHT)?
            .encode_png()
            .map_err(Error::internal)
    });
    drawn.await.map_err(Error::internal)?
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    #[test]
    fn long_texts_end_in_time() {
        assert_eq!(lines("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(lines("one two three four", 7, 1), ["one two\u{2026}"]);
        assert_eq!(lines(&"x".repeat(99), 5, 2), ["xxxxx\u{2026}"]);
        assert_eq!(lines("", 5, 2), [""]);
    }

    #[test]
    fn hostile_titles_are_text() {
        for title in ["</text><script>", "&\"'<>", "\u{0}", "\u{5f31}\u{8005}"] {
            let svg = compose(title, None, Reader::new(&HeaderMap::new(), None));
            let drawn = draw(&svg, WIDTH, HEIGHT).unwrap();
            assert_eq!((drawn.width(), drawn.height()), (WIDTH, HEIGHT));
        }
    }

    #[test]
    fn nothing_is_told_without_a_report() {
        let reader = Reader::new(&HeaderMap::new(), None);
        assert!(!compose("A shared page", None, reader).contains("polyline"));
    }
}
