//! The last hour as time series of one sample a second, which the admin page shows as curves.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::Serialize;

use crate::sync::lock;

/// Number of samples kept. With eight numbers of four bytes each, an hour takes 115 KiB.
const KEPT: usize = 3600;

/// Names of the values in a sample, in order.
pub(super) const CURVES: [&str; 8] = [
    "requests",
    "errors",
    "waiting",
    "connections",
    "tunnels",
    "subscribers",
    "deliveries",
    "memory",
];

/// The values of one second: of counters the increase in this second, of gauges the current value.
pub(super) type Sample = [u32; CURVES.len()];

/// The samples of the last hour.
#[derive(Debug, Default)]
pub(super) struct LastHour(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    samples: VecDeque<Sample>,
    counted: Counted,
}

/// Counters as of the last sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) deliveries: u64,
}

/// Current values of gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) waiting: usize,
    pub(super) connections: usize,
    pub(super) tunnels: usize,
    pub(super) subscribers: usize,
    /// Resident memory in KiB, so that four bytes are enough.
    pub(super) memory: u64,
}

/// All samples by curve, oldest first.
#[derive(Debug, Serialize)]
pub(super) struct Curves {
    /// Seconds between two samples.
    step: usize,
    curves: Vec<Curve>,
}

#[derive(Debug, Serialize)]
struct Curve {
    name: &'static str,
    values: Vec<u32>,
}

impl LastHour {
    /// Adds the sample of this second and returns it.
    pub(super) fn add(&self, counted: Counted, now: Now) -> Sample {
        let mut state = lock(&self.0);
        // The first one has nothing to be compared with.
        let before = if state.samples.is_empty() {
            counted
        } else {
            state.counted
        };
        state.counted = counted;
        let sample = [
            small(counted.requests.saturating_sub(before.requests)),
            small(counted.errors.saturating_sub(before.errors)),
            small(now.waiting as u64),
            small(now.connections as u64),
            small(now.tunnels as u64),
            small(now.subscribers as u64),
            small(counted.deliveries.saturating_sub(before.deliveries)),
            small(now.memory),
        ];
        if state.samples.len() == KEPT {
            state.samples.pop_front();
        }
        state.samples.push_back(sample);
        sample
    }

    /// All samples.
    pub(super) fn curves(&self) -> Curves {
        let state = lock(&self.0);
        let curves = CURVES.iter().enumerate().map(|(index, name)| Curve {
            name,
            values: state
                .samples
                .iter()
                .filter_map(|sample| sample.get(index))
                .copied()
                .collect(),
        });
        Curves {
            step: 1,
            curves: curves.collect(),
        }
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_what_came_since_the_last_and_an_hour_is_kept() {
        let hour = LastHour::default();
        let counted = |requests| Counted {
            requests,
            ..Counted::default()
        };
        assert_eq!(hour.add(counted(100), Now::default())[0], 0);
        assert_eq!(hour.add(counted(107), Now::default())[0], 7);
        for _ in 0..KEPT {
            hour.add(counted(107), Now::default());
        }
        let curves = hour.curves();
        assert_eq!(curves.curves[0].values.len(), KEPT);
        assert!(curves.curves[0].values.iter().all(|value| *value == 0));
    }
}
