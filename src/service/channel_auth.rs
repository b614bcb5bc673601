//! Permission to subscribe to channels and to publish on them: by a session at the app, by a token, or without either,
//! as each channel requires.
//!
//! Chooses between session and token; independent of how the app is queried, and of how a token is verified.

use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};

use crate::access::limits::Place;
use crate::access::session::{Identity, Visitor};
use crate::access::tokens::{Grant, PresentedToken, TokenError, Tokens};
use crate::config::{self, ChannelName, Member, Needs};
use crate::http::{Context, Lease, Refusal};
use crate::hub::Hub;
use crate::service::audit_record::AuditRecord;
use crate::service::exchange::VisitorParts;
use crate::service::session_auth::SessionAuth;
use crate::service::token_limit::{TokenLimit, forgive};

/// Decides about permission to subscribe and to publish.
#[derive(Clone, Debug)]
pub(super) struct ChannelAuth {
    hub: Hub,
    sessions: SessionAuth,
    tokens: Option<Arc<Tokens>>,
    limit: TokenLimit,
    /// The requirement for channels that have none of their own.
    otherwise: Needs,
}

/// The permission to subscribe to channels.
#[derive(Debug, Default)]
pub(super) struct Permit {
    /// The lease that limits it, if there is one.
    pub(super) lease: Option<Lease>,
    identity: Identity,
    grant: Option<Grant>,
}

impl Permit {
    fn by_token(grant: Grant) -> Self {
        Self {
            lease: Some(grant.lease()),
            identity: Identity {
                name: grant.subject(),
                ..Identity::default()
            },
            grant: Some(grant),
        }
    }

    /// True if the visitor may also publish on the channel, provided that the channel accepts messages of users.
    pub(super) fn may_publish(&self, name: &ChannelName, rules: &config::Channel) -> bool {
        let named = self
            .grant
            .as_ref()
            .is_none_or(|grant| grant.publishes(name));
        named && is_for(&rules.publishers, &self.identity)
    }
}

impl ChannelAuth {
    pub(super) fn new(
        hub: Hub,
        sessions: SessionAuth,
        tokens: Option<Arc<Tokens>>,
        limit: TokenLimit,
        otherwise: Needs,
    ) -> Self {
        Self {
            hub,
            sessions,
            tokens,
            limit,
            otherwise,
        }
    }

    /// The requirement of a channel.
    fn needs(&self, name: &ChannelName) -> Needs {
        let rules = self.hub.rules(name);
        rules
            .and_then(|rules| rules.needs)
            .unwrap_or(self.otherwise)
    }

    /// Checks permission to subscribe to all of these channels.
    pub(super) async fn permit(
        &self,
        names: &[ChannelName],
        visitor_parts: VisitorParts<'_>,
        audit: &mut AuditRecord,
    ) -> Result<Permit, Refusal> {
        let needs: Vec<Needs> = names.iter().map(|name| self.needs(name)).collect();
        let asked = || needs.iter().filter(|needs| **needs != Needs::Nothing);
        if asked().next().is_none() {
            return Ok(Permit::default());
        }
        let by_session = asked().all(|needs| needs.takes_session());
        let by_token = asked().all(|needs| needs.takes_token());
        let shown = self.shown(visitor_parts).filter(|_| by_token);
        let permit = match (shown, by_session) {
            (Some(shown), _) => match self.grant(shown, visitor_parts.context).await {
                Ok(grant) => Permit::by_token(grant),
                Err(NotGranted::TooMany(refusal)) => return Err(refusal),
                Err(NotGranted::Token(error, place)) => {
                    // A visitor with a session is not locked out by an old token.
                    let in_session = if by_session {
                        self.permit_session(names, visitor_parts).await.ok()
                    } else {
                        None
                    };
                    match in_session {
                        Some(permit) => {
                            forgive(place);
                            permit
                        }
                        None => return Err(Self::no_grant(&error, place)),
                    }
                }
            },
            (None, true) => self.permit_session(names, visitor_parts).await?,
            (None, false) if by_token => return Err(no_token()),
            (None, false) => {
                return Err(Refusal::bad_request(
                    "some of these channels need a token and others a session; subscribe to them separately",
                ));
            }
        };
        audit.known(permit.identity.name.clone());
        self.confirm(names, permit)
    }

    /// Checks permission to subscribe for a visitor whose session has been queried already.
    pub(super) async fn permit_visitor(
        &self,
        names: &[ChannelName],
        visitor: Visitor,
        visitor_parts: VisitorParts<'_>,
        audit: &mut AuditRecord,
    ) -> Result<Permit, Refusal> {
        if names.iter().any(|name| self.needs(name) == Needs::Token) {
            return self.permit(names, visitor_parts, audit).await;
        }
        let permit = self.permit_of(names, visitor).await?;
        self.confirm(names, permit)
    }

    async fn permit_session(
        &self,
        names: &[ChannelName],
        VisitorParts {
            headers,
            head,
            context,
            ..
        }: VisitorParts<'_>,
    ) -> Result<Permit, Refusal> {
        let visitor = self.sessions.visitor(headers, head, context).await?;
        self.permit_of(names, visitor).await
    }

    async fn permit_of(&self, names: &[ChannelName], visitor: Visitor) -> Result<Permit, Refusal> {
        let identity = visitor.identity().clone();
        Ok(Permit {
            lease: Some(self.sessions.lease_for(visitor, names).await?),
            identity,
            grant: None,
        })
    }

    /// Checks a permission against the channels that it names, and against the channels' lists of users.
    fn confirm(&self, names: &[ChannelName], permit: Permit) -> Result<Permit, Refusal> {
        for name in names {
            if let Some(grant) = &permit.grant
                && self.needs(name) != Needs::Nothing
                && !grant.subscribes(name)
            {
                return Err(insufficient("this token is not for this channel"));
            }
            let rules = self.hub.rules(name);
            if rules.is_some_and(|rules| !is_for(&rules.subscribers, &permit.identity)) {
                let reason = "this channel is not for you";
                return Err(Refusal::new(StatusCode::FORBIDDEN, reason)
                    .because(&format!("not among the subscribers of {name}")));
            }
        }
        Ok(permit)
    }

    /// True if there are keys of signed tokens.
    pub(super) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// True if a signed token permits publishing on a channel. With `alone`, a token without this permission is
    /// refused. Otherwise it is not, because it may be a token of the app; it then counts as a wrong token only once.
    pub(super) async fn is_publisher(
        &self,
        name: &ChannelName,
        rules: &config::Channel,
        visitor_parts: VisitorParts<'_>,
        audit: &mut AuditRecord,
        alone: bool,
    ) -> Result<bool, Refusal> {
        let Some(shown) = self.shown(visitor_parts) else {
            return Ok(false);
        };
        let token = self.limit.app_token(shown.as_str(), visitor_parts.context);
        let grant = match self.grant(shown, visitor_parts.context).await {
            Ok(grant) => grant,
            Err(NotGranted::Token(error, place)) if !alone => {
                if token.is_counted || !error.is_guess() {
                    forgive(place);
                } else {
                    self.limit.keep(&token, visitor_parts.context);
                }
                return Ok(false);
            }
            // It was checked before, and is not one of Noren's tokens.
            Err(NotGranted::TooMany(_)) if !alone && token.is_counted => return Ok(false),
            Err(NotGranted::TooMany(refusal)) => return Err(refusal),
            Err(NotGranted::Token(error, place)) => return Err(Self::no_grant(&error, place)),
        };
        let subject = grant.subject();
        let permitted = Permit::by_token(grant).may_publish(name, rules);
        if permitted || alone {
            audit.known(subject);
        }
        if alone && !permitted {
            return Err(insufficient("this token does not permit to publish here"));
        }
        Ok(permitted)
    }

    fn shown(&self, visitor_parts: VisitorParts<'_>) -> Option<PresentedToken> {
        self.tokens
            .as_ref()?
            .find(visitor_parts.headers, visitor_parts.query)
    }

    async fn grant(&self, shown: PresentedToken, context: &Context) -> Result<Grant, NotGranted> {
        let place = self.limit.hold(context).await;
        let place = place.map_err(NotGranted::TooMany)?;
        let Some(tokens) = &self.tokens else {
            // Nothing is found where there are none.
            forgive(place);
            return Err(NotGranted::Token(TokenError::Slow, None));
        };
        match tokens.check(shown).await {
            Ok(grant) => {
                forgive(place);
                Ok(grant)
            }
            Err(error) => Err(NotGranted::Token(error, place)),
        }
    }

    /// Refuses a token, and counts it as a wrong one if it may be a guess.
    fn no_grant(error: &TokenError, place: Option<Place>) -> Refusal {
        if !error.is_guess() {
            forgive(place);
        }
        let (status, reason) = match error {
            TokenError::Invalid(_) => (StatusCode::UNAUTHORIZED, "this token is not valid"),
            TokenError::Expired => (
                StatusCode::UNAUTHORIZED,
                "this token has expired; ask for a new one",
            ),
            TokenError::Early => (StatusCode::UNAUTHORIZED, "this token is not valid yet"),
            TokenError::Keys(_) => (
                StatusCode::BAD_GATEWAY,
                "tokens cannot be checked; the log of Noren says why",
            ),
            TokenError::Slow => (
                StatusCode::GATEWAY_TIMEOUT,
                "the token could not be checked in time",
            ),
        };
        let refusal = Refusal::new(status, reason).because(error);
        if status == StatusCode::UNAUTHORIZED {
            refusal.with(WWW_AUTHENTICATE, HeaderValue::from_static(INVALID))
        } else {
            refusal
        }
    }
}

/// Reasons why a token gives no permission.
enum NotGranted {
    /// The client has sent too many wrong tokens.
    TooMany(Refusal),
    /// The token is invalid. Dropping the place counts it as a wrong one.
    Token(TokenError, Option<Place>),
}

/// Value of `WWW-Authenticate` for an invalid token (RFC 6750 §3.1).
const INVALID: &str = "Bearer error=\"invalid_token\"";
const INSUFFICIENT: &str = "Bearer error=\"insufficient_scope\"";

fn no_token() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "a token is required; send it: Authorization: Bearer …",
    )
    .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn insufficient(reason: &'static str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, reason)
        .with(WWW_AUTHENTICATE, HeaderValue::from_static(INSUFFICIENT))
}

/// True if a list of users contains this one; an empty list permits all.
fn is_for(members: &[Member], identity: &Identity) -> bool {
    let is = |member: &Member| member.is(identity.name.as_deref(), &identity.groups);
    members.is_empty() || members.iter().any(is)
}
