//! One handler for each kind of route, with only the fields that it needs. The handlers do not authorise the use of a
//! route.

mod admin_page;
mod app;
mod channels;
mod console;
mod console_pages;
mod console_refusals;
mod console_rules;
mod files;
mod grip;
mod mercure;
mod own;
mod page_library;
mod page_messages;
mod presence_stream;
mod publications;
mod publish;
mod reserved;
mod sendfile;
mod shared_console;
mod sockjs;
mod subscribe;
mod subscriptions;
mod target_connection;
mod token_watch;
mod webhooks;
mod wok_page;

use std::sync::Arc;

use http::Response;

use crate::admin::Page;
use crate::bridge::{Consoles, Recorder};
use crate::config::Config;
use crate::http::{Body, Head, Refusal};
use crate::push::SockJs;
use crate::push::mercure::MercureHub;
use crate::router::Route;
use crate::service::exchange::Exchange;
use crate::service::mercure_keys::MercureKeys;
use crate::service::shared_parts::SharedParts;
use crate::sources::Sources;
use crate::tls::Challenges;
use crate::tokens::Resolver;

pub(super) use grip::{GripApps, GripControl, GripMemory};
pub(super) use own::{Own, no_content, redirect};

use admin_page::AdminPage;
use app::Apps;
use channels::Channels;
use console::Console;
use console_pages::ConsolePages;
use files::Files;
use mercure::Mercure;
use webhooks::Webhooks;

/// The handlers of one configuration.
#[derive(Debug)]
pub(super) struct Handlers {
    apps: Apps,
    console: Console,
    console_pages: ConsolePages,
    channels: Channels,
    files: Files,
    admin_page: AdminPage,
    own: Own,
    grip: GripControl,
    webhooks: Webhooks,
    mercure: Option<Mercure>,
}

/// Parts that only one handler has.
pub(super) struct Parts {
    pub(super) targets: Resolver,
    pub(super) recorder: Option<Recorder>,
    pub(super) consoles: Consoles,
    pub(super) grip: Arc<GripApps>,
    pub(super) mercure: Option<(MercureHub, MercureKeys)>,
    pub(super) sockjs: SockJs,
    pub(super) sources: Sources,
    pub(super) admin_page: Option<Arc<Page>>,
    pub(super) challenges: Challenges,
}

impl Handlers {
    pub(super) fn new(config: &Config, shared: &SharedParts, parts: Parts) -> Self {
        Self {
            apps: Apps::new(config, shared, Arc::clone(&parts.grip)),
            console: Console::new(
                config,
                shared,
                parts.targets,
                parts.recorder.clone(),
                parts.consoles,
            ),
            console_pages: ConsolePages::new(config, shared),
            channels: Channels::new(shared, parts.sockjs),
            files: Files::new(config, shared.shutdown.clone()),
            admin_page: AdminPage::new(config, shared, parts.admin_page, parts.recorder.as_ref()),
            own: Own::new(parts.challenges, shared.shutdown.clone()),
            grip: GripControl::new(shared, parts.grip),
            webhooks: Webhooks::new(shared, parts.sources),
            mercure: parts
                .mercure
                .map(|(hub, keys)| Mercure::new(shared, hub, keys)),
        }
    }

    /// Responds to a request that is authorised for its route.
    ///
    /// A future has room for the largest of its branches and is moved as a whole, so all branches except that of apps
    /// are boxed, and so are the rare ones inside that.
    pub(super) async fn handle(
        &self,
        route: Route,
        exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        match route {
            Route::App(index) => self.apps.handle(index, exchange).await,
            Route::Websockify => Box::pin(self.console.handle(exchange)).await,
            Route::Consoles(at) => {
                Box::pin(self.console_pages.handle(&self.console, at, exchange)).await
            }
            Route::Hub(at) => Box::pin(self.channels.handle(at, exchange)).await,
            Route::Mercure => match &self.mercure {
                Some(mercure) => Box::pin(mercure.handle(exchange)).await,
                None => Err(self.own.not_found(exchange)),
            },
            Route::Page(at) => Box::pin(self.admin_page.handle(at, exchange)).await,
            Route::Files(index) => Box::pin(self.files.handle(index, exchange)).await,
            Route::Webhook => Box::pin(self.webhooks.handle(exchange)).await,
            Route::Welcome => Ok(self.own.welcome(exchange)),
        }
    }

    /// The methods of a resource, for `Allow`; `None` if it belongs to an app, or does not exist.
    pub(super) fn methods(&self, route: Route, head: &Head) -> Option<&'static str> {
        match route {
            Route::App(_) => None,
            Route::Websockify => Some(self.console.methods()),
            Route::Hub(at) => channels::methods(at, &head.path),
            Route::Mercure => self.mercure.as_ref()?.methods(&head.path),
            Route::Page(_) | Route::Files(_) | Route::Consoles(_) | Route::Welcome => {
                Some("GET, HEAD")
            }
            Route::Webhook => Some("POST"),
        }
    }

    /// The handler of requests that need no configuration.
    pub(super) fn own(&self) -> &Own {
        &self.own
    }

    /// The handler of messages of GRIP apps.
    pub(super) fn grip(&self) -> &GripControl {
        &self.grip
    }

    /// True if no token leads to a console or channel.
    pub(super) fn has_no_tokens(&self) -> bool {
        self.console.is_unconfigured()
    }

    /// The admin page, if there is one.
    pub(super) fn admin_page(&self) -> Option<&Arc<Page>> {
        self.admin_page.page()
    }
}
