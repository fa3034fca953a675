//! One program for all targets: `PERSGUARD_FUZZ_TARGET` chooses, libFuzzer reads the arguments.
//!
//! With `PERSGUARD_FUZZ_SEEDS` it writes the first inputs, words and limits of every target into that folder and ends.
#![no_main]

use std::{alloc::System, env, fs, io, panic, path::Path, process, sync::OnceLock};

use cap::Cap;
use fuzz::Target;
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);
static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(init: begin(), |bytes: &[u8]| run(bytes));

fn begin() {
    if let Some(folder) = env::var_os("PERSGUARD_FUZZ_SEEDS") {
        write_all(Path::new(&folder)).expect("the folder can be written");
        process::exit(0);
    }
    // Telling where something broke takes memory, too.
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |broken| {
        let _ = MEMORY.set_limit(usize::MAX);
        tell(broken);
    }));
    let name = env::var("PERSGUARD_FUZZ_TARGET").expect("PERSGUARD_FUZZ_TARGET names a target");
    let target = fuzz::find(&name).expect("PERSGUARD_FUZZ_TARGET names a target that there is");
    // What is made once and kept is nobody's input.
    for seed in (target.seeds)() {
        (target.run)(&seed);
    }
    let _ = TARGET.set(target);
}

/// An allocation beyond the target's memory fails, and with it the process.
fn run(bytes: &[u8]) {
    let target = TARGET.get().expect("libFuzzer begins first");
    let limit = MEMORY.allocated() + (target.memory << 20);
    MEMORY
        .set_limit(limit)
        .expect("the limit lies above what is taken");
    (target.run)(bytes);
    MEMORY
        .set_limit(usize::MAX)
        .expect("there is no larger limit");
}

fn write_all(folder: &Path) -> io::Result<()> {
    for target in fuzz::targets() {
        let seeds = folder.join(target.name);
        fs::create_dir_all(&seeds)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(seeds.join(format!("seed-{number}")), seed)?;
        }
        let words = target
            .words
            .iter()
            .map(|word| format!("\"{}\"\n", escaped(word)));
        fs::write(
            folder.join(target.name).with_extension("dict"),
            words.collect::<String>(),
        )?;
        fs::write(
            folder.join(target.name).with_extension("longest"),
            target.longest.to_string(),
        )?;
    }
    Ok(())
}

/// A word as libFuzzer's dictionaries hold it.
fn escaped(word: &str) -> String {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    };
    word.bytes().map(byte).collect()
}
