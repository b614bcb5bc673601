//! Active subscriptions: lists them as documents, and reports changes as private updates of the hub itself. Covers this
//! process; the other nodes of a cluster report theirs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::config::MercureVersion;
use crate::sync::lock;
use crate::text::percent::encoded;

use super::publication::OWN_EVENT;
use super::selector::SelectorKind;
use super::update::Update;

/// Fixed value of `@context` in documents of version 0.x.
const CONTEXT: &str = "https://mercure.rocks/";

/// A subscription: one selector of a subscriber.
#[derive(Clone, Debug)]
pub(super) struct Subscribed {
    pub(super) kind: SelectorKind,
    pub(super) text: Box<str>,
    pub(super) payload: Option<Value>,
}

/// The subscriptions of one subscriber.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) id: String,
    pub(super) version: MercureVersion,
    pub(super) subscribed: Vec<Subscribed>,
}

/// The active subscriptions of a hub, in the order of the ids of subscribers.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<BTreeMap<String, Arc<Subscriber>>>);

/// Filter for a list of subscriptions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter<'a> {
    /// Kind of selector of the subscriptions; `None` in version 0.x, which has one kind.
    pub kind: Option<SelectorKind>,
    /// Selector of the subscriptions.
    pub selector: Option<&'a str>,
    /// Subscriber of the subscriptions.
    pub subscriber: Option<&'a str>,
}

impl Subscriptions {
    pub(super) fn add(&self, subscriber: &Arc<Subscriber>) {
        lock(&self.0).insert(subscriber.id.clone(), Arc::clone(subscriber));
    }

    pub(super) fn remove(&self, subscriber: &Subscriber) {
        lock(&self.0).remove(&subscriber.id);
    }

    /// The documents of the subscriptions that pass the filter.
    pub(super) fn documents(
        &self,
        path: &str,
        version: MercureVersion,
        filter: Filter<'_>,
    ) -> Vec<Value> {
        let subscribers: Vec<_> = {
            let all = lock(&self.0);
            match filter.subscriber {
                Some(id) => all.get(id).cloned().into_iter().collect(),
                None => all.values().cloned().collect(),
            }
        };
        let mut documents = Vec::new();
        for subscriber in subscribers.iter().filter(|one| one.version == version) {
            for one in &subscriber.subscribed {
                let is_kind = filter.kind.is_none_or(|kind| kind == one.kind);
                if is_kind
                    && filter
                        .selector
                        .is_none_or(|selector| *selector == *one.text)
                {
                    documents.push(subscriber.document(path, one, true));
                }
            }
        }
        documents
    }
}

impl Subscriber {
    /// The updates that report its subscriptions.
    pub(super) fn updates(&self, path: &str, active: bool) -> impl Iterator<Item = Update> {
        self.subscribed.iter().map(move |one| {
            let mut document = self.document(path, one, active);
            let event = match self.version {
                MercureVersion::Draft => {
                    if let Some(document) = document.as_object_mut() {
                        document.insert("@context".to_owned(), CONTEXT.into());
                    }
                    None
                }
                MercureVersion::One => Some(OWN_EVENT.to_owned()),
            };
            Update {
                topics: vec![self.topic(path, one)],
                private: true,
                id: super::publication::fresh_id(),
                event,
                retry: None,
                data: document.to_string(),
            }
        })
    }

    /// The address of a subscription, relative to the host.
    fn topic(&self, path: &str, one: &Subscribed) -> String {
        let (selector, subscriber) = (encoded(&one.text), encoded(&self.id));
        match self.version {
            MercureVersion::Draft => format!("{path}/subscriptions/{selector}/{subscriber}"),
            MercureVersion::One => {
                let kind = one.kind.as_str();
                format!("{path}/subscriptions/{kind}/{selector}/{subscriber}")
            }
        }
    }

    fn document(&self, path: &str, one: &Subscribed, active: bool) -> Value {
        let id = self.topic(path, one);
        let mut document = match self.version {
            MercureVersion::Draft => json!({
                "id": id,
                "type": "Subscription",
                "topic": one.text,
                "subscriber": self.id,
                "active": active,
            }),
            MercureVersion::One => json!({
                "id": id,
                "type": "subscription",
                "match_type": one.kind.as_str(),
                "match": one.text,
                "subscriber": self.id,
                "active": active,
            }),
        };
        if let (Some(payload), Some(document)) = (&one.payload, document.as_object_mut()) {
            document.insert("payload".to_owned(), payload.clone());
        }
        document
    }
}

/// The document of a collection.
pub(super) fn collection(
    version: MercureVersion,
    url: &str,
    last: &str,
    subscriptions: &[Value],
) -> Value {
    match version {
        MercureVersion::Draft => json!({
            "@context": CONTEXT,
            "id": url,
            "type": "Subscriptions",
            "lastEventID": last,
            "subscriptions": subscriptions,
        }),
        MercureVersion::One => json!({
            "id": url,
            "type": "subscriptions",
            "subscriptions": subscriptions,
        }),
    }
}

/// The document of one subscription alone.
pub(super) fn single(version: MercureVersion, last: &str, mut document: Value) -> Value {
    if version == MercureVersion::Draft
        && let Some(document) = document.as_object_mut()
    {
        document.insert("@context".to_owned(), CONTEXT.into());
        document.insert("lastEventID".to_owned(), last.into());
    }
    document
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions").finish_non_exhaustive()
    }
}
