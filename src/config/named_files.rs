//! The files that a configuration names and that are read at the start. Reads nothing.

use std::path::PathBuf;

use super::{Broker, BrokerCredentials, Config, SourceKind, TargetTls};
use super::{SecretFile, Source};

impl Config {
    /// Every file with a secret, a certificate or users that has to be readable at the start, in the order of the
    /// tables.
    #[must_use]
    pub fn files_read(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for listener in &self.listeners {
            files.extend(listener.clients.iter().map(|one| one.authority.clone()));
        }
        for pair in &self.tls.certificates {
            files.extend([pair.certificate.clone(), pair.key.clone()]);
        }
        let apps = self.apps.iter().map(|app| &app.entrance);
        let entrances = apps.chain([&self.bridge.entrance, &self.hub.entrance]);
        files.extend(entrances.filter_map(|entrance| entrance.users.clone()));
        for tls in self.apps.iter().filter_map(|app| app.tls.as_ref()) {
            of_target(tls, &mut files);
        }
        self.of_bridge(&mut files);
        files.extend(self.hub.publish_token.clone());
        files.extend(self.hub.tokens.keys.iter().map(SecretFile::path));
        self.of_mercure(&mut files);
        let sources = self.channels.iter().flat_map(|channel| &channel.sources);
        for source in sources {
            match source {
                Source::Amqp(amqp) => of_broker(&amqp.broker, &mut files),
                Source::Postgres(postgres) => {
                    files.extend(postgres.server.passfile.as_ref().map(SecretFile::path));
                    files.extend(postgres.server.ca.clone());
                }
                Source::Webhook(webhook) => {
                    files.extend(webhook.secrets.iter().map(SecretFile::path));
                }
                Source::Wok { .. } | Source::Listen(_) => {}
            }
        }
        if let Some(cluster) = &self.cluster {
            of_broker(&cluster.broker, &mut files);
            files.extend(cluster.key.clone());
        }
        files
    }

    fn of_mercure(&self, files: &mut Vec<PathBuf>) {
        if let Some(mercure) = &self.mercure {
            files.extend(mercure.entrance.users.clone());
            let issuers = mercure.issuers.iter().flat_map(|issuer| &issuer.keys);
            let keys = mercure
                .publisher_keys
                .iter()
                .chain(&mercure.subscriber_keys);
            files.extend(keys.chain(issuers).map(SecretFile::path));
        }
    }

    fn of_bridge(&self, files: &mut Vec<PathBuf>) {
        let bridge = &self.bridge;
        files.extend(bridge.signed.keys.iter().map(SecretFile::path));
        let tables = bridge.targets.iter().map(|target| &target.tls);
        let tables = tables.chain(bridge.tokens.iter().map(|source| &source.tls));
        for tls in tables.chain([&bridge.signed.tls]).flatten() {
            of_target(tls, files);
        }
        for source in &bridge.tokens {
            match &source.kind {
                SourceKind::Http(http) => files.extend(http.ca.clone()),
                SourceKind::Nova(nova) => {
                    files.extend(nova.login.secret().file());
                    files.extend(nova.ca.clone());
                }
                SourceKind::Redis(redis) => {
                    files.extend(redis.password.as_ref().map(SecretFile::path));
                }
                SourceKind::Directory(_)
                | SourceKind::File(_)
                | SourceKind::FileName(_)
                | SourceKind::Sockets(_) => {}
            }
        }
    }
}

fn of_target(tls: &TargetTls, files: &mut Vec<PathBuf>) {
    files.extend(tls.ca.clone());
    if let Some((certificate, key)) = &tls.client {
        files.extend([certificate.clone(), key.clone()]);
    }
}

fn of_broker(broker: &Broker, files: &mut Vec<PathBuf>) {
    files.extend(
        broker
            .credentials
            .as_ref()
            .and_then(BrokerCredentials::file),
    );
    files.extend(broker.ca.clone());
}
