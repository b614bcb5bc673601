//! Tests of the store's promises to the hub, on a real file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;

use super::Unique;
use super::file::{Commit, EPOCHS_KEPT};
use super::queue::Trims;
use super::{
    Acknowledgement, Append, EpochStart, FILE, Kind, Opened, Order, Record, Recovered, Store,
    StoreError,
};

/// A message that differs from every other.
pub(super) fn record(offset: u64) -> Record {
    Record {
        offset,
        id: None,
        event: (offset.is_multiple_of(2)).then(|| "even".into()),
        key: (offset.is_multiple_of(3)).then(|| format!("key {offset}").into()),
        kind: [Kind::Text, Kind::Json, Kind::Bytes]
            .into_iter()
            .nth(usize::try_from(offset % 3).expect("a small number"))
            .expect("one of three"),
        data: Bytes::from(format!("\"message {offset}\"")),
        time: 1_763_932_800_000 + offset,
    }
}

/// An [`Order`] that keeps the offsets of messages.
struct AsGiven;

impl Order for AsGiven {
    fn number(&self, _: &mut [Append], _: u64) {}

    fn show(&self, _: &[Append]) -> bool {
        true
    }

    fn give_up(&self) {}

    fn found(&self, _: Recovered) {}
}

/// Opens a store and starts its thread.
pub(super) fn start(directory: &Path, epoch: &str) -> Result<(Store, Recovered), StoreError> {
    let (opened, recovered) = Opened::open(directory, epoch)?;
    Ok((opened.run(AsGiven)?, recovered))
}

fn open(directory: &Path) -> (Store, Recovered) {
    start(directory, "epoch").expect("a store")
}

/// The content of the store as another start finds it.
fn reopened(directory: &Path) -> Recovered {
    open(directory).1
}

async fn keep(store: &Store, channel: &str, offsets: impl IntoIterator<Item = u64>) {
    let waiting: Vec<Acknowledgement> = offsets
        .into_iter()
        .map(|offset| {
            store
                .append(channel, record(offset), Unique::Never, Instant::now())
                .expect("room")
        })
        .collect();
    for acknowledgement in waiting {
        acknowledgement.await.expect("a commit");
    }
}

fn offsets(recovered: &Recovered, channel: &str) -> Vec<u64> {
    let records = recovered.channels.get(channel);
    records
        .into_iter()
        .flatten()
        .map(|record| record.offset)
        .collect()
}

#[tokio::test]
async fn what_was_kept_is_found_by_the_next_start_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, found) = open(directory.path());
    assert_eq!((found.last, found.channels), (0, BTreeMap::new()));
    keep(&store, "wok", [1, 3, 4, 256, 70_000]).await;
    keep(&store, "job.17", [2, 70_001]).await;
    drop(store);
    let found = reopened(directory.path());
    assert_eq!(found.last, 70_001);
    let expected = |offsets: &[u64]| offsets.iter().copied().map(record).collect::<Vec<_>>();
    assert_eq!(
        found.channels,
        BTreeMap::from([
            ("job.17".to_owned(), expected(&[2, 70_001])),
            ("wok".to_owned(), expected(&[1, 3, 4, 256, 70_000])),
        ])
    );
}

#[test]
fn what_is_queued_is_written_when_the_store_is_dropped() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    for offset in 1..=500 {
        drop(
            store
                .append("wok", record(offset), Unique::Never, Instant::now())
                .expect("room"),
        );
    }
    drop(store);
    let found = reopened(directory.path());
    assert_eq!(offsets(&found, "wok"), (1..=500).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_forgotten_or_removed_is_gone_and_its_mark_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    keep(&store, "a", 1..=5).await;
    keep(&store, "b", 6..=9).await;
    store.forget("a", 2);
    store.forget("a", 1);
    store.remove("b", 7);
    store.forget("never", 9);
    drop(store);
    let found = reopened(directory.path());
    assert_eq!(offsets(&found, "a"), [3, 4, 5]);
    assert_eq!(offsets(&found, "b"), [6, 8, 9]);
    let marks = [("a".to_owned(), 2), ("never".to_owned(), 9)];
    assert_eq!(found.forgotten, BTreeMap::from(marks));
}

#[tokio::test]
async fn the_last_offset_outlives_its_record() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    keep(&store, "a", [41, 42]).await;
    store.forget("a", 42);
    drop(store);
    let found = reopened(directory.path());
    assert_eq!((found.last, offsets(&found, "a")), (42, vec![]));
}

#[tokio::test]
async fn every_start_is_remembered_with_the_first_offset_it_could_give() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = |epoch: &str| start(directory.path(), epoch).expect("a store");
    let (store, _) = start("first");
    keep(&store, "a", [1, 2]).await;
    drop(store);
    drop(start("idle"));
    let (_store, found) = start("third");
    let expected = [("first", 1), ("idle", 3), ("third", 3)].map(|(epoch, first)| EpochStart {
        epoch: epoch.to_owned(),
        first,
    });
    assert_eq!(found.epochs, expected);
}

#[test]
fn only_the_last_starts_are_remembered() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(FILE);
    let file = {
        super::file::HistoryFile::create(&path).expect("a new file");
        super::file::HistoryFile::open(&path).expect("the file")
    };
    for start in 0..EPOCHS_KEPT + 2 {
        let start = EpochStart {
            epoch: start.to_string(),
            first: 1,
        };
        let batch = Commit {
            start: Some(&start),
            stale: &[],
            appends: &[],
            trims: &Trims::default(),
        };
        file.commit(&batch).expect("a start");
    }
    let found = file.read().expect("what was written");
    assert_eq!(found.epochs.len() as u64, EPOCHS_KEPT);
    assert_eq!(found.epochs.first().expect("a start").epoch, "2");
}

#[test]
fn a_second_store_on_the_directory_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_store, _) = open(directory.path());
    let error = start(directory.path(), "second").expect_err("the directory is taken");
    assert!(matches!(error, StoreError::InUse(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&*directory.path().to_string_lossy()),
        "{text}"
    );
}

#[test]
fn a_copy_of_its_descriptor_in_a_child_does_not_keep_the_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let _copy = store.lock.copy().expect("a copy");
    drop(store);
    reopened(directory.path());
}

#[test]
fn the_directory_and_the_file_are_private() {
    let outer = tempfile::tempdir().expect("a directory");
    let directory = outer.path().join("var").join("noren");
    let (_store, _) = open(&directory);
    let mode = |path: &Path| {
        let metadata = fs::metadata(path).expect("what was made");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join(FILE)), 0o600);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let outer = tempfile::NamedTempFile::new().expect("a file");
    let directory = outer.path().join("below-a-file");
    let error = start(&directory, "epoch").expect_err("no directory");
    assert!(matches!(error, StoreError::Directory { .. }), "{error:?}");
    assert!(error.to_string().contains("below-a-file"), "{error}");
}

fn refused_as_damaged(directory: &Path) -> String {
    let error = start(directory, "epoch").expect_err("a damaged file");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    let file = directory.join(FILE);
    assert!(text.contains(&*file.to_string_lossy()), "{text}");
    assert!(text.contains("move it away"), "{text}");
    text
}

#[test]
fn a_file_that_is_no_history_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(FILE);
    let letter = "Dear Sir or Madam, ".repeat(100);
    fs::write(&file, &letter).expect("a file");
    refused_as_damaged(directory.path());
    assert_eq!(fs::read_to_string(&file).expect("the file"), letter);
}

#[test]
fn what_a_kill_left_of_a_first_start_is_in_nobodys_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let draft = directory.path().join("history.new");
    fs::write(&draft, "half of a file").expect("a draft");
    assert_eq!(reopened(directory.path()).last, 0);
    assert!(!draft.exists());
}

#[tokio::test]
async fn a_history_with_a_changed_byte_or_a_lost_end_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    for offset in 1..=50 {
        keep(&store, "wok", [offset]).await;
    }
    drop(store);
    let file = directory.path().join(FILE);
    let whole = fs::read(&file).expect("the file");
    let mut changed = whole.clone();
    let needle = b"\"message 25\"";
    for at in 0..changed.len() {
        // Every copy: the file also holds pages of commits long past.
        let place = changed
            .get_mut(at..)
            .and_then(|rest| rest.get_mut(..needle.len()));
        if let Some(place) = place.filter(|place| place == needle) {
            place.fill(b'?');
        }
    }
    assert_ne!(changed, whole, "the message is in the file");
    fs::write(&file, &changed).expect("the changed file");
    refused_as_damaged(directory.path());
    let half = whole.get(..whole.len() / 2).expect("a half");
    fs::write(&file, half).expect("half a file");
    refused_as_damaged(directory.path());
    fs::write(&file, "").expect("an empty file");
    refused_as_damaged(directory.path());
    fs::write(&file, &whole).expect("the file as it was");
    assert_eq!(reopened(directory.path()).last, 50);
}

#[test]
fn a_record_of_a_newer_version_is_named_and_not_guessed_at() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(open(directory.path()));
    let file = directory.path().join(FILE);
    let database = redb::Database::create(file).expect("the file");
    let transaction = database.begin_write().expect("a transaction");
    transaction
        .open_table(redb::TableDefinition::<(&str, u64), &[u8]>::new("records"))
        .expect("the table")
        .insert(("wok", 9), &[2, 0, 0][..])
        .expect("a record");
    transaction.commit().expect("a commit");
    drop(database);
    let text = refused_as_damaged(directory.path());
    assert!(
        text.contains("message 9 of channel wok: it has version 2"),
        "{text}"
    );
}
