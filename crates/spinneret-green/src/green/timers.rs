//! The deadlines of a hub's suspended green threads, earliest first.

use std::{ptr::NonNull, time::Instant};

use super::home::green;
use crate::task::Inner;

/// The [`place`](super::home::Green::timer) of a task that has no timer.
pub(super) const NONE: u32 = u32::MAX;

/// A four-ary heap in which each task knows its place, so that a timer is removed as soon as it is
/// not needed: most timeouts never pass. A task has one timer at most.
#[derive(Default)]
pub(super) struct Timers {
    heap: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    when: Instant,
    task: NonNull<Inner>,
}

const ARITY: usize = 4;

impl Timers {
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    pub fn first(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.when)
    }

    /// Adds a task that has none here, and that is removed before it ends.
    pub fn insert(&mut self, when: Instant, task: NonNull<Inner>) {
        debug_assert_eq!(green(task).timer.get(), NONE);
        self.heap.push(Entry { when, task });
        self.rise(self.heap.len() - 1);
    }

    /// Removes a task if it is here.
    pub fn remove(&mut self, task: NonNull<Inner>) {
        let place = green(task).timer.replace(NONE);
        if place == NONE {
            return;
        }
        let place = place as usize;
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.sink(place);
            self.rise(place);
        }
    }

    /// The next task whose deadline is not after `now`, which is removed.
    pub fn pop(&mut self, now: Instant) -> Option<NonNull<Inner>> {
        let task = self.heap.first().filter(|entry| entry.when <= now)?.task;
        self.remove(task);
        Some(task)
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        green(entry.task).timer.set(place as u32);
    }

    /// Moves the entry up while it is earlier than its parent.
    fn rise(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent].when <= entry.when {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    /// Moves the entry down while a child is earlier.
    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let children = ARITY * place + 1..(ARITY * place + 1 + ARITY).min(self.heap.len());
            let Some(child) = children.min_by_key(|&child| self.heap[child].when) else {
                break;
            };
            if entry.when <= self.heap[child].when {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }
}
