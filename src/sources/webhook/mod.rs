//! The `webhook` source: signed requests of another service, which `service` hands over. Each becomes a message by the
//! source's templates. Must not know connections and routes.

mod signature;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::content::{Content, Unfit};
use super::sink::Sink;
use crate::config::{ChannelName, WebhookSignature, WebhookSource};
use crate::hub::{PublishError, Published, PublisherId};
use crate::text::Reason;

pub(crate) use signature::Unbelieved;

use signature::Secrets;

/// Headers with the event.
const EVENTS: [&str; 3] = ["x-github-event", "x-gitlab-event", "x-gitea-event"];
/// Headers with the id of the delivery.
const DELIVERIES: [&str; 4] = [
    "x-github-delivery",
    "webhook-id",
    "idempotency-key",
    "x-gitlab-event-uuid",
];

/// The settings of a webhook with its secrets. A reload reads the secrets again.
pub(super) struct Gate {
    settings: Box<WebhookSource>,
    secrets: ArcSwap<Secrets>,
}

/// A webhook that accepts requests.
#[derive(Clone)]
pub(crate) struct Webhook {
    gate: Arc<Gate>,
    sink: Arc<Sink>,
}

/// Reasons why a request is not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookFault {
    /// The request is not authentic.
    #[error(transparent)]
    Unbelieved(#[from] Unbelieved),
    /// The request is authentic, but cannot become a message.
    #[error("{0}")]
    Unfit(String),
    /// The hub refused the message.
    #[error(transparent)]
    Refused(#[from] PublishError),
}

impl Gate {
    pub(super) fn new(settings: &WebhookSource) -> Result<Self, Reason> {
        let secrets = Secrets::read(&settings.secrets, settings.signature)?;
        Ok(Self {
            settings: Box::new(settings.clone()),
            secrets: ArcSwap::from_pointee(secrets),
        })
    }

    /// Replaces the secrets by newly read ones.
    pub(super) fn renew(&self, other: &Self) {
        self.secrets.store(other.secrets.load_full());
    }
}

impl Webhook {
    pub(super) fn new(gate: Arc<Gate>, sink: Arc<Sink>) -> Self {
        Self { gate, sink }
    }

    /// Size limit of a request's body.
    #[must_use]
    pub(crate) fn body_size(&self) -> usize {
        self.gate.settings.body_size
    }

    /// True if a request has the header of a signature. A request without one need not be read.
    #[must_use]
    pub(crate) fn is_signed(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(match self.gate.settings.signature {
            WebhookSignature::Github => "x-hub-signature-256",
            WebhookSignature::Gitlab => "x-gitlab-token",
            WebhookSignature::Stripe => "stripe-signature",
            WebhookSignature::Standard => "webhook-signature",
        })
    }

    /// Counts a request that was refused before it was read completely, or that is not authentic.
    pub(crate) fn refuse(&self, reason: &dyn ToString) {
        self.sink.refuse(None, reason);
    }

    /// Verifies a request.
    ///
    /// # Errors
    /// [`Unbelieved`] says what is wrong with its signature.
    pub(crate) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, Unbelieved> {
        let Gate { settings, secrets } = &*self.gate;
        let time = (SystemTime::now(), settings.tolerance);
        let believed = secrets
            .load()
            .verify(settings.signature, headers, body, time)?;
        Ok(Delivery { id: believed.id })
    }

    /// Publishes a verified request, unless it is a repetition.
    ///
    /// # Errors
    /// A [`WebhookFault`] says why it cannot be; nothing was published then.
    pub(crate) fn publish(
        &self,
        delivery: Delivery,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(ChannelName, Published), WebhookFault> {
        let unfit = |reason: Unfit| {
            self.sink.refuse(None, &reason);
            WebhookFault::Unfit(reason.to_string())
        };
        let text = json_of(headers, body)
            .ok_or(Unfit::NotJson)
            .map_err(unfit)?;
        let content = Content::json(&text).map_err(unfit)?;
        let in_body = |pointer: &str| content.text_of(pointer);
        let event = first(headers, &EVENTS).or_else(|| in_body("/type"));
        let shown = first(headers, &DELIVERIES).or_else(|| in_body("/id"));
        let id = delivery.id.or_else(|| match self.gate.settings.signature {
            WebhookSignature::Stripe => in_body("/id"),
            _ => None,
        });
        let content = content
            .with(WebhookSource::EVENT, event)
            .with(WebhookSource::DELIVERY, shown);
        let home = self.sink.channel();
        let filled = content.fill(home, &self.gate.settings.mapping);
        let (channel, mut draft) = filled.map_err(unfit)?;
        if let Some(id) = id {
            PublisherId::parse(&id).map_err(|reason| WebhookFault::Unfit(reason.to_owned()))?;
            draft.id = Some(PublisherId::of_source(self.sink.address(), &id, true));
        }
        let published = self.sink.offer(&channel, draft).inspect_err(|error| {
            self.sink.refuse(None, error);
        })?;
        Ok((channel, published))
    }
}

/// A verified request.
pub(crate) struct Delivery {
    /// The signed id, if there is one.
    id: Option<String>,
}

/// The JSON in a body: the whole body, or the field `payload` of a form, which GitHub can send.
fn json_of<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<Cow<'a, str>> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let is_form = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return std::str::from_utf8(body).ok().map(Cow::Borrowed);
    }
    let mut fields = form_urlencoded::parse(body);
    let payload = fields.find(|(name, _)| name == "payload");
    payload.map(|(_, value)| Cow::Owned(value.into_owned()))
}

/// The first of these headers that a request has.
fn first(headers: &HeaderMap, names: &[&str]) -> Option<String> {
    let mut values = names.iter().filter_map(|name| headers.get(*name));
    values.find_map(|value| value.to_str().ok().map(str::to_owned))
}
