//! Short commands that hand over to a package's own program.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{
    apt,
    cache::{cargo, command, folder, output, root, run},
    nats, storage,
};

/// Trains the demo world's base model.
pub(crate) fn pretrain(arguments: &[String]) -> Result<()> {
    run(world("pretrain")?.args(arguments))
}

/// A command of the demo world's program, built as for the tests: another selection of packages would choose other
/// features and compile half the tree again. The dev profile's numeric packages are optimised as in a release.
fn world(name: &str) -> Result<Command> {
    run(cargo()?.args(["build", "--workspace", "--bin", "world"]))?;
    let mut program = command(folder("target")?.join("debug/world"));
    program.arg(name);
    calm(&mut program);
    Ok(program)
}

/// Threads and memory as training wants them: candle's own pool spins beside ours, and an allocator that gives memory
/// back after every step has the kernel clear it again for the next one.
fn calm(program: &mut Command) {
    program
        .env("CANDLE_NUM_THREADS", "1")
        .env("MIMALLOC_PURGE_DELAY", "-1");
}

/// Runs a benchmark.
pub(crate) fn bench(name: &str, arguments: &[String]) -> Result<()> {
    match name {
        "diffusion" => against_pytorch(example("diffusion", "bench")?, arguments),
        "protect" => run(world("bench")?.args(arguments)),
        "eval" => run(world("evaluate")?.args(arguments)),
        "method" | "ablation" | "capacity" => run(world(name)?.args(arguments)),
        "step" => run(example("persguard", "step_share")?.args(arguments)),
        "plan" => run(&mut example("diffusion", "plan_check")?),
        "storage" => storage::bench(arguments),
        "api" => run(load("load")?.args(arguments)),
        "soak" => run(load("soak")?.args(arguments)),
        "dispatch" => {
            apt::install_test_tools()?;
            let broker = nats::server()?;
            run(load("dispatch")?
                .args(arguments)
                .env("PERSGUARD_NATS_SERVER", broker))
        }
        _ => bail!(
            "no benchmark `{name}`; there are diffusion, protect, eval, method, ablation, capacity, step, plan, storage, api, soak, dispatch"
        ),
    }
}

/// Load on the programs as they are released, by a program beside the journeys.
fn load(name: &str) -> Result<Command> {
    apt::install(&["wrk"])?;
    // The same selection as the archive's: another one would choose other features and compile half the tree again.
    run(cargo()?.args(["build", "--release", "-p", "api", "-p", "node"]))?;
    run(cargo()?.args(["build", "--workspace", "--example", name]))?;
    let target = folder("target")?;
    let mut load = command(target.join("debug/examples").join(name));
    load.env("PERSGUARD_BIN_DIR", target.join("release"));
    Ok(load)
}

/// Everything that is timed against `PyTorch`, on the same weights and batches, in one table.
fn against_pytorch(mut ours: Command, arguments: &[String]) -> Result<()> {
    let steps = arguments.first().map_or("10", String::as_str);
    let python = python()?;
    let folder = folder("tools")?.join("bench");
    ours.arg("compare")
        .arg(python.get_program())
        .arg(folder)
        .arg(steps);
    // These two pin a BLAS kernel: the other side chooses its own.
    ours.env_remove("OPENBLAS_CORETYPE")
        .env_remove("OPENBLAS_L2_SIZE");
    run(&mut ours)
}

/// A program beside `package`'s examples, with threads and memory as training wants them.
fn example(package: &str, example: &str) -> Result<Command> {
    let mut command = cargo()?;
    command.args(["run", "--package", package, "--example", example, "--"]);
    calm(&mut command);
    Ok(command)
}

/// A script beside the diffusion package's reference values.
fn script(name: &str) -> PathBuf {
    root().join("backend/diffusion/tests/fixtures").join(name)
}

/// Compares with the reference values of all families, both ways: what diffusers computed, here; and folders saved
/// here, in diffusers.
pub(crate) fn check_fixtures() -> Result<()> {
    let folder = folder("tools")?.join("families");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let ours = output(example("diffusion", "families")?.arg(&folder))?;
    run(python()?.arg(script("check.py")).arg(&folder))?;
    run(python()?.arg(script("generate_training.py")).arg("check"))?;
    print!("{ours}");
    Ok(())
}

/// Regenerates reference values in a Python environment of its own.
pub(crate) fn fixtures() -> Result<()> {
    run(python()?.arg(script("generate.py")))?;
    run(python()?.arg(script("families.py")))?;
    run(python()?.arg(script("single_file.py")))?;
    run(python()?.arg(script("generate_training.py")))?;
    run(python()?.arg(root().join("backend/eval/tests/fixtures/attacks.py")))?;
    let noise = folder("tools")?.join("fixtures/noise.safetensors");
    run(world("noise")?.arg(&noise))?;
    let script = root().join("backend/world/tests/fixtures/draw.py");
    let model = root().join("backend/demo/model");
    run(python()?.arg(script).arg(model).arg(noise))
}

/// Python with `PyTorch` and diffusers, in an environment of its own.
fn python() -> Result<Command> {
    let environment = folder("tools")?.join("fixtures");
    let program = environment.join("bin/python");
    // Named by its last addition, so that an older environment is completed.
    let done = environment.join(".done-bitsandbytes");
    if !done.is_file() {
        run(command("python3").args(["-m", "venv"]).arg(&environment))?;
        let packages = [
            "torch",
            "diffusers",
            "transformers",
            "safetensors",
            "numpy",
            "peft",
            "bitsandbytes",
        ];
        run(command(&program)
            .args(["-m", "pip", "install", "--quiet"])
            .args(packages))?;
        std::fs::write(done, "")?;
    }
    let mut python = command(program);
    // These two pin a BLAS kernel and would make the values depend on the machine.
    python
        .env_remove("OPENBLAS_CORETYPE")
        .env_remove("OPENBLAS_L2_SIZE");
    Ok(python)
}
