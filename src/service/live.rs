//! The parts of a service that the service after a reload continues: counts, permits, and what is known of the apps.
//! Independent of how a request is handled.

use std::sync::Arc;

use crate::access::limits::Limits;
use crate::access::session::Sessions;
use crate::bridge::Recorder;
use crate::config::{self, Config};
use crate::service::Surroundings;
use crate::service::grip_keys::GripKeys;
use crate::service::handlers::GripApps;
use crate::spool::Spool;
use crate::tls::Connector;
use crate::upstream::Upstream;

/// Parts that outlive a service.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) spool: Spool,
    pub(super) apps: Vec<Arc<Upstream>>,
    pub(super) sessions: Option<Arc<Sessions>>,
    pub(super) recorder: Option<Recorder>,
    pub(super) grip: Arc<GripApps>,
    pub(super) limits: Arc<Limits>,
}

impl Live {
    /// The parts for a configuration; those `before` continue in them under the new limits from here on.
    pub(super) fn new(
        config: &Config,
        connectors: &[Option<Connector>],
        keys: Vec<Option<Arc<GripKeys>>>,
        around: &Surroundings,
        before: Option<&Self>,
    ) -> Self {
        let spool = Spool::new(
            config.spool.clone(),
            &config.limits,
            before.map(|before| &before.spool),
        );
        let metrics = &around.inside.metrics;
        let known = before.map_or(&[][..], |before| &before.apps);
        let app = |(settings, tls): (&config::App, &Option<Connector>)| {
            let counted = metrics.apps.of(&settings.name);
            let (settings, tls) = (settings.clone(), tls.as_ref());
            Upstream::new(settings, tls, counted, &spool, known, &around.shutdown)
        };
        let apps: Vec<_> = config.apps.iter().zip(connectors).map(app).collect();
        let asked = before.and_then(|before| before.sessions.as_deref());
        Self {
            sessions: Sessions::new(config, &apps, asked).map(Arc::new),
            recorder: Recorder::new(
                &config.bridge.recording,
                before.and_then(|before| before.recorder.as_ref()),
            ),
            grip: Arc::new(GripApps::new(
                keys,
                config,
                before.map(|before| before.grip.as_ref()),
            )),
            limits: Arc::new(Limits::new(
                &config.limits,
                before.map(|before| before.limits.as_ref()),
            )),
            apps,
            spool,
        }
    }
}
