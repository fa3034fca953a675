//! What fits which card, for the published families.

use candle_core::DType;
use diffusion::{
    Result,
    optimizer::MomentPrecision,
    plan::{Preset, Setup, Trained, plan},
};

use super::{FACTOR, GIB};

/// Memory of common cards.
const CARDS: [f64; 4] = [12.0, 16.0, 24.0, 80.0];

/// Left to the driver, its libraries and fragmentation; an assumption, not a measurement.
const RESERVED: f64 = 1.5;

/// Ways to train, from the plainest to the leanest.
fn recipes() -> [(&'static str, Setup); 4] {
    let lean = Setup {
        compute: DType::BF16,
        checkpointing: true,
        frozen: Some(DType::BF16),
        ..Setup::default()
    };
    [
        (
            "all, f32",
            Setup {
                frozen: Some(DType::F32),
                ..Setup::default()
            },
        ),
        ("all, bf16, checkpointing", lean),
        (
            "all, bf16, checkpointing, 8-bit",
            Setup {
                moments: MomentPrecision::EightBit,
                ..lean
            },
        ),
        (
            "LoRA 16, bf16, checkpointing",
            Setup {
                trained: Trained::LowRank(16),
                ..lean
            },
        ),
    ]
}

/// A row for each family, resolution and recipe, in Markdown.
pub(super) fn table() -> Result<String> {
    let mut lines = vec![
        "| model | pixels | what is trained, how | GiB | 12 | 16 | 24 | 80 |".to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for preset in [Preset::Sd1, Preset::Sdxl] {
        let models = preset.models();
        for pixels in [512, 1024] {
            for (name, recipe) in recipes() {
                let setup = Setup {
                    latent: (pixels / FACTOR, pixels / FACTOR),
                    ..recipe
                };
                let gib = plan(&models, &setup)?.memory.total() / GIB;
                let fits = CARDS.map(|card| if gib + RESERVED <= card { "yes" } else { "-" });
                lines.push(format!(
                    "| {} | {pixels} | {name} | {gib:.1} | {} |",
                    preset.name(),
                    fits.join(" | ")
                ));
            }
        }
    }
    lines.push(format!(
        "\nOne row a step; planned, not measured on a card; {RESERVED} GiB are left to the driver."
    ));
    lines.push(String::new());
    Ok(lines.join("\n"))
}
