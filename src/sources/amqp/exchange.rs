//! A foreign exchange that our queue is bound to. Its owner may delete and recreate it while the connection stays,
//! which removes the bindings without any notice from the broker. So it is checked periodically, and the queue is
//! bound again; an existing binding stays as it is. Does not read messages.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};
use tracing::warn;

use super::super::sink::Sink;
use crate::config::AmqpSource;

/// The exchange, and whether it existed at the last check.
pub(super) struct Exchange<'a> {
    sink: &'a Sink,
    source: &'a AmqpSource,
    is_gone: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(sink: &'a Sink, source: &'a AmqpSource) -> Self {
        Self {
            sink,
            source,
            is_gone: false,
        }
    }

    /// Checks that the exchange exists; on failure the broker closes the channel. Its kind is not checked, because
    /// the owner decides it.
    pub(super) async fn check(&self, channel: &Channel) -> Result<(), lapin::Error> {
        let passive = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        let name = self.source.exchange.as_str();
        let kind = ExchangeKind::Topic;
        channel
            .exchange_declare(name.into(), kind, passive, FieldTable::default())
            .await
    }

    pub(super) async fn bind(
        &self,
        channel: &Channel,
        queue: &ShortString,
    ) -> Result<(), lapin::Error> {
        for binding in &self.source.bindings {
            channel
                .queue_bind(
                    queue.clone(),
                    self.source.exchange.as_str().into(),
                    binding.as_str().into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await?;
        }
        Ok(())
    }

    /// Checks that the exchange still exists, and binds the queue to it again. Messages received so far stay in
    /// the queue.
    pub(super) async fn look(
        &mut self,
        connection: &Connection,
        queue: &ShortString,
    ) -> Result<(), lapin::Error> {
        // On a channel of its own, which the broker closes if it is gone. Permissions are checked anew for it: on the
        // consumer's channel the broker goes on with what it has permitted, also after that was revoked.
        let own = connection.create_channel().await?;
        if let Err(error) = self.check(&own).await {
            if !connection.status().connected() {
                return Err(error);
            }
            self.went(&error);
            return Ok(());
        }
        self.bind(&own, queue).await?;
        own.close(200, "seen".into()).await?;
        if std::mem::replace(&mut self.is_gone, false) {
            self.sink.set_up();
            let reason = "the exchange was made again, and the queue is bound to it again; what was \
                          published before that is lost";
            self.sink.set_trouble(&reason);
            warn!(channel = %self.sink.channel(), address = self.sink.address(), reason, "a source is there again");
        }
        Ok(())
    }

    fn went(&mut self, error: &lapin::Error) {
        if std::mem::replace(&mut self.is_gone, true) {
            return;
        }
        self.sink.set_down_because(error);
        warn!(
            channel = %self.sink.channel(),
            address = self.sink.address(),
            reason = %error,
            "the exchange of a source is gone; it is bound again when it is there",
        );
    }
}
