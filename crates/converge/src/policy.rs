//! The rules by which a controller throttles.

mod stepped;

pub use stepped::SteppedParameters;
