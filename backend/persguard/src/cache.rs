//! What one job draws and another can use: the teacher's pictures, by the hash of everything that decides them.
//!
//! Owns the files' content. Refuses to know where they lie, and to use a damaged one.

use candle_core::{DType, Device, Tensor};
use diffusion::weights::Weights;
use sha2::{Digest, Sha256};

use crate::Result;

/// Keeps files over jobs. Losing one costs time alone.
pub trait Cache {
    /// The file of this name, if it is there.
    fn get(&self, name: &str) -> Option<Vec<u8>>;
    /// Keeps a file, if there is room.
    fn put(&self, name: &str, bytes: &[u8]);
}

const LATENTS: &str = "latents";
/// Bytes of the SHA-256 before the content.
const DIGEST: usize = 32;

/// Latents under `name`; none where the file is missing or damaged.
pub(crate) fn read(cache: &dyn Cache, name: &str, device: &Device) -> Option<Tensor> {
    let file = cache.get(name)?;
    let (digest, content) = file.split_at_checked(DIGEST)?;
    if digest[..] != Sha256::digest(content)[..] {
        return None;
    }
    let weights = Weights::from_bytes(content, DType::F32, device).ok()?;
    weights.get(LATENTS).cloned()
}

/// Keeps latents under `name`.
pub(crate) fn write(cache: &dyn Cache, name: &str, latents: &Tensor) -> Result<()> {
    let weights: Weights = [(LATENTS.to_owned(), latents.clone())]
        .into_iter()
        .collect();
    let content = weights.to_bytes(DType::F32, &std::collections::BTreeMap::new())?;
    let mut file = Sha256::digest(&content).to_vec();
    file.extend(content);
    cache.put(name, &file);
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{cell::RefCell, collections::HashMap};

    use super::*;

    /// Files in memory.
    #[derive(Default)]
    pub(crate) struct Memory(pub(crate) RefCell<HashMap<String, Vec<u8>>>);

    impl Cache for Memory {
        fn get(&self, name: &str) -> Option<Vec<u8>> {
            self.0.borrow().get(name).cloned()
        }

        fn put(&self, name: &str, bytes: &[u8]) {
            self.0.borrow_mut().insert(name.to_owned(), bytes.to_vec());
        }
    }

    #[test]
    fn latents_come_back_to_the_bit_and_damage_does_not() {
        let memory = Memory::default();
        let device = Device::Cpu;
        let latents = Tensor::arange(0.0_f32, 24.0, &device)
            .and_then(|values| values.reshape((2, 3, 2, 2)))
            .unwrap();
        write(&memory, "a", &latents).unwrap();
        let back = read(&memory, "a", &device).unwrap();
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&back), values(&latents));
        assert!(read(&memory, "b", &device).is_none());
        let whole = memory.get("a").unwrap();
        for damaged in [
            vec![],
            whole[..20].to_vec(),
            whole[..whole.len() - 1].to_vec(),
            {
                let mut file = whole.clone();
                *file.last_mut().unwrap() ^= 1;
                file
            },
        ] {
            memory.put("a", &damaged);
            assert!(read(&memory, "a", &device).is_none());
        }
    }
}
