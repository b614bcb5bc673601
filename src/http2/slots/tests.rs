//! Tests of the streams of a connection.

use std::future::{pending, poll_fn};
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::coop;
use tokio::time::timeout;

use super::*;

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection that counts its polls and opens a slot for each stream that comes, until the sender is dropped.
struct Connection {
    streams: Multiplexer<Stream>,
    receiver: mpsc::UnboundedReceiver<Stream>,
    polls: Arc<AtomicUsize>,
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.streams.poll(cx, |cx, slots| {
            this.polls.fetch_add(1, Ordering::Relaxed);
            while let Poll::Ready(stream) = this.receiver.poll_recv(cx) {
                match stream {
                    Some(stream) => slots.open(|_| stream),
                    None => return Poll::Ready(()),
                }
            }
            Poll::Pending
        })
    }
}

fn connection() -> (mpsc::UnboundedSender<Stream>, Connection) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let connection = Connection {
        streams: Multiplexer::new(),
        receiver,
        polls: Arc::default(),
    };
    (sender, connection)
}

async fn within<F: Future>(future: F) -> F::Output {
    let limited = timeout(Duration::from_secs(20), future).await;
    limited.expect("it is done in time")
}

#[tokio::test]
async fn a_stream_that_panics_ends_alone() {
    let (sender, connection) = connection();
    let task = tokio::spawn(connection);
    let (done, is_done) = oneshot::channel();
    let (go, gone) = oneshot::channel::<()>();
    let other = async move {
        let _ = gone.await;
        let _ = done.send(());
    };
    assert!(sender.send(Box::pin(other)).is_ok());
    let panics = async { panic!("this panic is part of a test") };
    assert!(sender.send(Box::pin(panics)).is_ok());
    assert!(go.send(()).is_ok());
    assert!(within(is_done).await.is_ok());
    drop(sender);
    assert!(within(task).await.is_ok());
}

#[tokio::test]
async fn streams_that_are_woken_together_come_before_the_connection() {
    let (sender, mut both) = connection();
    let polls = Arc::clone(&both.polls);
    let (go, gone) = tokio::sync::watch::channel(false);
    let order = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2 * SPARE {
        let (mut gone, order, polls) = (gone.clone(), Arc::clone(&order), Arc::clone(&polls));
        let other = sender.clone();
        let stream = async move {
            let _ = gone.changed().await;
            lock(&order).push(polls.load(Ordering::Relaxed));
            // Wakes the connection, as a response does.
            let _ = other.send(Box::pin(async {}));
        };
        assert!(sender.send(Box::pin(stream)).is_ok());
    }
    drop(gone);
    let next = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut both).poll(next).is_pending());
    let before = polls.load(Ordering::Relaxed);
    assert!(go.send(true).is_ok());
    assert!(Pin::new(&mut both).poll(next).is_pending());
    assert_eq!(*lock(&order), vec![before; 2 * SPARE]);
    assert_eq!(polls.load(Ordering::Relaxed), before + 1);
    let slots = &both.streams.slots;
    assert_eq!(slots.vacant.len(), slots.all.len(), "all have ended");
    assert_eq!(slots.all.len(), SPARE, "few are kept");
}

#[tokio::test]
async fn a_stream_that_never_waits_lets_others_have_their_turn() {
    let (sender, connection) = connection();
    let busy = poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    assert!(sender.send(Box::pin(busy)).is_ok());
    let (done, is_done) = oneshot::channel();
    let task = tokio::spawn(connection);
    let other = async move {
        let _ = done.send(());
    };
    assert!(sender.send(Box::pin(other)).is_ok());
    assert!(within(is_done).await.is_ok());
    drop(sender);
    assert!(within(task).await.is_ok());
}

#[tokio::test]
async fn what_is_left_of_the_streams_ends_with_the_connection() {
    let (sender, connection) = connection();
    let (held, is_dropped) = oneshot::channel::<()>();
    let stream = async move {
        let _held = held;
        pending::<()>().await;
    };
    assert!(sender.send(Box::pin(stream)).is_ok());
    drop(sender);
    within(connection).await;
    assert!(within(is_dropped).await.is_err());
}

#[tokio::test]
async fn streams_that_use_up_the_budget_of_the_task_leave_turns_to_all_and_to_the_connection() {
    let (sender, connection) = connection();
    let greedy = || {
        let greedy = async {
            loop {
                coop::consume_budget().await;
            }
        };
        assert!(sender.send(Box::pin(greedy)).is_ok());
    };
    let modest = || {
        let (done, is_done) = oneshot::channel();
        let modest = async move {
            coop::consume_budget().await;
            let _ = done.send(());
        };
        assert!(sender.send(Box::pin(modest)).is_ok());
        is_done
    };
    greedy();
    greedy();
    let first = modest();
    greedy();
    let task = tokio::spawn(connection);
    assert!(within(first).await.is_ok());
    // The connection takes more streams, and notices its end.
    assert!(within(modest()).await.is_ok());
    drop(sender);
    assert!(within(task).await.is_ok());
}
