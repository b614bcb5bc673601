//! The output of a recorded console as one stream of bytes, with the time of the video. Input is given to the client's
//! side on the way. Does not know what the bytes mean.

use std::io::BufRead;
use std::time::Duration;

use super::client::Client;
use super::{Halt, Video};
use crate::recording::{Kind, Reader};

/// Limit on the bytes of one field; the largest ones are compressed pictures.
const LONGEST: usize = 256 * 1024 * 1024;

/// Reads the output of a recording.
pub(super) struct Stream<R> {
    reader: Reader<R>,
    settings: Video,
    /// Bytes of the console; those before `start` were read.
    bytes: Vec<u8>,
    start: usize,
    /// Time in the recording and in the video of the record that was read last.
    recorded: Option<Duration>,
    time: Duration,
    /// The client's side.
    pub(super) client: Client,
}

impl<R: BufRead> Stream<R> {
    pub(super) fn new(reader: Reader<R>, settings: Video) -> Self {
        Self {
            reader,
            settings,
            bytes: Vec::new(),
            start: 0,
            recorded: None,
            time: Duration::ZERO,
            client: Client::new(),
        }
    }

    /// The time in the video.
    pub(super) fn time(&self) -> Duration {
        self.time
    }

    /// True if no byte can be read without another record.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Reads one record.
    pub(super) fn pull(&mut self) -> Result<(), Halt> {
        let record = self.reader.read()?.ok_or(Halt::End)?;
        // The first word of the console comes at once, however long it took.
        let pause = record.at.saturating_sub(self.recorded.unwrap_or(record.at));
        self.recorded = Some(record.at);
        let pause = pause.as_secs_f64() / self.settings.speed;
        let pause = pause.min(self.settings.max_pause.unwrap_or(f64::MAX));
        self.time = self.time.saturating_add(Duration::from_secs_f64(pause));
        match record.kind {
            Kind::Input => self.client.read(&record.data),
            Kind::Output if self.is_empty() => {
                self.bytes = record.data;
                self.start = 0;
            }
            Kind::Output => {
                self.bytes.drain(..self.start);
                self.start = 0;
                self.bytes.extend_from_slice(&record.data);
            }
            Kind::Gap => {
                let lost = record.data.first_chunk::<8>();
                return Err(Halt::Gap(lost.map_or(0, |lost| u64::from_be_bytes(*lost))));
            }
            Kind::End => {}
        }
        Ok(())
    }

    /// The next bytes, without reading past them.
    pub(super) fn peek<const N: usize>(&mut self) -> Result<[u8; N], Halt> {
        loop {
            let left = self.bytes.get(self.start..).unwrap_or_default();
            if let Some(bytes) = left.first_chunk::<N>() {
                return Ok(*bytes);
            }
            self.pull()?;
        }
    }

    /// Reads this many bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Halt> {
        let bytes = self.peek()?;
        self.start += N;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Halt> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn short(&mut self) -> Result<usize, Halt> {
        Ok(u16::from_be_bytes(self.array()?).into())
    }

    pub(super) fn long(&mut self) -> Result<usize, Halt> {
        let number = u32::from_be_bytes(self.array()?);
        usize::try_from(number).map_err(|_| too_long())
    }

    /// Reads this many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Halt> {
        if count > LONGEST {
            return Err(too_long());
        }
        let mut read = Vec::new();
        self.each(count, |part| read.extend_from_slice(part))?;
        Ok(read)
    }

    /// Leaves this many bytes out.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), Halt> {
        self.each(count, |_| {})
    }

    fn each(&mut self, count: usize, mut take: impl FnMut(&[u8])) -> Result<(), Halt> {
        let mut missing = count;
        while missing > 0 {
            if self.is_empty() {
                self.pull()?;
                continue;
            }
            let left = self.bytes.get(self.start..).unwrap_or_default();
            let part = left.get(..missing).unwrap_or(left);
            take(part);
            missing -= part.len();
            self.start += part.len();
        }
        Ok(())
    }
}

fn too_long() -> Halt {
    Halt::unknown("the console sends a field of more than 256 MiB")
}
