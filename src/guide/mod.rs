//! Longer explanations than README has room for, a page each. Only text: nothing here is code.

#[doc = include_str!("access.md")]
pub mod access {}
#[doc = include_str!("capacity.md")]
pub mod capacity {}
#[doc = include_str!("cluster.md")]
pub mod cluster {}
#[doc = include_str!("operations.md")]
pub mod operations {}
#[doc = include_str!("rabbitmq.md")]
pub mod rabbitmq {}
#[doc = include_str!("running.md")]
pub mod running {}
#[doc = include_str!("shield.md")]
pub mod shield {}
#[doc = include_str!("tokens.md")]
pub mod tokens {}
