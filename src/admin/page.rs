//! The admin page: the status once a second while the page is open, and the last hour as curves.
//!
//! Live updates use a separate hub with one channel, so that the public channels do not lead to it. The service
//! decides who may see the page.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::admin::View;
use crate::admin::last_hour::{Counted, LastHour, Now};
use crate::admin::responses::object;
use crate::config::{ChannelName, Config};
use crate::http::{Body, Lease, Refusal, full};
use crate::hub::{Data, Draft, Format, From, Hub, Sequencer};
use crate::push::{EventStreamOptions, event_stream};
use crate::telemetry::{Channels, resident_bytes};

/// Name of the one channel.
const CHANNEL: &str = "noren.status";
/// Limit on rows of each list.
const ROWS: usize = 50;
/// Content security policy: the page loads only its own files.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Files of the page: name, type, content.
const FILES: [(&str, &str, &str); 3] = [
    (
        "",
        "text/html; charset=utf-8",
        include_str!("page/page.html"),
    ),
    (
        "page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
    (
        "page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
];

/// The page and its live status.
#[derive(Debug)]
pub(crate) struct Page {
    view: View,
    hub: Hub,
    channel: ChannelName,
    hour: LastHour,
}

impl Page {
    /// Creates the page, if the configuration has one.
    #[must_use]
    pub(crate) fn new(config: &Config, view: &View) -> Option<Self> {
        config.admin.page.as_ref()?;
        let own = Config::parse(
            &format!(
                "[[channel]]\nname = \"{CHANNEL}\"\npublish = []\nhistory = {{ messages = 1 }}\n"
            ),
            "noren",
        );
        Some(Self {
            view: view.clone(),
            hub: Hub::measured(&own.ok()?, None, Channels::default(), Sequencer::Local).ok()?,
            channel: ChannelName::parse(CHANNEL).ok()?,
            hour: LastHour::default(),
        })
    }

    /// Takes the sample of this second, and publishes it with the status if the page is open. To be called once a
    /// second.
    pub(crate) fn sample(&self) {
        let metrics = &self.view.telemetry.metrics;
        let (requests, errors) = metrics.requests.totals();
        let counted = Counted {
            requests,
            errors,
            deliveries: metrics.channels.delivered(),
        };
        let waiting = self
            .view
            .apps
            .now()
            .iter()
            .map(|app| app.load().waiting)
            .sum();
        let sample = self.hour.add(
            counted,
            Now {
                waiting,
                connections: self.view.connection_permits.taken(),
                tunnels: self.view.telemetry.tunnels.count(),
                subscribers: self.view.hub.subscribers(),
                memory: resident_bytes() / 1024,
            },
        );
        if self.hub.subscribers() == 0 {
            return;
        }
        let view = self.view.clone();
        self.view
            .shutdown
            .spawn(async move { view.probe_apps().await });
        let mut status = self.status();
        status.insert("sample".to_owned(), sample.to_vec().into());
        if let Ok(data) = Data::json(&Value::Object(status).to_string()) {
            let _ = self.hub.publish(&self.channel, Draft::new(data));
        }
    }

    /// Responds to a GET below the page's path. The live stream ends with the lease. With `recordings` the page links
    /// to the recordings.
    ///
    /// # Errors
    /// A refusal, if there is no such file, or too many pages are open.
    pub(crate) fn answer(
        &self,
        rest: &str,
        lease: Lease,
        recordings: bool,
    ) -> Result<Response<Body>, Refusal> {
        match rest {
            "hour" => Ok(object(StatusCode::OK, &self.everything(recordings))),
            "live" => {
                let names = std::slice::from_ref(&self.channel);
                let subscribed = self.hub.subscribe(names, From::Now, Some(lease));
                let subscription = subscribed.map_err(|error| {
                    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                        .retry_after(self.hub.retry())
                })?;
                let options = EventStreamOptions::new(Format::Plain);
                Ok(event_stream(&self.hub, subscription, options))
            }
            name => file(name),
        }
    }

    /// The status, and the curves up to now.
    fn everything(&self, recordings: bool) -> Value {
        let mut status = self.status();
        status.insert("recordings".to_owned(), recordings.into());
        let curves = json!(self.hour.curves());
        status.insert("hour".to_owned(), curves);
        Value::Object(status)
    }

    /// The status with the maximum number of rows that a page can show and a message may have.
    fn status(&self) -> Map<String, Value> {
        let mut status = self.view.status(ROWS);
        status.channels.truncate(ROWS);
        match json!(status) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// Asks open pages to reconnect later, because the server stops.
    pub(crate) async fn dismiss(&self) {
        self.hub.dismiss(std::time::Duration::ZERO).await;
    }
}

fn file(name: &str) -> Result<Response<Body>, Refusal> {
    let found = FILES.iter().find(|(known, ..)| *known == name);
    let Some((_, kind, content)) = found else {
        return Err(Refusal::not_found("there is no such page"));
    };
    let mut response = Response::new(full(*content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}
