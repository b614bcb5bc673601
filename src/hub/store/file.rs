//! The file: one redb database with these tables.
//!
//! | table | key | value |
//! |---|---|---|
//! | `records` | channel, offset | a record, see `encoding` |
//! | `ids` | channel, offset | the digest of the publisher's own id, and the time |
//! | `forgotten` | channel | the highest offset that was trimmed |
//! | `epochs` | number of the start | its epoch and the first offset it gave |
//! | `state` | `last` | the highest offset ever written |
//! | `room` | | bytes that show, after an error, that there is room |
//!
//! A batch is one transaction: after a crash it is in the file completely or not at all. After any error redb refuses
//! further work until the file is opened again, so the caller drops the [`HistoryFile`] then.
//!
//! Must not know threads, queues, or publishers.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition,
};

use super::encoding;
use super::queue::{Append, Trims};
use super::{EpochStart, Recovered, StoredId};

const RECORDS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("records");
const FORGOTTEN: TableDefinition<'_, &str, u64> = TableDefinition::new("forgotten");
const EPOCHS: TableDefinition<'_, u64, (&str, u64)> = TableDefinition::new("epochs");
const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("state");
const IDS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("ids");
/// Padding that proves free space; it is never read.
const ROOM: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("room");
const LAST: &str = "last";

/// Limit on recorded starts. A page that was away for more restarts than this gets a gap.
pub(super) const EPOCHS_KEPT: u64 = 1_000;

/// Size of redb's page cache. After the start only the paths to changing pages are read, so the default of 1 GiB
/// would hold unused pages.
const CACHE: usize = 8 << 20;

/// A channel and an offset.
pub(super) type Key = (Box<str>, u64);

/// The content of one transaction.
#[derive(Clone, Copy)]
pub(super) struct Commit<'a> {
    /// The start of this epoch, if it is not recorded yet.
    pub start: Option<&'a EpochStart>,
    /// Records of a failed commit, to be removed first: their messages were refused or numbered again.
    pub stale: &'a [Key],
    /// Messages to store.
    pub appends: &'a [Append],
    /// Records to remove after the messages are stored.
    pub trims: &'a Trims,
}

/// The open database.
#[derive(Debug)]
pub(super) struct HistoryFile(Database);

impl HistoryFile {
    /// Creates the file under a temporary name and renames it: redb takes a file whose creation was interrupted
    /// for damaged.
    pub(super) fn create(path: &Path) -> Result<(), redb::Error> {
        let draft = path.with_extension("new");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            // Messages are private to the app's users.
            .mode(0o600)
            .open(&draft)?;
        let database = Builder::new().create_with_backend(FileBackend::new(file)?)?;
        database.close()?;
        File::open(&draft)?.sync_all()?;
        fs::rename(&draft, path)?;
        // The file survives a power cut only when its name does.
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// Opens the file, repairs it after a crash, and verifies all checksums. That is cheap: the start reads
    /// everything anyway, and a history is no larger than what the channels hold in memory.
    pub(super) fn open(path: &Path) -> Result<Self, redb::Error> {
        let database = Builder::new()
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(true)
            .open(path)?;
        Ok(Self(database))
    }

    /// Reads everything. Writes nothing, so it works on a full disk.
    pub(super) fn read(&self) -> Result<Recovered, redb::Error> {
        let transaction = self.0.begin_read()?;
        let mut recovered = Recovered::default();
        if let Some(state) = there(transaction.open_table(STATE))? {
            recovered.last = state.get(LAST)?.map_or(0, |last| last.value());
        }
        if let Some(epochs) = there(transaction.open_table(EPOCHS))? {
            read_epochs(&epochs, &mut recovered)?;
        }
        if let Some(forgotten) = there(transaction.open_table(FORGOTTEN))? {
            read_forgotten(&forgotten, &mut recovered)?;
        }
        if let Some(records) = there(transaction.open_table(RECORDS))? {
            read_records(&records, &mut recovered)?;
        }
        if let Some(ids) = there(transaction.open_table(IDS))? {
            read_ids(&ids, &mut recovered)?;
        }
        Ok(recovered)
    }

    /// Returns those of the given keys that the file contains.
    pub(super) fn present(&self, keys: &[Key]) -> Result<Vec<Key>, redb::Error> {
        let transaction = self.0.begin_read()?;
        let Some(records) = there(transaction.open_table(RECORDS))? else {
            return Ok(Vec::new());
        };
        let mut present = Vec::new();
        for (channel, offset) in keys {
            if records.get((&**channel, *offset))?.is_some() {
                present.push((channel.clone(), *offset));
            }
        }
        Ok(present)
    }

    /// Checks that there is room for this many bytes, by writing and removing them.
    pub(super) fn try_room(&self, bytes: usize) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        transaction
            .open_table(ROOM)?
            .insert(0, vec![0; bytes].as_slice())?;
        transaction.commit()?;
        let transaction = self.0.begin_write()?;
        transaction.delete_table(ROOM)?;
        transaction.commit()?;
        Ok(())
    }

    /// Commits a batch in one transaction, which is durable when this returns.
    pub(super) fn commit(&self, batch: &Commit<'_>) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        if let Some(start) = batch.start {
            begin(&mut transaction.open_table(EPOCHS)?, start)?;
        }
        {
            let mut records = transaction.open_table(RECORDS)?;
            for (channel, offset) in batch.stale {
                records.remove((&**channel, *offset))?;
            }
            let new = batch.appends.iter().filter(|append| append.is_new());
            for Append {
                channel, record, ..
            } in new.clone()
            {
                let bytes = encoding::encode(record);
                records.insert((&**channel, record.offset), bytes.as_slice())?;
            }
            write_ids(&mut transaction.open_table(IDS)?, batch)?;
            for (channel, offset) in &batch.trims.removed {
                records.remove((&**channel, *offset))?;
            }
            let mut forgotten = transaction.open_table(FORGOTTEN)?;
            for (channel, through) in &batch.trims.forgotten {
                let channel = &**channel;
                records.retain_in((channel, 0)..=(channel, *through), |_, _| false)?;
                raise(&mut forgotten, channel, *through)?;
            }
            let offsets = new.map(|append| append.record.offset);
            if let Some(last) = offsets.max() {
                raise(&mut transaction.open_table(STATE)?, LAST, last)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Opens a table; `None` if nothing was ever written to it.
fn there<T>(table: Result<T, redb::TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Records the start of an epoch, unless it is recorded: an epoch may continue in another process.
fn begin(epochs: &mut Table<'_, u64, (&str, u64)>, start: &EpochStart) -> Result<(), redb::Error> {
    let last = epochs
        .last()?
        .map(|(number, last)| (number.value(), last.value().0 == start.epoch));
    let number = match last {
        Some((_, true)) => return Ok(()),
        Some((number, false)) => number + 1,
        None => 0,
    };
    epochs.insert(number, (start.epoch.as_str(), start.first))?;
    while epochs.len()? > EPOCHS_KEPT {
        epochs.pop_first()?;
    }
    Ok(())
}

/// Sets a number unless it is higher already.
fn raise(table: &mut Table<'_, &str, u64>, name: &str, to: u64) -> Result<(), redb::Error> {
    let now = table.get(name)?.map_or(0, |now| now.value());
    if now < to {
        table.insert(name, to)?;
    }
    Ok(())
}

fn write_ids(
    ids: &mut Table<'_, (&str, u64), &[u8]>,
    batch: &Commit<'_>,
) -> Result<(), redb::Error> {
    for (channel, offset) in batch.stale {
        ids.remove((&**channel, *offset))?;
    }
    for append in batch.appends.iter().filter(|append| append.is_new()) {
        let record = &append.record;
        if let Some(digest) = record.id {
            let value = [&digest[..], &record.time.to_le_bytes()].concat();
            ids.insert((&*append.channel, record.offset), value.as_slice())?;
        }
    }
    for (channel, through) in &batch.trims.ids {
        let channel = &**channel;
        ids.retain_in((channel, 0)..=(channel, *through), |_, _| false)?;
    }
    Ok(())
}

/// Reads publisher ids. Malformed ones are skipped: without an id a message may be published twice, and nothing
/// worse.
fn read_ids(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    recovered: &mut Recovered,
) -> Result<(), redb::Error> {
    for entry in table.iter()? {
        let (key, bytes) = entry?;
        let (channel, offset) = key.value();
        let parts = bytes.value().split_first_chunk::<16>();
        let id = parts.and_then(|(digest, time)| {
            Some(StoredId {
                digest: *digest,
                offset,
                time: u64::from_le_bytes(time.try_into().ok()?),
            })
        });
        let ids = recovered.ids.entry(channel.to_owned()).or_default();
        ids.extend(id);
    }
    Ok(())
}

fn read_epochs(
    table: &impl ReadableTable<u64, (&'static str, u64)>,
    recovered: &mut Recovered,
) -> Result<(), redb::Error> {
    for start in table.iter()? {
        let (_, start) = start?;
        let (epoch, first) = start.value();
        let epoch = epoch.to_owned();
        recovered.epochs.push(EpochStart { epoch, first });
    }
    Ok(())
}

fn read_forgotten(
    table: &impl ReadableTable<&'static str, u64>,
    recovered: &mut Recovered,
) -> Result<(), redb::Error> {
    for mark in table.iter()? {
        let (channel, through) = mark?;
        let channel = channel.value().to_owned();
        recovered.forgotten.insert(channel, through.value());
    }
    Ok(())
}

fn read_records(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    recovered: &mut Recovered,
) -> Result<(), redb::Error> {
    for entry in table.iter()? {
        let (key, bytes) = entry?;
        let (channel, offset) = key.value();
        let record = encoding::decode(offset, bytes.value()).map_err(|malformed| {
            redb::Error::Corrupted(format!(
                "message {offset} of channel {channel}: {malformed}"
            ))
        })?;
        let records = recovered.channels.entry(channel.to_owned()).or_default();
        records.push(record);
    }
    Ok(())
}
