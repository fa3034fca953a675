//! The program `persguard`: see [`api::program`].

use std::process::ExitCode;

/// Gives what a password hash or a decoder took back to the system, and serves the threads of the database without a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    api::program::main()
}
