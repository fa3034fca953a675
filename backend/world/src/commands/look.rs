//! `world look`: contact sheets of the renderer.

use std::path::PathBuf;

use world::dataset::Example;
use world::render::SIDE;
use world::seeds::Split;
use world::{publish, sheet, subject};

use super::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory of the sheets.
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    std::fs::create_dir_all(&arguments.out)?;
    let examples: Vec<_> = (0..96)
        .map(|index| Example::draw(Split::Development, index))
        .collect();
    for example in &examples[..16] {
        say(&example.caption)?;
    }
    let pictures: Vec<_> = examples
        .iter()
        .map(|example| example.scene.render(SIDE))
        .collect();
    sheet::write(&arguments.out.join("examples.png"), &pictures, SIDE, 16, 3)?;
    let scenes = subject::PROTECTED
        .iter()
        .chain(&subject::STRANGERS)
        .flat_map(|subject| {
            (0..publish::samples::PICTURES).map(|number| publish::samples::scene(subject, number))
        });
    let prints = (0..subject::PRINTS.len()).map(publish::samples::print);
    let pictures: Vec<_> = scenes
        .chain(prints)
        .map(|scene| scene.render(128))
        .collect();
    sheet::write(&arguments.out.join("subjects.png"), &pictures, 128, 5, 1)?;
    Ok(())
}
