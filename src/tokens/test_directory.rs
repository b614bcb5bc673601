//! A directory for one test, removed when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct TestDirectory(PathBuf);

impl TestDirectory {
    pub(super) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("noren-target-{}-{number}", process::id()));
        // `create_dir` fails on what is already there, so a test never reads what another run left.
        fs::create_dir(&path).expect("the directory for temporary files is writable");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("the test may write to its own directory");
        path
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        // A failure leaves a few small files behind and must not hide the failure of the test itself.
        let _ = fs::remove_dir_all(&self.0);
    }
}
