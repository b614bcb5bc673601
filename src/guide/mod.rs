//! The book: a page for each thing that those who run Noren, or write for it, want to do. Only text: nothing here is
//! code.

#[doc = include_str!("access.md")]
pub mod access {}
#[doc = include_str!("apps.md")]
pub mod apps {}
#[doc = include_str!("capacity.md")]
pub mod capacity {}
#[doc = include_str!("channels.md")]
pub mod channels {}
#[doc = include_str!("cherrypy.md")]
pub mod cherrypy {}
#[doc = include_str!("cluster.md")]
pub mod cluster {}
#[doc = include_str!("consoles.md")]
pub mod consoles {}
#[doc = include_str!("django.md")]
pub mod django {}
#[doc = include_str!("express.md")]
pub mod express {}
#[doc = include_str!("figures.md")]
pub mod figures {}
#[doc = include_str!("flask.md")]
pub mod flask {}
#[doc = include_str!("grip.md")]
pub mod grip {}
#[doc = include_str!("inside.md")]
pub mod inside {}
#[doc = include_str!("limits.md")]
pub mod limits {}
#[doc = include_str!("mercure.md")]
pub mod mercure {}
#[doc = include_str!("nova.md")]
pub mod nova {}
#[doc = include_str!("operations.md")]
pub mod operations {}
#[doc = include_str!("postgres.md")]
pub mod postgres {}
#[doc = include_str!("rabbitmq.md")]
pub mod rabbitmq {}
#[doc = include_str!("rfb.md")]
pub mod rfb {}
#[doc = include_str!("running.md")]
pub mod running {}
#[doc = include_str!("serial.md")]
pub mod serial {}
#[doc = include_str!("shield.md")]
pub mod shield {}
#[doc = include_str!("sinatra.md")]
pub mod sinatra {}
#[doc = include_str!("symfony.md")]
pub mod symfony {}
#[doc = include_str!("tokens.md")]
pub mod tokens {}
#[doc = include_str!("webhooks.md")]
pub mod webhooks {}
#[doc = include_str!("wok.md")]
pub mod wok {}
