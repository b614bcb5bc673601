//! The dashboard in `config/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Fixture;
use crate::harness::Door;

/// Every text below a key of this name.
fn texts<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == key => found.push(text),
                    _ => texts(value, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

fn is_part_of_a_name(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == '_'
}

#[tokio::test]
async fn every_metric_of_the_dashboard_is_there() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/grafana.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut queries = Vec::new();
    texts(&dashboard, "expr", &mut queries);
    texts(&dashboard, "definition", &mut queries);
    let named: BTreeSet<&str> = queries
        .iter()
        .flat_map(|query| query.split(|sign| !is_part_of_a_name(sign)))
        .filter(|word| word.starts_with("noren_") || word.starts_with("process_"))
        .collect();
    assert!(named.len() > 30, "{named:?}");
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("in");
    let settings = format!(
        "[[app]]\nname = 'a'\nurl = 'http://127.0.0.1:1'\nhosts = ['a.example']\n[[channel]]\nname = 'wok'\n\
         [[channel.source]]\nsource = 'listen'\naddress = 'unix:{}'\n",
        source.display()
    );
    let fixture = Fixture::open(&settings).await;
    // The one series whose label nobody can know before.
    let refused = fixture.door.plain().await.ask(&Door::get("/", "")).await;
    assert_eq!(refused.status, 404);
    let answer = fixture.get("/metrics").await;
    let mut there = BTreeSet::new();
    for line in answer.text().lines() {
        let Some(line) = line.strip_prefix("# TYPE ") else {
            continue;
        };
        let (name, kind) = line.split_once(' ').unwrap();
        let ends: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        there.extend(ends.iter().map(|end| format!("{name}{end}")));
    }
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !there.contains(**name))
        .collect();
    assert!(
        missing.is_empty(),
        "not in /metrics: {missing:?}\n{there:#?}"
    );
}
