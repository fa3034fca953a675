//! Short commands that hand over to a package's own program.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::{cargo, command, folder, output, root, run};

/// Trains the demo world's base model.
pub(crate) fn pretrain(arguments: &[String]) -> Result<()> {
    // The dev profile: its numeric packages are optimised as in a release.
    let mut trainer = cargo()?;
    trainer
        .args(["run", "--package", "world", "--", "pretrain"])
        .args(arguments);
    run(&mut trainer)
}

/// Runs a benchmark.
pub(crate) fn bench(name: &str, arguments: &[String]) -> Result<()> {
    let example = |package: &str, example: &str| -> Result<Command> {
        let mut command = cargo()?;
        command.args(["run", "--package", package, "--example", example, "--"]);
        Ok(command)
    };
    match name {
        "diffusion" => against_pytorch(example("diffusion", "step_bench")?, arguments),
        "protect" => run(example("persguard", "step_share")?.args(arguments)),
        _ => bail!("no benchmark `{name}`; there are diffusion, protect"),
    }
}

/// The same training step on the same weights and batch, ours and `PyTorch`s, one thread each.
fn against_pytorch(mut ours: Command, arguments: &[String]) -> Result<()> {
    let steps = arguments.first().map_or("10", String::as_str);
    let folder = folder("tools")?.join("bench");
    let ours = output(ours.arg(steps).arg(&folder).env("RAYON_NUM_THREADS", "1"))?;
    print!("persguard: {ours}");
    let script = root().join("backend/diffusion/examples/step_bench.py");
    let theirs = output(python()?.arg(script).arg(folder).args([steps, "1"]))?;
    print!("PyTorch:   {theirs}");
    let (ours, theirs) = (median(&ours)?, median(&theirs)?);
    println!("time ratio (persguard / PyTorch): {:.2}", ours / theirs);
    Ok(())
}

fn median(line: &str) -> Result<f64> {
    let (_, rest) = line
        .split_once("median ")
        .context("no median in the output")?;
    Ok(rest.split_whitespace().next().unwrap_or_default().parse()?)
}

/// Regenerates reference values in a Python environment of its own.
pub(crate) fn fixtures() -> Result<()> {
    let script = root().join("backend/diffusion/tests/fixtures/generate.py");
    run(python()?.arg(script))
}

/// Python with `PyTorch` and diffusers, in an environment of its own.
fn python() -> Result<Command> {
    let environment = folder("tools")?.join("fixtures");
    let program = environment.join("bin/python");
    if !environment.join(".done").is_file() {
        run(command("python3").args(["-m", "venv"]).arg(&environment))?;
        let packages = ["torch", "diffusers", "transformers", "safetensors", "numpy"];
        run(command(&program)
            .args(["-m", "pip", "install", "--quiet"])
            .args(packages))?;
        std::fs::write(environment.join(".done"), "")?;
    }
    let mut python = command(program);
    // These two pin a BLAS kernel and would make the values depend on the machine.
    python
        .env_remove("OPENBLAS_CORETYPE")
        .env_remove("OPENBLAS_L2_SIZE");
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn a_median_is_read_or_missed() {
        assert_eq!(
            median("threads 1 median 974.5 ms (forward 3)").ok(),
            Some(974.5)
        );
        assert!(median("threads 1").is_err());
    }
}
