//! Every first input and every input that once broke something, without libFuzzer.

use std::{fs, path::Path};

use super::targets;

#[test]
fn first_inputs_and_former_failures_hold() {
    let regressions = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for target in targets() {
        for seed in (target.seeds)() {
            assert!(seed.len() <= target.longest, "{}: a long seed", target.name);
            (target.run)(&seed);
        }
        (target.run)(b"");
        let Ok(entries) = fs::read_dir(regressions.join(target.name)) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a folder that can be read").path();
            // Shown where the test fails.
            println!("{}", path.display());
            (target.run)(&fs::read(&path).expect("a file that can be read"));
        }
    }
}

#[test]
fn every_folder_of_former_failures_belongs_to_a_target() {
    let regressions = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for entry in fs::read_dir(regressions).into_iter().flatten() {
        let name = entry.expect("a folder that can be read").file_name();
        let name = name.to_string_lossy();
        assert!(super::find(&name).is_some(), "there is no target {name}");
    }
}
