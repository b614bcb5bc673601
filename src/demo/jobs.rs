//! The job queue of the demo: work that continues after the response. Eight jobs run at once, the others wait and
//! are told their positions.
//!
//! Each job has a channel of its own, `job.17`, and all of them together have `jobs`. When a job starts, all jobs
//! behind it move up and are notified: hundreds of small messages at once, of which each page gets its own.
//! Independent of pages and of the number of viewers.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::channels::{Channels, Line};
use super::json;
use super::push::Push;
use super::threads::Threads;

use crate::sync::lock;

/// Number of jobs that run at once, each on a thread of its own.
const STOVES: usize = 8;
/// Number of waiting jobs in a full queue.
const FULL: usize = 400;
/// Limit on waiting jobs: visitors may still add some when the queue is full.
const MOST: usize = 450;
/// User name of jobs that no visitor added.
const REGULARS: &str = "a regular";
/// Length of a step; a job has twenty and so takes about three seconds.
const STEP: Duration = Duration::from_millis(120);

/// The queue and the running jobs. Clones share them.
#[derive(Clone)]
pub(super) struct Jobs {
    board: Arc<Mutex<Board>>,
    threads: Threads,
    push: Push,
    channels: Arc<Channels>,
}

#[derive(Default)]
struct Board {
    /// Number of jobs ever added, which is the number of the last one.
    ordered: u64,
    waiting: VecDeque<Job>,
    cooking: Vec<Job>,
    /// Number of threads that run jobs or look for one.
    cooks: usize,
}

#[derive(Clone)]
struct Job {
    id: u64,
    user: String,
    percent: u8,
}

impl Jobs {
    /// A queue whose jobs run on these threads, and report on channels and pages.
    pub(super) fn new(threads: &Threads, push: &Push, channels: &Arc<Channels>) -> Self {
        Self {
            board: Arc::default(),
            threads: threads.clone(),
            push: push.clone(),
            channels: Arc::clone(channels),
        }
    }

    /// Adds a job. Returns its number and its position; `None` if too many wait.
    pub(super) fn order(&self, user: &str) -> Option<(u64, usize)> {
        let mut board = self.board();
        if board.waiting.len() >= MOST {
            return None;
        }
        let (id, place, lines) = board.add(user);
        self.channels.say(&lines);
        drop(board);
        self.light();
        Some((id, place))
    }

    /// Adds jobs until the queue is full. Returns their number.
    pub(super) fn fill(&self) -> usize {
        let mut board = self.board();
        let mut lines = String::new();
        let before = board.waiting.len();
        while board.waiting.len() < FULL {
            lines.push_str(&board.add(REGULARS).2);
        }
        self.channels.say(&lines);
        drop(board);
        self.light();
        FULL.saturating_sub(before)
    }

    /// The running jobs as a JSON array, and the number of waiting ones.
    pub(super) fn json(&self) -> String {
        let board = self.board();
        let cooking = json::array(board.cooking.iter().map(|job| {
            let user = json::quote(&job.user);
            format!(
                r#"{{"id":{},"user":{user},"percent":{}}}"#,
                job.id, job.percent
            )
        }));
        format!(r#""cooking":{cooking},"waiting":{}"#, board.waiting.len())
    }

    /// Starts a thread for each waiting job, up to the limit.
    fn light(&self) {
        let mut board = self.board();
        let wanted = STOVES.min(board.cooks + board.waiting.len());
        while board.cooks < wanted {
            let cook = self.clone();
            let spawned = self.threads.spawn("cook", move || cook.cook());
            if let Err(error) = spawned {
                tracing::warn!(%error, "demo cannot start a job");
                return;
            }
            board.cooks += 1;
        }
    }

    /// Runs one job after the other until none waits.
    fn cook(&self) {
        while let Some(job) = self.take() {
            // Not all take the same time, so that they do not begin all at once.
            let step = STEP + Duration::from_millis(job.id * 37 % 60);
            for percent in (0..=100).step_by(5) {
                self.progress(&job, percent);
                if percent < 100 && !self.threads.sleep(step) {
                    return;
                }
            }
        }
    }

    /// Takes the next job, and moves up all behind it. Without one, the thread ends.
    fn take(&self) -> Option<Job> {
        let mut board = self.board();
        let Some(job) = board.waiting.pop_front() else {
            board.cooks -= 1;
            return None;
        };
        board.cooking.push(job.clone());
        let mut lines = String::new();
        for (place, job) in (1..).zip(&board.waiting) {
            tell_place(job.id, place, &mut lines);
        }
        self.channels.say(&lines);
        Some(job)
    }

    fn progress(&self, job: &Job, percent: u8) {
        let mut board = self.board();
        if let Some(listed) = board.cooking.iter_mut().find(|other| other.id == job.id) {
            listed.percent = percent;
        }
        board.cooking.retain(|job| job.percent < 100);
        let data = percent.to_string();
        let (own, id) = (format!("job.{}", job.id), job.id.to_string());
        let told = [(own.as_str(), "state"), ("jobs", id.as_str())].map(|(channel, key)| {
            let event = "progress";
            Line {
                channel,
                key,
                event,
                data: &data,
            }
            .to_string()
        });
        self.channels.say(&told.concat());
        drop(board);
        // Wok's page wants to know when a task begins and ends, and asks for the rest.
        if job.user != REGULARS && matches!(percent, 0 | 100) {
            self.push
                .notify(&format!("TASK:/demo/tasks/{id}/{percent}"));
        }
    }

    // Held while something is told, so that all is told in the order in which it happened.
    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }
}

impl Board {
    /// Adds a waiting job: returns its number, its position, and the notification.
    fn add(&mut self, user: &str) -> (u64, usize, String) {
        self.ordered += 1;
        let id = self.ordered;
        self.waiting.push_back(Job {
            id,
            user: user.to_owned(),
            percent: 0,
        });
        let place = self.waiting.len();
        let mut lines = Line {
            channel: "jobs",
            key: &id.to_string(),
            event: "waiting",
            data: &format!(r#"{{"user":{}}}"#, json::quote(user)),
        }
        .to_string();
        tell_place(id, place, &mut lines);
        (id, place, lines)
    }
}

fn tell_place(id: u64, place: usize, lines: &mut String) {
    let line = Line {
        channel: &format!("job.{id}"),
        key: "state",
        event: "position",
        data: &place.to_string(),
    };
    // Writing to a String cannot fail.
    let _ = write!(lines, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_filled_up_to_its_size_and_visitors_find_room_up_to_the_limit() {
        let mut board = Board::default();
        for place in 1..=MOST {
            assert_eq!(board.add("ann").1, place);
        }
        let threads = Threads::new();
        let jobs = Jobs::new(&threads, &Push::default(), &Arc::default());
        *jobs.board() = board;
        assert_eq!(jobs.order("ann"), None);
        assert_eq!(jobs.fill(), 0);
        threads.stop(Duration::from_secs(5));
    }
}
