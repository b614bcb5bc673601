//! Many subscribers over WebSockets, each of which goes to the next node with its cursor when its own is lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;

use crate::support::until;

pub(super) struct Crowd {
    heard: Vec<Arc<Mutex<Heard>>>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Heard {
    numbers: Vec<u32>,
    ids: Vec<String>,
    resets: Vec<String>,
}

impl Crowd {
    #[track_caller]
    pub(super) fn of(count: usize, ports: &[u16]) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let mut heard = Vec::new();
        for number in 0..count {
            let own = Arc::new(Mutex::new(Heard::default()));
            heard.push(Arc::clone(&own));
            let mut ports = ports.to_vec();
            let by = number % ports.len();
            ports.rotate_left(by);
            runtime.spawn(listen(own, ports));
        }
        Self {
            heard,
            _runtime: runtime,
        }
    }

    #[track_caller]
    pub(super) fn until_all_have(&self, count: usize) {
        until(&format!("all to have {count} messages"), || {
            let all = self
                .heard
                .iter()
                .all(|one| lock(one).numbers.len() >= count);
            all.then_some(())
        });
    }

    /// Each has every number once, and all in one order, and nobody was told of a gap.
    #[track_caller]
    pub(super) fn heard_the_same(&self, count: u32) {
        let first = lock(self.heard.first().expect("a crowd"));
        let (numbers, ids) = (first.numbers.clone(), first.ids.clone());
        drop(first);
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..count).collect::<Vec<_>>());
        for one in &self.heard {
            let one = lock(one);
            assert!(one.resets.is_empty(), "{:?}", one.resets);
            assert!(one.numbers == numbers, "two heard another order");
            assert!(one.ids == ids, "two heard other ids");
        }
    }
}

async fn listen(heard: Arc<Mutex<Heard>>, ports: Vec<u16>) {
    for port in ports.iter().cycle() {
        let cursor = lock(&heard)
            .ids
            .last()
            .cloned()
            .unwrap_or_else(|| "earliest".to_owned());
        let url = format!("ws://127.0.0.1:{port}/events/c?last-event-id={cursor}");
        if let Ok((mut socket, _)) = tokio_tungstenite::connect_async(url).await {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    take(&heard, &text);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn take(heard: &Mutex<Heard>, text: &str) {
    let envelope: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let text_of = |name: &str| envelope.get(name).and_then(serde_json::Value::as_str);
    let mut heard = lock(heard);
    if text_of("type") == Some("reset") {
        heard.resets.push(text.to_owned());
    }
    // Presence is told too.
    if let Some(number) = text_of("data").and_then(|data| data.parse().ok()) {
        heard.numbers.push(number);
        heard.ids.push(text_of("id").unwrap_or_default().to_owned());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
