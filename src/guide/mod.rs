//! Longer explanations than README has room for, a page each. Only text: nothing here is code.

#[doc = include_str!("rabbitmq.md")]
pub mod rabbitmq {}
#[doc = include_str!("tokens.md")]
pub mod tokens {}
