//! A line of callers who wait for something, first come, first served; whoever goes away while it
//! waits takes nothing with it.

use std::{collections::BTreeMap, time::Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::manager::{error::ManagerError, runtime::sleep_until};

/// Who waits, by their places.
#[derive(Debug)]
pub(super) struct Line<C, G> {
    last_place: u64,
    /// What each asks for, and the way to hand it over. An entry goes when its gift is sent or its
    /// caller leaves, both under the lock of the state that the line is part of.
    waiting: BTreeMap<u64, (C, oneshot::Sender<G>)>,
}

impl<C: Copy, G> Line<C, G> {
    pub fn new() -> Self {
        Self { last_place: 0, waiting: BTreeMap::new() }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// What the first in line asks for.
    pub fn first(&self) -> Option<C> {
        self.waiting.values().next().map(|&(claim, _)| claim)
    }

    /// Gives the first in line what it waits for; false if there is nobody.
    pub fn give(&mut self, gift: G) -> bool {
        let Some((_, (_, sender))) = self.waiting.pop_first() else {
            return false;
        };
        // The receiver is there: it is dropped only after it left the line.
        let _ = sender.send(gift);
        true
    }

    /// Takes a place at the end.
    fn join(&mut self, claim: C) -> (u64, oneshot::Receiver<G>) {
        let (sender, receiver) = oneshot::channel();
        self.last_place += 1;
        self.waiting.insert(self.last_place, (claim, sender));
        (self.last_place, receiver)
    }

    /// Gives up a place; false if it was served already.
    fn leave(&mut self, place: u64) -> bool {
        self.waiting.remove(&place).is_some()
    }
}

/// A state that callers wait for.
pub(super) trait Lined {
    /// What a caller asks for.
    type Claim: Copy;
    /// What it is given in the end.
    type Gift;

    fn line(&mut self) -> &mut Line<Self::Claim, Self::Gift>;

    /// A caller has gone: unserved, or with a gift in its hands that it never saw.
    fn gone(&mut self, claim: Self::Claim, gift: Option<Self::Gift>);
}

/// A place in line. Dropping it leaves the line and tells the state.
#[derive(Debug)]
pub(super) struct Place<'a, S: Lined> {
    state: &'a Mutex<S>,
    number: u64,
    claim: S::Claim,
    gift: oneshot::Receiver<S::Gift>,
    /// Whether the gift has been taken or the line been left, so that nothing is to be done.
    settled: bool,
}

impl<'a, S: Lined> Place<'a, S> {
    /// Joins the line of a state that is locked, as `locked`, from `state`.
    pub fn join(state: &'a Mutex<S>, locked: &mut S, claim: S::Claim) -> Self {
        let (number, gift) = locked.line().join(claim);
        Self { state, number, claim, gift, settled: false }
    }

    /// Waits for the gift; `None` when the time is over, and then the line is left.
    pub async fn wait(mut self, until: Option<Instant>) -> Result<Option<S::Gift>, ManagerError> {
        let gift = match until {
            None => (&mut self.gift).await.ok(),
            Some(time) => {
                let sleep = sleep_until(time)?;
                tokio::select! {
                    biased;
                    gift = &mut self.gift => gift.ok(),
                    () = sleep => self.last_look(),
                }
            }
        };
        self.settled |= gift.is_some();
        Ok(gift)
    }

    /// What was given between the end of the time and now. If nothing was, the line is left at the
    /// same moment: what were given later would be given to nobody.
    fn last_look(&mut self) -> Option<S::Gift> {
        let mut state = self.state.lock();
        let gift = self.gift.try_recv().ok();
        if gift.is_none() {
            state.line().leave(self.number);
            state.gone(self.claim, None);
            self.settled = true;
        }
        gift
    }
}

impl<S: Lined> Drop for Place<'_, S> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut state = self.state.lock();
        let gift = if state.line().leave(self.number) { None } else { self.gift.try_recv().ok() };
        state.gone(self.claim, gift);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct State {
        line: Line<(), u8>,
        gone: u32,
    }

    impl Lined for State {
        type Claim = ();
        type Gift = u8;

        fn line(&mut self) -> &mut Line<(), u8> {
            &mut self.line
        }

        fn gone(&mut self, (): (), _: Option<u8>) {
            self.gone += 1;
        }
    }

    #[test]
    fn who_found_nothing_at_the_end_of_its_time_is_given_nothing_any_more() {
        let state = Mutex::new(State { line: Line::new(), gone: 0 });
        let mut place = Place::join(&state, &mut state.lock(), ());
        assert_eq!(place.last_look(), None);
        assert!(!state.lock().line.give(7), "it will tell its caller that nothing came");
        drop(place);
        assert_eq!(state.lock().gone, 1);

        let mut place = Place::join(&state, &mut state.lock(), ());
        assert!(state.lock().line.give(7));
        assert_eq!(place.last_look(), Some(7));
    }
}
