use super::*;

use crate::config::{App, AppUrl};
use crate::shutdown::Shutdown;
use crate::upstream::availability::ClosedReason;

/// Addresses at these ports, of which nothing is known.
fn backends(ports: &[u16]) -> Vec<Arc<Backend>> {
    let tasks = Shutdown::new();
    let backend = |port: &u16| {
        let url = AppUrl::parse(&format!("http://127.0.0.1:{port}")).expect("a URL");
        Backend::new(&url, None, &App::default(), Arc::default(), &tasks)
    };
    ports.iter().map(backend).collect()
}

/// A queue before addresses at these ports.
fn queue_at(ports: &[u16], workers: usize, most: usize, wait: Duration) -> Queue {
    let queue = Queue::default();
    queue.set_limits(most, wait);
    queue.set_backends(&backends(ports), workers);
    queue
}

type Asked = tokio::task::JoinHandle<Result<WorkerPermit, UpstreamError>>;

/// Requests a permit in a new task, and lets that run as far as it can.
async fn ask(queue: &Queue, last: u8) -> Asked {
    let queue = queue.clone();
    let asked = tokio::spawn(async move {
        let requester = Requester::unknown(Some(IpAddr::from([192, 0, 2, last])));
        queue
            .permit(requester, Affinity::None, &HeaderMap::new())
            .await
    });
    tokio::task::yield_now().await;
    asked
}

async fn served(asked: Asked) -> WorkerPermit {
    asked.await.expect("no panic").expect("a worker")
}

fn counted(queue: &Queue) -> (usize, usize) {
    let state = queue.lock();
    (state.balancer.load(None).1, state.queue.len())
}

#[tokio::test(start_paused = true)]
async fn beyond_the_workers_requests_wait_and_beyond_the_queue_they_are_refused() {
    let queue = queue_at(&[1], 1, 1, Duration::from_secs(5));
    let permit = served(ask(&queue, 1).await).await;
    let second = ask(&queue, 1).await;
    let third = ask(&queue, 1).await.await.expect("no panic");
    assert!(matches!(third, Err(UpstreamError::QueueFull(1))));
    drop(permit);
    let held = served(second).await;
    let late = ask(&queue, 1).await.await.expect("no panic");
    assert!(matches!(late, Err(UpstreamError::QueueSlow(_))));
    assert_eq!(counted(&queue), (1, 0));
    drop(held);
    assert_eq!(counted(&queue), (0, 0));
}

#[tokio::test]
async fn a_worker_goes_past_those_who_have_left() {
    let queue = queue_at(&[1], 1, 9, Duration::from_secs(5));
    let permit = served(ask(&queue, 1).await).await;
    let leavers = [ask(&queue, 2).await, ask(&queue, 3).await];
    let stays = ask(&queue, 4).await;
    for leaver in leavers {
        leaver.abort();
        assert!(leaver.await.is_err());
    }
    assert_eq!(counted(&queue), (1, 1));
    drop(permit);
    drop(served(stays).await);
    assert_eq!(counted(&queue), (0, 0));
}

#[tokio::test]
async fn who_has_to_give_way_is_told_at_once() {
    let queue = queue_at(&[1], 1, 2, Duration::from_secs(5));
    let _permit = served(ask(&queue, 1).await).await;
    let _first = ask(&queue, 1).await;
    let second = ask(&queue, 1).await;
    let _other = ask(&queue, 2).await;
    let told = second.await.expect("no panic");
    assert!(matches!(told, Err(UpstreamError::QueueFull(2))));
    assert_eq!(counted(&queue), (1, 2));
}

#[tokio::test]
async fn other_limits_hold_at_once_and_end_nothing() {
    let queue = queue_at(&[1], 2, 9, Duration::from_secs(5));
    let running = [
        served(ask(&queue, 1).await).await,
        served(ask(&queue, 1).await).await,
    ];
    let waiting = [ask(&queue, 1).await, ask(&queue, 1).await];
    queue.set_backends(&backends(&[1]), 1);
    assert_eq!(counted(&queue), (2, 2));
    let [first, second] = running;
    drop(first);
    assert_eq!(counted(&queue), (1, 2), "one worker is all there is now");
    queue.set_backends(&backends(&[1]), 3);
    assert_eq!(counted(&queue), (3, 0));
    let [third, fourth] = waiting;
    drop((second, served(third).await, served(fourth).await));
    assert_eq!(counted(&queue), (0, 0));
}

#[tokio::test]
async fn of_several_addresses_the_least_busy_one_is_taken_and_equals_take_turns() {
    let queue = queue_at(&[1, 2, 3], 2, 9, Duration::from_secs(5));
    let mut permits = Vec::new();
    for _ in 0..6 {
        permits.push(served(ask(&queue, 1).await).await);
    }
    let ports = |permits: &[WorkerPermit]| {
        let mut urls: Vec<_> = permits
            .iter()
            .map(|permit| permit.backend().url.clone())
            .collect();
        urls.sort_by_key(ToString::to_string);
        urls.dedup();
        urls.len()
    };
    assert_eq!((ports(&permits[..3]), ports(&permits[3..])), (3, 3));
    let waiting = ask(&queue, 1).await;
    assert_eq!(counted(&queue), (6, 1));
    let freed = permits.pop().expect("six").backend().url.clone();
    assert_eq!(served(waiting).await.backend().url, freed);
}

#[tokio::test]
async fn a_request_for_one_address_waits_for_it_until_it_is_closed() {
    let all = backends(&[1, 2]);
    let queue = Queue::default();
    queue.set_limits(9, Duration::from_secs(5));
    queue.set_backends(&all, 1);
    let affinity = Affinity::Cookie(Some(all[0].tag));
    let requester = Requester::unknown(None);
    let headers = HeaderMap::new();
    let held = queue
        .permit(requester, affinity, &headers)
        .await
        .expect("a worker");
    let mut second = Box::pin(queue.permit(requester, affinity, &headers));
    assert!(
        futures_pending(&mut second).await,
        "the other address is free, and not meant"
    );
    let third = queue
        .permit(requester, Affinity::None, &headers)
        .await
        .expect("a worker");
    assert_eq!(third.backend().url, all[1].url);
    drop(third);
    assert!(futures_pending(&mut second).await);
    all[0]
        .shared
        .availability
        .set(ClosedReason::Unreachable, true);
    let moved = second.await.expect("a worker of the other");
    assert_eq!(moved.backend().url, all[1].url);
    drop((held, moved));
    assert_eq!(counted(&queue), (0, 0));
}

async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())
    })
    .await
}

#[tokio::test]
async fn a_request_whose_address_fails_moves_before_those_that_wait() {
    let all = backends(&[1, 2]);
    let queue = Queue::default();
    queue.set_limits(9, Duration::from_secs(5));
    queue.set_backends(&all, 1);
    let mut first = served(ask(&queue, 1).await).await;
    let second = served(ask(&queue, 1).await).await;
    let waits = ask(&queue, 1).await;
    let failed = Arc::clone(first.backend());
    failed
        .shared
        .availability
        .set(ClosedReason::Unreachable, true);
    let mut moving = Box::pin(queue.move_to_open(&mut first, Affinity::None));
    assert!(futures_pending(&mut moving).await);
    let at = second.backend().url.clone();
    drop(second);
    assert!(matches!(moving.await, Ok(MoveOutcome::Open)));
    assert_eq!(first.backend().url, at);
    assert_eq!(
        counted(&queue),
        (1, 1),
        "no one was sent to the failed address"
    );
    drop(first);
    drop(served(waits).await);
    assert_eq!(counted(&queue), (0, 0));
}

#[tokio::test]
async fn an_address_that_is_removed_counts_no_more_and_one_that_comes_serves_at_once() {
    let queue = queue_at(&[1], 1, 9, Duration::from_secs(5));
    let old = served(ask(&queue, 1).await).await;
    let waiting = ask(&queue, 1).await;
    queue.set_backends(&backends(&[2]), 1);
    let new = served(waiting).await;
    assert_ne!(new.backend().url, old.backend().url);
    assert_eq!(counted(&queue), (2, 0));
    drop(old);
    assert_eq!(counted(&queue), (1, 0));
    drop(new);
    assert_eq!(counted(&queue), (0, 0));
}
