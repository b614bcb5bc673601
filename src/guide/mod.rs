//! The guide for those who run Noren: pages of text, and no code.

#[doc = include_str!("operations.md")]
pub mod operations {}
#[doc = include_str!("running.md")]
pub mod running {}
