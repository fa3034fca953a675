//! Short commands that hand over to a package's own program.

use anyhow::Result;

use crate::cache::{cargo, command, folder, root, run};

/// Trains the demo world's base model.
pub(crate) fn pretrain(arguments: &[String]) -> Result<()> {
    // The dev profile: its numeric packages are optimised as in a release.
    let mut trainer = cargo()?;
    trainer
        .args(["run", "--package", "world", "--", "pretrain"])
        .args(arguments);
    run(&mut trainer)
}

/// Runs the example `bench` of a package.
pub(crate) fn bench(name: &str, arguments: &[String]) -> Result<()> {
    let mut bench = cargo()?;
    bench
        .args(["run", "--package", name, "--example", "bench", "--"])
        .args(arguments);
    run(&mut bench)
}

/// Regenerates reference values in a Python environment of its own.
pub(crate) fn fixtures() -> Result<()> {
    let environment = folder("tools")?.join("fixtures");
    let python = environment.join("bin/python");
    if !environment.join(".done").is_file() {
        run(command("python3").args(["-m", "venv"]).arg(&environment))?;
        let packages = ["torch", "diffusers", "transformers", "safetensors", "numpy"];
        run(command(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(packages))?;
        std::fs::write(environment.join(".done"), "")?;
    }
    let script = root().join("backend/diffusion/tests/fixtures/generate.py");
    let mut generate = command(&python);
    // These two pin a BLAS kernel and would make the values depend on the machine.
    generate
        .arg(script)
        .env_remove("OPENBLAS_CORETYPE")
        .env_remove("OPENBLAS_L2_SIZE");
    run(&mut generate)
}
