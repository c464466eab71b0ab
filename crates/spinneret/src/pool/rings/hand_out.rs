//! How jobs come from the backlog into the ring of tasks.

use std::sync::Weak;

use super::books::Books;
use super::message::JobMessage;
use super::table::{Delivery, State, number};
use crate::pool::handle::Recall;
use crate::process::queue::Put;
use crate::task::TaskError;

/// How many jobs are handed out in one go, at most.
const CHUNK: usize = 64;

impl Books {
    /// Moves jobs from the backlog into the ring while there is space. Gives back those that cannot
    /// be written, or that nobody wants.
    pub(super) fn hand_out(&self, state: &mut State) -> Vec<Delivery> {
        let mut refused = Vec::new();
        loop {
            let mut batch = std::mem::take(&mut state.batch);
            batch.clear();
            let mut handed = Vec::new();
            while handed.len() < CHUNK.min(state.free.len()) {
                let Some(job) = state.backlog.pop_front() else { break };
                // Both are there: the loop's condition has seen to it.
                let Some(index) = state.free.get(state.free.len() - 1 - handed.len()).copied()
                else {
                    break;
                };
                let number = number(index, state.table[index as usize].generation);
                let books: Weak<dyn Recall> = self.this.clone();
                if !job.ticket.hand_out(books, number) {
                    // Nobody wants it.
                    state.failed += 1;
                    refused.push((job.ticket, Err(TaskError::Cancelled)));
                    continue;
                }
                let message = JobMessage {
                    number,
                    signature: job.signature,
                    task: job.task,
                    attached: !job.fds.is_empty(),
                    args: &job.args,
                };
                let Ok(()) = batch.push(!job.chunkable, |out| {
                    message.write(out);
                    Ok::<_, std::convert::Infallible>(())
                });
                handed.push((index, job));
            }
            if handed.is_empty() {
                state.batch = batch;
                return refused;
            }
            // The words first: a worker may have the job in the next moment.
            for (index, _) in &handed {
                self.board.hand_out(*index, state.table[*index as usize].generation);
            }
            let (put, fault) = match self.tasks.try_put(&batch, 0) {
                Ok(Put::Done(count)) => (count, None),
                // Closed only when there are no jobs.
                Ok(Put::Closed) => (0, None),
                Err(fault) => (0, Some(fault)),
            };
            let full = fault.is_none() && put < handed.len();
            let mut rest = handed.split_off(put);
            state.free.truncate(state.free.len() - handed.len());
            for (index, job) in handed {
                state.table[index as usize].job = Some(job);
            }
            if let Some(fault) = fault {
                let (_, job) = rest.remove(0);
                let what = format!("the message that calls `{}`", job.task);
                let cause = fault.to_string();
                state.failed += 1;
                refused.push((job.ticket, Err(TaskError::Undecodable { what, cause })));
            }
            for (_, job) in rest.into_iter().rev() {
                job.ticket.requeue();
                state.backlog.push_front(job);
            }
            state.batch = batch;
            if full {
                return refused;
            }
        }
    }
}
