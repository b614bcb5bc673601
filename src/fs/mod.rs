//! Files as others see them: writing one atomically, and the identity by which a change is noticed. Must not know the
//! content of a file.

mod atomic_file;
mod file_id;

pub(crate) use atomic_file::{draft, replace};
pub(crate) use file_id::{FileId, FileIds};
