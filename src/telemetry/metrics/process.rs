//! Metrics of the process, under the names of Prometheus' own client libraries, read from proc(5) each time.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::param::{clock_ticks_per_second, page_size};

pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process));
}

/// Resident memory of this process in bytes.
#[must_use]
pub fn resident_bytes() -> u64 {
    Stat::read().map_or(0, |stat| stat.resident)
}

#[derive(Debug)]
struct Process;

/// The fields of /proc/self/stat that are used.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu: f64,
    threads: i64,
    /// Seconds from boot to the start of the process.
    started: f64,
    virtual_size: u64,
    resident: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// Parses the line. Its second field is the program's name in parentheses, which may contain anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered as in proc_pid_stat(5), where the field after the name is the third.
        let field = |number: usize| fields.get(number - 3).copied();
        // Times are in ticks for programs, whatever the kernel counts in; sizes are in pages of this machine.
        let a_second = f64::from(u32::try_from(clock_ticks_per_second()).ok()?);
        let ticks = |number| Some(field(number)?.parse::<f64>().ok()? / a_second);
        Some(Self {
            cpu: ticks(14)? + ticks(15)?,
            threads: field(20)?.parse().ok()?,
            started: ticks(22)?,
            virtual_size: field(23)?.parse().ok()?,
            resident: field(24)?.parse::<u64>().ok()? * page_size() as u64,
        })
    }
}

/// Boot time of the machine, in Unix seconds.
fn booted() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// Number of open file descriptors, and their limit.
#[must_use]
pub fn descriptors() -> Option<(i64, i64)> {
    Some((open_descriptors()?, most_descriptors()?))
}

fn open_descriptors() -> Option<i64> {
    // One of them is the directory that is being read.
    i64::try_from(
        fs::read_dir("/proc/self/fd")
            .ok()?
            .count()
            .saturating_sub(1),
    )
    .ok()
}

fn most_descriptors() -> Option<i64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut tell = |name: &str, help: &str, unit: Option<&Unit>, metric: &dyn EncodeMetric| {
            let metric_encoder =
                encoder.encode_descriptor(name, help, unit, metric.metric_type())?;
            metric.encode(metric_encoder)
        };
        if let Some(stat) = Stat::read() {
            tell(
                "process_cpu",
                "User and system CPU time",
                Some(&Unit::Seconds),
                &ConstCounter::new(stat.cpu),
            )?;
            tell(
                "process_threads",
                "Threads",
                None,
                &ConstGauge::new(stat.threads),
            )?;
            tell(
                "process_virtual_memory",
                "Address space in use",
                Some(&Unit::Bytes),
                &ConstGauge::new(stat.virtual_size),
            )?;
            tell(
                "process_resident_memory",
                "Memory in use that is not swapped out",
                Some(&Unit::Bytes),
                &ConstGauge::new(stat.resident),
            )?;
            if let Some(booted) = booted() {
                tell(
                    "process_start_time",
                    "Start of the process, in seconds since 1970",
                    Some(&Unit::Seconds),
                    &ConstGauge::new(booted + stat.started),
                )?;
            }
        }
        if let Some(open) = open_descriptors() {
            tell(
                "process_open_fds",
                "Open file descriptors",
                None,
                &ConstGauge::new(open),
            )?;
        }
        if let Some(most) = most_descriptors() {
            tell(
                "process_max_fds",
                "Limit on file descriptors",
                None,
                &ConstGauge::new(most),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let text =
            "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 3 0 4200 8192000 25 184 1 1";
        let stat = Stat {
            cpu: 2.0,
            threads: 3,
            started: 42.0,
            virtual_size: 8_192_000,
            resident: 25 * page_size() as u64,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }

    #[test]
    fn the_process_is_told_under_its_usual_names() {
        let text = crate::telemetry::Metrics::new().text(|_| {});
        for name in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "process_start_time_seconds ",
        ] {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value: f64 = line.and_then(|value| value.parse().ok()).expect(name);
            assert!(value >= 0.0, "{name}{value}");
        }
    }
}
