//! The `world` command.
use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, Subcommand};
use world::{dataset::Example, render::SIDE, seeds::Split, sheet, subject};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}
#[derive(Subcommand)]
enum Command {
    /// Writes sheets of renders.
    Look { out: PathBuf },
}

fn main() -> anyhow::Result<()> {
    let Command::Look { out } = Arguments::parse().command;
    std::fs::create_dir_all(&out)?;
    for (size, n, cols, zoom) in [(SIDE, 96u64, 16usize, 3u32), (128, 40, 10, 1)] {
        let t = Instant::now();
        let ex: Vec<_> = (0..n).map(|i| Example::draw(Split::Development, i)).collect();
        let px: Vec<_> = ex.iter().map(|e| e.scene.render(size)).collect();
        println!("{size}: {:?} each", t.elapsed() / n as u32);
        for e in &ex[..10] { println!("{}", e.caption) }
        sheet::write(&out.join(format!("look{size}.png")), &px, size, cols, zoom)?;
    }
    let px: Vec<_> = subject::PROTECTED.iter().chain(&subject::STRANGERS).flat_map(|s| (0..5).map(|i| subject::scene(s.identity, Split::Development, i).render(256))).collect();
    sheet::write(&out.join("subjects.png"), &px, 256, 5, 1)?;
    let px: Vec<_> = world::attributes::Class::ALL.iter().flat_map(|&c| world::attributes::Style::ALL.iter().flat_map(move |&s| world::attributes::Accessory::ALL.iter().zip(world::attributes::Tint::ALL).map(move |(&a,&t)| subject::scene(world::attributes::Identity::new(c,s,t,a), Split::Development, 0).render(96)))).collect();
    sheet::write(&out.join("acc.png"), &px, 96, 12, 1)?;
    world::publish::samples::write(std::path::Path::new("/work/main/backend/demo/samples"))?;
    let v = world::vocabulary::Vocabulary::of_the_world();
    println!("tokens {} words {}", v.tokens().len(), world::vocabulary::words().len());
    for (n, t) in v.files() { std::fs::write(out.join(n), t)?; }
    Ok(())
}
