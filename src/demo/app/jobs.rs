//! Background jobs: work that goes on after the answer, on a thread of its own, and tells its
//! progress through the push server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::house::House;
use super::super::json;

/// Jobs that may run at once.
const MOST: usize = 8;
/// Jobs listed; the oldest go first, and they have long ended when they do.
const KEPT: usize = 20;
/// A job is twenty steps of this length, six seconds.
const STEP: Duration = Duration::from_millis(300);

#[derive(Default)]
pub(in super::super) struct Jobs(Mutex<Board>);

#[derive(Default)]
struct Board {
    started: u64,
    jobs: VecDeque<Job>,
}

struct Job {
    id: u64,
    user: String,
    percent: u8,
}

impl Jobs {
    /// Starts a job and returns its number; `None` when too many run.
    pub(super) fn start(house: &Arc<House>, user: &str) -> Option<u64> {
        let id = house.jobs.list(user)?;
        let worker = Arc::clone(house);
        let spawned = house
            .crew
            .spawn("job", move || worker.jobs.work(id, &worker));
        if let Err(error) = spawned {
            tracing::warn!(%error, "demo cannot start a job");
            house.jobs.board().jobs.retain(|job| job.id != id);
            return None;
        }
        Some(id)
    }

    /// The jobs as a JSON array, newest first.
    pub(super) fn json(&self) -> String {
        json::array(self.board().jobs.iter().map(|job| {
            let user = json::quote(&job.user);
            format!(
                r#"{{"id":{},"user":{user},"percent":{}}}"#,
                job.id, job.percent
            )
        }))
    }

    fn list(&self, user: &str) -> Option<u64> {
        let mut board = self.board();
        if board.jobs.iter().filter(|job| job.percent < 100).count() >= MOST {
            return None;
        }
        board.started += 1;
        let id = board.started;
        board.jobs.truncate(KEPT - 1);
        board.jobs.push_front(Job {
            id,
            user: user.to_owned(),
            percent: 0,
        });
        Some(id)
    }

    fn work(&self, id: u64, house: &House) {
        for percent in (0..=100).step_by(5) {
            if let Some(job) = self.board().jobs.iter_mut().find(|job| job.id == id) {
                job.percent = percent;
            }
            house
                .push
                .notify(&format!("TASK:/demo/tasks/{id}/{percent}"));
            if percent < 100 && !house.crew.sleep(STEP) {
                return;
            }
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_jobs_run_at_once_and_the_list_stays_short() {
        let jobs = Jobs::default();
        for _ in 0..MOST {
            assert!(jobs.list("ann").is_some());
        }
        assert!(jobs.list("ann").is_none());
        for _ in 0..KEPT * 2 {
            jobs.board()
                .jobs
                .iter_mut()
                .for_each(|job| job.percent = 100);
            assert!(jobs.list("ann").is_some());
        }
        assert_eq!(jobs.board().jobs.len(), KEPT);
    }
}
