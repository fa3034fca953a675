//! Package `diffusion`.
