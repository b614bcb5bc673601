//! Permission to open consoles, for pages that show it: for one console by its token, and for all consoles in a list of
//! names. Performs the checks of a tunnel in the same order; opens nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Console, FoundTarget, Rules, TokenTarget, unresolved};
use crate::access::session::Visitor;
use crate::config::{Clipboard, ConsoleList};
use crate::http::{Context, Head, Refusal};
use crate::net::AddressTurns;
use crate::service::exchange::Exchange;
use crate::telemetry::OpenTunnel;
use crate::text::percent::encoded;
use crate::tokens::{Target, Token, encode};

/// Limit on consoles in a list.
const MOST: usize = 1000;
/// Limits on lists in progress, of all clients and of one address. Each list may look up a thousand names and query the
/// app about each.
const LISTS: usize = 32;
const LISTS_OF_ADDRESS: usize = 2;
/// Time limit for making a list, in which the app is queried about each console.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// The right to make a list, until it is dropped.
type Turn = (
    Option<OwnedSemaphorePermit>,
    Result<OwnedSemaphorePermit, AcquireError>,
);

/// The lists in progress.
#[derive(Debug)]
pub(super) struct Lists {
    of_address: AddressTurns,
    all: Arc<Semaphore>,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            of_address: AddressTurns::new(LISTS_OF_ADDRESS),
            all: Arc::new(Semaphore::new(LISTS)),
        }
    }
}

impl Lists {
    /// Waits until another list may be made for this client.
    async fn turn(&self, context: &Context) -> Result<Turn, Refusal> {
        let turn = timeout(LIST_LIMIT, async {
            let own = self.of_address.take(context.peer.counted_as()).await;
            // The semaphore is never closed.
            let place = Arc::clone(&self.all).acquire_owned().await;
            (own, place)
        });
        turn.await.map_err(|_| {
            let reason =
                "too many lists of consoles are being made at this moment; please try again";
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, reason).retry_after(LIST_LIMIT)
        })
    }
}

impl Console {
    /// Returns the rights of this visitor at the console of a token.
    ///
    /// # Errors
    /// The refusal that a tunnel would get, before anything is opened.
    pub(in crate::service::handlers) async fn rights(
        &self,
        exchange: &mut Exchange<'_>,
    ) -> Result<Value, Refusal> {
        // No check of the page: it reads the answer only if it has this origin, and its browser names none then.
        self.limit.check(exchange.context)?;
        let FoundTarget {
            asked,
            visitor,
            leads_to,
        } = self.look_up(exchange).await?;
        let TokenTarget::Console(target) = leads_to else {
            let reason = "this token leads to a channel, and not to a console";
            return Err(Refusal::not_found(reason));
        };
        let mut about = self
            .permitted(&target, visitor.as_ref(), exchange.head)
            .await?;
        if let Some(fields) = about.as_object_mut() {
            let name = visitor.as_ref().and_then(Visitor::name);
            let user = name.as_deref().or(exchange.head.user.as_deref());
            fields.insert("you".to_owned(), user.into());
            let tunnels = &exchange.context.telemetry.tunnels;
            // A single-use link may have opened a console before, for somebody else.
            let open = if asked.is_single_use() {
                Vec::new()
            } else {
                tunnels.at(&target.key())
            };
            fields.insert("viewers".to_owned(), open.iter().map(viewer).collect());
        }
        Ok(about)
    }

    /// Lists the consoles that this visitor may open.
    ///
    /// # Errors
    /// A refusal, if the visitor has no session where one is needed, or the files could not be read.
    pub(in crate::service::handlers) async fn list(
        &self,
        exchange: &mut Exchange<'_>,
    ) -> Result<Value, Refusal> {
        let visitor = self.visitor(exchange).await?;
        let _turn = self.lists.turn(exchange.context).await?;
        let is_listed = self.lists_names();
        let (mut consoles, mut complete) = (Vec::new(), true);
        if is_listed {
            let names = self.targets.names(MOST + 1).await;
            let names = names.map_err(|error| unresolved(&error))?;
            complete = names.len() <= MOST;
            let started_at = Instant::now();
            for name in names.into_iter().take(MOST) {
                if started_at.elapsed() > LIST_LIMIT {
                    complete = false;
                    break;
                }
                let visitor = visitor.as_ref();
                let entry = self.entry(name, visitor, exchange.head, exchange.context);
                consoles.extend(entry.await);
            }
        }
        Ok(json!({ "listed": is_listed, "complete": complete, "consoles": consoles }))
    }

    /// True if names of consoles are shown.
    fn lists_names(&self) -> bool {
        match self.settings.consoles.list {
            ConsoleList::Permitted => self.tells_names,
            ConsoleList::All => true,
            ConsoleList::None => false,
        }
    }

    /// The entry of a name in the list, if this visitor may open it with the token of that name.
    async fn entry(
        &self,
        name: String,
        visitor: Option<&Visitor>,
        head: &Head,
        context: &Context,
    ) -> Option<Value> {
        // As a browser sends it, so that it means here what it will mean there.
        let token = Token::from_query(Some(&format!("token={}", encoded(&name)))).ok()?;
        let asked = self.targets.admit(token, context.peer).await.ok()?;
        if self.wok_page.channel_of(asked.token()).is_some() {
            return None;
        }
        let target = self.targets.resolve(&asked).await.ok()?;
        // Messages, and no console; or a name that another source takes for a token of its own.
        if target.boundary.is_some() || !asked.token().matches(&target.name) {
            return None;
        }
        let mut entry = self.permitted(&target, visitor, head).await.ok()?;
        let fields = entry.as_object_mut()?;
        fields.insert("name".to_owned(), shown(&name).into());
        fields.insert("token".to_owned(), name.into());
        Some(entry)
    }

    /// Returns the rights of a visitor at a console that was found, if the visitor may open it.
    async fn permitted(
        &self,
        target: &Target,
        visitor: Option<&Visitor>,
        head: &Head,
    ) -> Result<Value, Refusal> {
        let rules = Rules::of(&self.shared, target, visitor, head);
        if let Some(visitor) = visitor {
            self.sessions.lease(visitor.clone(), target).await?;
        }
        let rules = rules?;
        let (view_only, clipboard) = match rules {
            Rules::Rfb(rules) => (rules.view_only, rules.clipboard),
            Rules::Shared(_, view_only) => (view_only, Clipboard::Both),
            Rules::None => (false, Clipboard::Both),
        };
        let name = self.lists_names().then(|| shown(&target.name));
        let recording = &self.settings.recording;
        let recorder = self.recorder.as_ref().filter(|_| recording.announce);
        Ok(json!({
            "name": name,
            "bridge": self.settings.paths.first(),
            "view_only": view_only,
            "to_host": clipboard.reaches_host(),
            "to_browser": clipboard.reaches_browser(),
            "recorded": recording.announce && recording.records(&target.name),
            "watchers": recorder.map_or(0, |recorder| recorder.watchers(&target.name)),
        }))
    }
}

/// A client of a console, for those who may open it too.
fn viewer(tunnel: &OpenTunnel) -> Value {
    json!({ "user": tunnel.user, "since": tunnel.since, "view_only": tunnel.is_view_only() })
}

/// A name as people read it: decoded if it is base64url of a name, as Wok writes it.
fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
    let token = Token::from_query(Some(&format!("token={}", encoded(name)))).ok();
    let decoded = token.as_ref().and_then(Token::decoded);
    let decoded = decoded.filter(|text| text.chars().all(plain) && encode(text) == name);
    decoded.unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_name_that_wok_has_encoded_is_shown_as_it_was() {
        for (name, text) in [
            ("dm0x", "vm1"),
            ("vm1", "vm1"),
            ("demo", "demo"),
            ("<img src=x>", "<img src=x>"),
            ("guest-console", "guest-console"),
        ] {
            assert_eq!(shown(name), text);
        }
    }
}
