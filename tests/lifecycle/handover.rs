//! Another process that begins to take over, and does not end what it has begun.

use std::fs::{File, TryLockError};
use std::os::unix::net::UnixStream;
use std::thread;

use noren::server::Inheritance;

use crate::harness::{Door, within};

#[tokio::test]
async fn histories_on_disk_are_opened_again_when_the_process_that_has_them_was_ended() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().to_owned();
    let door = Door::open(&format!(
        "[hub]\nstore = '{}'\n[[channel]]\nname = 'a'\n[channel.history]\nstore = 'disk'\n",
        store.display()
    ))
    .await;
    let (mut line, other) = UnixStream::pair().unwrap();
    let place = store.clone();
    // It gets as far as the histories, and then is silent.
    let taking = thread::spawn(move || {
        let inheritance = Inheritance::receive(other).unwrap();
        let histories = File::open(place).unwrap();
        histories.try_lock().unwrap();
        drop(inheritance);
        histories
    });
    let handle = door.handle.clone();
    let handed = tokio::task::spawn_blocking(move || {
        handle.hand_over(&mut line, || drop(taking.join().unwrap()))
    });
    let refused = within("the end of the attempt", handed).await.unwrap();
    assert!(refused.is_err());
    let locked = File::open(&store).unwrap().try_lock();
    assert!(
        matches!(locked, Err(TryLockError::WouldBlock)),
        "the door has its histories again"
    );
}
