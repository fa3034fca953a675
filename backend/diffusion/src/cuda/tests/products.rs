//! Linear layers, sums of columns, and the exchange of rows for columns.

use super::{
    super::{linear::Linear, sums},
    Emulator, KINDS, View, agree, compare, normal,
};
use crate::ops;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[test]
fn linear_layers_agree_with_the_cpu() {
    let sizes = Linear {
        rows: 14,
        inputs: 9,
        outputs: 35,
    };
    agree(
        &[&[2, 7, 9], &[35, 9], &[35]],
        |t| ops::linear(&t[0], &t[1], Some(&t[2])),
        |device, v, g| {
            let ys = sizes.forward(device, v[0], v[1], Some(v[2]))?;
            let dx = sizes.input_gradient(device, g, v[1])?;
            let dw = sizes.weight_gradient(device, g, v[0])?;
            Ok((ys, vec![dx, dw, sizes.bias_gradient(device, g)?]))
        },
    );
    agree(
        &[&[14, 9], &[35, 9]],
        |t| ops::linear(&t[0], &t[1], None),
        |device, v, g| {
            let ys = sizes.forward(device, v[0], v[1], None)?;
            let dx = sizes.input_gradient(device, g, v[1])?;
            Ok((ys, vec![dx, sizes.weight_gradient(device, g, v[0])?]))
        },
    );
}

#[test]
fn sums_of_columns_take_several_chunks() {
    let Some(device) = Emulator::start() else {
        return;
    };
    let (rows, columns) = (1200, 37);
    for kind in KINDS {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let xs = normal(&mut rng, &[rows, columns], kind);
        let expected: Vec<f32> = (0..columns)
            .map(|column| xs.iter().skip(column).step_by(columns).sum())
            .collect();
        let memory = device.upload(kind, &xs).unwrap();
        let sums = sums::column_sums(&device, View::new(&memory, kind), rows, columns).unwrap();
        compare("the sum", kind, &device.download(&sums).unwrap(), &expected);
    }
}
