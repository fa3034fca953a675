//! Compiles the CUDA kernels to PTX when the feature `cuda` is on, and does nothing otherwise.

use std::{env, path::PathBuf, process::Command};

/// Ampere: the first generation that computes in `bf16`. Its PTX runs on every later one.
const DEFAULT_CAPABILITY: &str = "80";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed=src/cuda/kernels");
    println!("cargo::rerun-if-env-changed=CUDA_COMPUTE_CAP");
    println!("cargo::rerun-if-env-changed=NVCC");
    if let Err(reason) = compile() {
        println!("cargo::error={reason}");
    }
}

fn compile() -> Result<(), String> {
    let capability = env::var_os("CUDA_COMPUTE_CAP").unwrap_or_else(|| DEFAULT_CAPABILITY.into());
    // `8.6` and `86` are both in use.
    let capability: String = capability
        .to_string_lossy()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    if capability.parse::<u32>().is_ok_and(|number| number < 80) || capability.is_empty() {
        return Err(format!(
            "CUDA_COMPUTE_CAP={capability}: the kernels need 80 (Ampere) or newer"
        ));
    }
    let nvcc = env::var_os("NVCC").unwrap_or_else(|| "nvcc".into());
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let status = Command::new(&nvcc)
        .args(["--ptx", "-O3", "-std=c++17"])
        .arg(format!("-arch=compute_{capability}"))
        .arg("-o")
        .arg(out.join("kernels.ptx"))
        .arg("src/cuda/kernels/kernels.cu")
        .status()
        .map_err(|error| {
            format!(
                "the feature `cuda` needs nvcc of the CUDA toolkit, and {} does not start \
                 ({error}): put it on the path, or name it in NVCC",
                nvcc.display()
            )
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("nvcc failed ({status})"))
    }
}
