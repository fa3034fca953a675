//! Which images the attacker has. Refuses to load any.

use candle_core::Tensor;
use shared::attack::ImageMode;

use crate::{Error, Result};

/// Images beside the protected ones; pixels or latents, each `[n, ..]`.
#[derive(Clone, Copy, Default)]
pub struct Extra<'a> {
    /// Of the same subject, never protected.
    pub unseen: Option<&'a Tensor>,
    /// Of other subjects of the same class.
    pub others: Option<&'a Tensor>,
}

/// The attacker's images, as many as are protected.
///
/// Half unseen: the first half of the protected images, rounded up, and unseen ones. One among others: the first
/// protected image and others of the class. Refuses a mode whose images are not there in number.
pub fn instance(mode: ImageMode, protected: &Tensor, extra: Extra<'_>) -> Result<Tensor> {
    let count = protected.dims().first().copied().unwrap_or(0);
    let (kept, source, name) = match mode {
        ImageMode::Seen => return Ok(protected.clone()),
        ImageMode::HalfUnseen => (count.div_ceil(2), extra.unseen, "unseen images"),
        ImageMode::OneAmongOthers => (count.min(1), extra.others, "other images of the class"),
    };
    let needed = count - kept;
    let found = source.map_or(0, |images| images.dims().first().copied().unwrap_or(0));
    match source {
        Some(images) if found >= needed && images.dims()[1..] == protected.dims()[1..] => {
            let parts = [protected.narrow(0, 0, kept)?, images.narrow(0, 0, needed)?];
            Ok(Tensor::cat(&parts, 0)?)
        }
        _ => Err(Error::AttackInput {
            input: name,
            reason: format!(
                "{needed} of shape {:?} are needed, given are {:?}",
                protected.dims().get(1..).unwrap_or_default(),
                source.map(Tensor::dims).unwrap_or_default(),
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn images(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu)
            .unwrap()
            .reshape((values.len(), 1))
            .unwrap()
    }

    fn values(mode: ImageMode, extra: Extra<'_>) -> Result<Vec<f32>> {
        let images = instance(mode, &images(&[1.0, 2.0, 3.0]), extra)?;
        Ok(images.flatten_all()?.to_vec1()?)
    }

    #[test]
    fn modes_mix_protected_images_with_the_others() {
        let (unseen, others) = (images(&[10.0, 11.0]), images(&[20.0, 21.0]));
        let extra = Extra {
            unseen: Some(&unseen),
            others: Some(&others),
        };
        assert_eq!(values(ImageMode::Seen, extra).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(
            values(ImageMode::HalfUnseen, extra).unwrap(),
            [1.0, 2.0, 10.0]
        );
        assert_eq!(
            values(ImageMode::OneAmongOthers, extra).unwrap(),
            [1.0, 20.0, 21.0]
        );
    }

    #[test]
    fn images_that_are_not_there_are_refused() {
        let few = images(&[20.0]);
        let wide = Tensor::zeros((4, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(values(ImageMode::HalfUnseen, Extra::default()).is_err());
        for others in [&few, &wide] {
            let extra = Extra {
                others: Some(others),
                ..Extra::default()
            };
            let error = values(ImageMode::OneAmongOthers, extra).unwrap_err();
            assert!(
                error.to_string().contains("other images of the class"),
                "{error}"
            );
        }
    }
}
