//! HTTP as every handler needs it: the transport under hyper, bodies, the checked request head, the header rules
//! of a proxy, and the refusal that every error becomes.
//!
//! Independent of routes and policy.

mod abort;
mod activity;
mod affinity;
mod body;
mod body_fault;
mod client_addr;
mod credentials;
mod date;
mod drain;
mod fields;
mod forwarded;
mod framing;
mod h2_flood;
mod h2_stall;
mod head;
mod header_blocks;
mod header_rules;
mod hop_by_hop;
mod hpack;
mod idempotency;
mod incoming;
mod interim;
mod layered;
mod lease;
mod linger;
mod one_shot;
mod path;
mod piece_body;
mod query;
mod refusal;
mod request_body;
mod request_line;
mod request_store;
mod spelling;
mod stall;
mod trace;
mod transport;
mod unread;
mod window_updates;
mod write_batch;

pub use abort::{AbortAfterFlush, Sent};
pub use activity::{Activity, Busy, Pending};
pub use affinity::{AFFINITY_COOKIE, take_affinity};
pub use body::{Body, BoxError, empty, full};
pub use body_fault::BodyFault;
pub use client_addr::Claimed;
pub use credentials::is_basic;
pub use date::set_date;
pub use drain::Drain;
pub use fields::{
    check_lines, drop_file_names, drop_method_overrides, is_header_of_the_door, method_overrides,
};
pub use forwarded::{Forwarded, drop_client_claims, drop_own_headers, drop_spellings_of};
pub use framing::Framing;
pub use h2_stall::Watch;
pub use head::{Authority, Context, Head, Scheme};
pub use header_rules::{apply_to_request, apply_to_response, replaced_fields};
pub use hop_by_hop::drop_hop_by_hop;
pub use idempotency::idempotency_key;
pub use incoming::{Counted, Incoming};
pub use interim::InterimSink;
pub use lease::Lease;
pub use one_shot::exchange;
pub use path::{PathFault, RequestPath};
pub use piece_body::{Pieces, in_pieces};
pub use query::parameter;
pub use refusal::{ClosedFor, Form, Refusal};
pub use request_body::{BodyLimits, Received, RequestBody, receive, refuse};
pub use request_store::Budget;
pub use spelling::{Spelling, SpellingReader};
pub use stall::{Deadline, Rate, Stall};
pub use trace::RequestId;
pub use transport::Transport;
pub use unread::Unread;
