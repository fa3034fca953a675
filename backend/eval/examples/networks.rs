//! What the picture networks say about pictures, as JSON, to compare with other implementations of them.
//!
//! `networks faces FOLDER PICTURE...`: boxes and descriptors; FOLDER holds face-api's `model` files.
//! `networks features WEIGHTS PICTURE...`: EfficientNet-Lite0 features; `efficientnet.py` converts the weights.

use std::{env, fs, path::Path};

use candle_core::{Device, Tensor};
use eval::{matrix::Supplied, net::EfficientNet};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [command, folder, pictures @ ..] if command == "faces" => {
            faces(Path::new(folder), pictures)
        }
        [command, weights, pictures @ ..] if command == "features" => features(weights, pictures),
        _ => Err("networks faces FOLDER PICTURE... | networks features WEIGHTS PICTURE...".into()),
    }
}

fn faces(folder: &Path, pictures: &[String]) -> Result<(), Failure> {
    // The side concerns real pictures alone.
    let supplied = Supplied::load(folder, 1)?;
    let reader = supplied
        .nets()
        .faces
        .ok_or("the folder has no face networks")?;
    for picture in pictures {
        let faces = reader.read(&pixels(picture)?)?.swap_remove(0);
        let rows: Vec<_> = faces
            .iter()
            .map(|face| {
                let found = face.detection;
                serde_json::json!({
                    "box": [found.left, found.top, found.width, found.height, found.score],
                    "descriptor": face.descriptor,
                })
            })
            .collect();
        say(&serde_json::json!({ "file": picture, "found": rows }))?;
    }
    Ok(())
}

fn features(weights: &str, pictures: &[String]) -> Result<(), Failure> {
    let net = EfficientNet::load(&fs::read(weights)?)?;
    for picture in pictures {
        let features = net
            .features(&pixels(picture)?)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        say(&serde_json::json!({ "file": picture, "features": features }))?;
    }
    Ok(())
}

/// A picture's pixels, `[1, 3, h, w]` in `[-1, 1]`.
fn pixels(path: &str) -> Result<Tensor, Failure> {
    let picture = image::open(path)?.to_rgb8();
    let (width, height) = picture.dimensions();
    let values: Vec<f32> = picture
        .into_raw()
        .into_iter()
        .map(|byte| f32::from(byte) / 127.5 - 1.0)
        .collect();
    let rows = Tensor::from_vec(
        values,
        (1, height as usize, width as usize, 3),
        &Device::Cpu,
    )?;
    Ok(rows.permute((0, 3, 1, 2))?.contiguous()?)
}

fn say(value: &serde_json::Value) -> Result<(), Failure> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{value}")?;
    Ok(())
}
