//! The queue of jobs of `config/jobs.toml`: many small channels, and of each only the newest message counts.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{CLOSE, Door, TEXT, Wire, within};

const JOBS: usize = 400;
const STARTS: usize = 5;

/// A door with the shipped configuration, and a connection that publishes.
struct Queue {
    door: Door,
    publisher: Wire,
    _directory: TempDir,
}

impl Queue {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        fs::write(&token, "a-secret-of-this-test\n").unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/jobs.toml");
        let shipped = fs::read_to_string(shipped).unwrap();
        // A socket this test may open, pages from one address, and a way to be told that a message was taken.
        let socket = directory.path().join("jobs");
        let settings = shipped
            .replace("/run/noren/publish/jobs", &socket.to_string_lossy())
            .replace(
                "slow = \"conflate\"\n",
                "slow = \"conflate\"\npublish = ['local', 'token']\n",
            );
        let settings = format!(
            "{settings}\n[limits]\nconnections-per-address = 0\nrequest-rate = 0\n[hub]\npublish-token = '{}'\n",
            token.display()
        );
        let door = Door::open(&settings).await;
        let publisher = door.plain().await;
        Self {
            door,
            publisher,
            _directory: directory,
        }
    }

    async fn say(&mut self, job: usize, event: &str, data: &Value) {
        let body = data.to_string();
        let head = format!(
            "POST /events/job.{job}?event={event}&key=state HTTP/1.1\r\nHost: door.example\r\n\
             Authorization: Bearer a-secret-of-this-test\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = self.publisher.ask(&format!("{head}{body}")).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    /// The page of a job, which has been told that it is subscribed.
    async fn page(&self, job: usize, from: &str, socket: TcpStream) -> Wire {
        let mut page = Wire::new(socket);
        let path = format!("/events/job.{job}?last-event-id={from}");
        let answer = page.ask(&Door::handshake(&path, "")).await;
        assert_eq!(answer.status, 101, "{}", answer.text());
        let opened = next(&mut page).await;
        assert_eq!(opened["type"], "open", "{opened}");
        page
    }
}

async fn next(page: &mut Wire) -> Value {
    let frame = page.frame().await;
    assert_ne!(frame.opcode, CLOSE, "{frame:?}");
    assert_eq!(frame.opcode, TEXT);
    serde_json::from_slice(&frame.payload).unwrap()
}

#[tokio::test]
async fn each_of_four_hundred_waiting_jobs_sees_its_own_place_and_one_sees_its_progress() {
    let mut queue = Queue::open().await;
    let mut pages = Vec::new();
    for job in 0..JOBS {
        let socket = queue.door.plain_socket().await;
        pages.push(queue.page(job, "", socket).await);
    }
    for start in 0..STARTS {
        queue.say(start, "progress", &json!(0)).await;
        for job in start + 1..JOBS {
            queue.say(job, "position", &json!(job - start)).await;
        }
    }
    queue.say(0, "progress", &json!(100)).await;
    for (job, page) in pages.iter_mut().enumerate() {
        // Nobody was slow, but a page whose messages were conflated has still seen the newest last.
        let wanted = match job {
            0 => ("progress", 100),
            _ if job < STARTS => ("progress", 0),
            _ => ("position", job - (STARTS - 1)),
        };
        loop {
            let message = next(page).await;
            assert_eq!(message["channel"], format!("job.{job}"));
            assert_eq!(message["key"], "state");
            if message["event"] == wanted.0 && message["data"] == wanted.1 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_opens_later_sees_the_newest_state_of_its_job_and_nothing_before() {
    let mut queue = Queue::open().await;
    for place in (1..=50).rev() {
        queue.say(17, "position", &json!(place)).await;
    }
    let socket = queue.door.plain_socket().await;
    let mut page = queue.page(17, "earliest", socket).await;
    assert_eq!(next(&mut page).await["data"], 1);
    queue.say(17, "progress", &json!(5)).await;
    assert_eq!(next(&mut page).await["data"], 5);
}

#[tokio::test]
async fn a_page_that_reads_too_slowly_is_spared_what_is_old_and_ends_with_the_newest() {
    const SAID: usize = 60;
    let mut queue = Queue::open().await;
    // Data in the buffers of the two systems cannot be conflated, so the buffer is small and the messages large.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let socket = socket.connect(queue.door.http).await.unwrap();
    let mut page = queue.page(17, "", socket).await;
    let log = "x".repeat(200 * 1024);
    for percent in 0..SAID {
        let data = json!({"percent": percent, "log": log});
        queue.say(17, "progress", &data).await;
    }
    let mut seen = Vec::new();
    within("the newest message", async {
        while seen.last() != Some(&(SAID as u64 - 1)) {
            let message = next(&mut page).await;
            assert_eq!(message["type"], Value::Null, "{}", message["type"]);
            seen.push(message["data"]["percent"].as_u64().unwrap());
        }
    })
    .await;
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.len() < SAID, "nothing was spared");
}
