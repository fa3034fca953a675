//! The device that tensors live on, by the name that people write.
//!
//! Pixels stay in the host's memory; [`Pipeline`](crate::pipeline::Pipeline) moves them where its
//! weights are and back.

use std::{fmt, str::FromStr};

use candle_core::{Device, DeviceLocation};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A device by name: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceName {
    /// The first NVIDIA device if this build can use one and there is one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The NVIDIA device with this number, as the driver counts them.
    Cuda(usize),
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// As the driver calls it, or `CPU`.
    pub model: String,
    /// Its own memory, in bytes; `None` for the processor, which has the host's.
    pub memory_bytes: Option<u64>,
}

impl FromStr for DeviceName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse().ok().map(Self::Cuda);
        let known = match text {
            "auto" => Some(Self::Auto),
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            _ => text.strip_prefix("cuda:").and_then(number),
        };
        known.ok_or_else(|| {
            Error::InvalidArgument(format!(
                "there is no device {text:?}: auto, cpu, cuda and cuda:N are known"
            ))
        })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(number) => write!(formatter, "cuda:{number}"),
        }
    }
}

impl TryFrom<String> for DeviceName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.to_string()
    }
}

impl DeviceName {
    /// Opens the device.
    ///
    /// A named NVIDIA device that is not there, or that this build cannot use, is an error; `auto` then means
    /// the processor.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(number) => cuda(number),
            Self::Auto => Ok(cuda(0).unwrap_or(Device::Cpu)),
        }
    }
}

/// The name that opens `device` again.
pub fn name(device: &Device) -> DeviceName {
    match device.location() {
        DeviceLocation::Cuda { gpu_id } => DeviceName::Cuda(gpu_id),
        _ => DeviceName::Cpu,
    }
}

/// What `device` says of itself.
pub fn describe(device: &Device) -> Result<DeviceInfo> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            let stream = device.cuda_stream();
            let context = stream.context();
            let driver = |error: &dyn fmt::Display| Error::InvalidArgument(error.to_string());
            let model = context.name().map_err(|error| driver(&error))?;
            let memory = context.total_mem().map_err(|error| driver(&error))?;
            Ok(DeviceInfo {
                model,
                memory_bytes: Some(memory as u64),
            })
        }
        _ => Ok(DeviceInfo {
            model: "CPU".to_owned(),
            memory_bytes: None,
        }),
    }
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Device> {
    Ok(crate::cuda::device(number)?)
}

#[cfg(not(feature = "cuda"))]
fn cuda(number: usize) -> Result<Device> {
    Err(Error::InvalidArgument(format!(
        "this build cannot use cuda:{number}: it was made without the feature cuda"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let read = |text: &str| text.parse::<DeviceName>().ok();
        assert_eq!(read("auto"), Some(DeviceName::Auto));
        assert_eq!(read("cuda"), Some(DeviceName::Cuda(0)));
        assert_eq!(read("cuda:3"), Some(DeviceName::Cuda(3)));
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert_eq!(read(name), None, "{name}");
        }
        for name in [DeviceName::Auto, DeviceName::Cpu, DeviceName::Cuda(2)] {
            assert_eq!(read(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn the_processor_is_always_there() {
        let device = DeviceName::Cpu.open().unwrap();
        assert!(device.is_cpu());
        assert_eq!(name(&device), DeviceName::Cpu);
        assert_eq!(describe(&device).unwrap().memory_bytes, None);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_named_device_is_refused_where_it_cannot_be_used() {
        let told = DeviceName::Cuda(1).open().unwrap_err().to_string();
        assert!(told.contains("cuda:1"), "{told}");
        assert!(DeviceName::Auto.open().unwrap().is_cpu());
    }
}
