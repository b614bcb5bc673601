//! Pages for administrators, longer than a comment in the configuration can be. Documentation only.

#[doc = include_str!("capacity.md")]
pub mod capacity {}

#[doc = include_str!("cluster.md")]
pub mod cluster {}

#[doc = include_str!("rabbitmq.md")]
pub mod rabbitmq {}
