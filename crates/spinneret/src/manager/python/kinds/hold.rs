//! Who holds a lock, and whose permits of a semaphore are out: pure state machines that know what
//! a connection's end gives back.

use std::mem;

use super::gate::Resource;
use crate::manager::store::Owner;

/// A claim to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub owner: Owner,
    /// How deep it is to be held: 1 but for a condition's waiter that gets its lock back.
    pub depth: u64,
}

impl Claim {
    pub fn once(owner: Owner) -> Self {
        Self { owner, depth: 1 }
    }
}

/// What a lock is held by.
#[derive(Debug)]
pub(super) struct Hold {
    /// Whether the holder may take it again, and only the holder may release it.
    reentrant: bool,
    /// The connection that acquired it last, and how often.
    held: Option<Claim>,
    /// Whether it is free because its holder's connection has ended. Whoever then releases it for
    /// the holder (a plain lock may be acquired in one process to be released in another) is right,
    /// though late.
    orphaned: bool,
}

impl Hold {
    /// A free lock.
    pub fn new(reentrant: bool) -> Self {
        Self { reentrant, held: None, orphaned: false }
    }

    pub fn held(&self) -> Option<Claim> {
        self.held
    }

    /// Releases one level; false if that caller may not.
    pub fn release(&mut self, owner: Owner) -> bool {
        match &mut self.held {
            Some(held) if !self.reentrant || held.owner == owner => {
                held.depth -= 1;
                if held.depth == 0 {
                    self.held = None;
                }
                true
            }
            Some(_) => false,
            None => mem::take(&mut self.orphaned),
        }
    }

    /// Releases all levels, as a condition does for those who wait: what is to be had back then.
    /// `None` if that caller may not. A plain lock counts as its caller's whoever holds it, as in
    /// Python.
    pub fn release_all(&mut self, owner: Owner) -> Option<Claim> {
        let held = self.held.filter(|held| !self.reentrant || held.owner == owner)?;
        self.held = None;
        Some(Claim { owner, depth: held.depth })
    }

    /// Whether a condition takes that caller for the holder.
    pub fn is_owned(&self, owner: Owner) -> bool {
        self.held.is_some_and(|held| !self.reentrant || held.owner == owner)
    }

    /// The connection has ended.
    pub fn owner_gone(&mut self, owner: Owner) {
        if self.held.take_if(|held| held.owner == owner).is_some() {
            self.orphaned = !self.reentrant;
        }
    }
}

impl Resource for Hold {
    type Claim = Claim;

    fn grant(&mut self, claim: Claim) -> bool {
        match &mut self.held {
            None => {
                self.held = Some(claim);
                self.orphaned = false;
                true
            }
            Some(held) if self.reentrant && held.owner == claim.owner => {
                held.depth += claim.depth;
                true
            }
            Some(_) => false,
        }
    }

    fn revoke(&mut self, claim: Claim) {
        // Only a free lock is granted to somebody who waits, so that this is all the claimant has;
        // unless another has released it for the claimant, and it is a third one's now.
        self.held.take_if(|held| held.owner == claim.owner);
    }
}

/// The permits of a semaphore.
#[derive(Debug)]
pub(super) struct Permits {
    /// How many there were at first.
    initial: u64,
    /// Whether there are never more than that.
    bounded: bool,
    /// How many are there to be had.
    left: u64,
    /// Who has how many of the first ones, who came first in front. Together that is `initial -
    /// left`, or nothing if more are left than there were at first: releases without an acquire,
    /// as of a semaphore that counts events, make permits that are nobody's.
    holders: Vec<(Owner, u64)>,
    /// How many came back by the ends of connections since the last was granted. Whoever then
    /// releases them for those connections is right, though late, and adds nothing.
    orphaned: u64,
}

impl Permits {
    pub fn new(initial: u64, bounded: bool) -> Self {
        Self { initial, bounded, left: initial, holders: Vec::new(), orphaned: 0 }
    }

    pub fn initial(&self) -> u64 {
        self.initial
    }

    /// Whether so many can be released and there are not more than at first.
    pub fn can_release(&self, permits: u64) -> bool {
        permits <= self.initial.saturating_sub(self.left).saturating_add(self.orphaned)
    }

    pub fn left(&self) -> u64 {
        self.left
    }

    /// Puts back permits: the caller's own, or else those of who has some for longest, for which
    /// the caller must be acting.
    pub fn release(&mut self, owner: Owner, permits: u64) {
        let missing = self.initial.saturating_sub(self.left);
        let returned = permits.min(missing);
        let late = (permits - returned).min(self.orphaned);
        self.orphaned -= late;
        self.left = self.left.saturating_add(permits - late);
        self.take_from_holders(owner, returned);
    }

    /// Books that so many permits are out no more, of those who are missing some.
    fn take_from_holders(&mut self, owner: Owner, mut returned: u64) {
        while returned > 0 {
            let own = self.holders.iter().position(|&(holder, _)| holder == owner);
            // Missing permits are somebody's, so that somebody is there.
            let Some((_, held)) = self.holders.get_mut(own.unwrap_or(0)) else { return };
            let part = returned.min(*held);
            *held -= part;
            returned -= part;
            if *held == 0 {
                self.holders.remove(own.unwrap_or(0));
            }
        }
    }

    /// The connection has ended: what it held is there again.
    pub fn owner_gone(&mut self, owner: Owner) {
        if let Some(at) = self.holders.iter().position(|&(holder, _)| holder == owner) {
            let (_, held) = self.holders.remove(at);
            self.left += held;
            self.orphaned += held;
        }
    }
}

impl Resource for Permits {
    type Claim = Owner;

    fn grant(&mut self, owner: Owner) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.orphaned = 0;
        if self.left < self.initial {
            match self.holders.iter_mut().find(|(holder, _)| *holder == owner) {
                Some((_, held)) => *held += 1,
                None => self.holders.push((owner, 1)),
            }
        }
        true
    }

    fn revoke(&mut self, owner: Owner) {
        // Another may have released it for the claimant, and a third one may have it now. In a bounded
        // semaphore the claimant had that release, and has nothing to give back; in one that counts
        // events it was an event more.
        if self.bounded && self.holders.iter().all(|&(holder, _)| holder != owner) {
            return;
        }
        let missing = self.initial.saturating_sub(self.left);
        self.left = self.left.saturating_add(1);
        self.take_from_holders(owner, missing.min(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Owner = 1;
    const BEN: Owner = 2;
    const CAT: Owner = 3;

    #[test]
    fn a_plain_lock_may_be_released_by_anybody() {
        let mut lock = Hold::new(false);
        assert!(!lock.release(ANN));
        assert!(lock.grant(Claim::once(ANN)));
        assert!(!lock.grant(Claim::once(ANN)));
        assert!(lock.release(BEN));
        assert_eq!(lock.held(), None);
    }

    #[test]
    fn a_plain_lock_that_was_handed_over_stays_locked_when_its_first_holder_goes() {
        let mut lock = Hold::new(false);
        lock.grant(Claim::once(ANN));
        lock.release(BEN);
        lock.grant(Claim::once(CAT));
        lock.owner_gone(ANN);
        assert!(lock.is_owned(CAT));
        lock.owner_gone(CAT);
        assert_eq!(lock.held(), None);
    }

    #[test]
    fn a_grant_that_was_never_seen_is_not_taken_from_who_has_the_lock_now() {
        let mut lock = Hold::new(false);
        lock.grant(Claim::once(ANN));
        lock.release(BEN);
        lock.grant(Claim::once(CAT));
        lock.revoke(Claim::once(ANN));
        assert!(lock.is_owned(CAT));
        lock.revoke(Claim::once(CAT));
        assert_eq!(lock.held(), None);
    }

    #[test]
    fn a_lock_may_still_be_released_for_a_holder_that_is_gone() {
        let mut lock = Hold::new(false);
        lock.grant(Claim::once(ANN));
        lock.owner_gone(ANN);
        assert!(lock.release(BEN));
        assert!(!lock.release(BEN));
        lock.grant(Claim::once(ANN));
        lock.owner_gone(ANN);
        lock.grant(Claim::once(CAT));
        assert!(lock.release(CAT));
        assert!(!lock.release(BEN), "who came next has settled it");
    }

    #[test]
    fn a_reentrant_lock_is_free_after_as_many_releases() {
        let mut lock = Hold::new(true);
        assert!(lock.grant(Claim::once(ANN)));
        assert!(lock.grant(Claim::once(ANN)));
        assert!(!lock.grant(Claim::once(BEN)));
        assert!(!lock.release(BEN));
        assert!(lock.release(ANN));
        assert!(lock.is_owned(ANN) && !lock.is_owned(BEN));
        assert!(lock.release(ANN));
        assert!(!lock.release(ANN));
    }

    #[test]
    fn all_levels_are_released_and_come_back_together() {
        let mut lock = Hold::new(true);
        lock.grant(Claim::once(ANN));
        lock.grant(Claim::once(ANN));
        assert_eq!(lock.release_all(BEN), None);
        let claim = lock.release_all(ANN).unwrap();
        assert_eq!(claim, Claim { owner: ANN, depth: 2 });
        assert!(lock.grant(claim));
        assert!(lock.release(ANN) && lock.release(ANN) && !lock.release(ANN));
    }

    fn out(permits: &Permits) -> u64 {
        permits.holders.iter().map(|&(_, held)| held).sum()
    }

    #[test]
    fn a_dead_holder_s_permits_are_there_again() {
        let mut permits = Permits::new(3, false);
        assert!(permits.grant(ANN) && permits.grant(ANN) && permits.grant(BEN));
        assert!(!permits.grant(CAT));
        permits.owner_gone(ANN);
        assert_eq!((permits.left(), out(&permits)), (2, 1));
        permits.owner_gone(ANN);
        assert_eq!(permits.left(), 2);
    }

    #[test]
    fn a_permit_released_by_another_is_given_back_once() {
        let mut permits = Permits::new(2, false);
        permits.grant(ANN);
        permits.release(BEN, 1);
        assert_eq!((permits.left(), out(&permits)), (2, 0));
        permits.owner_gone(ANN);
        assert_eq!(permits.left(), 2);
    }

    #[test]
    fn permits_of_the_dead_are_not_released_twice() {
        let mut permits = Permits::new(2, false);
        permits.grant(ANN);
        permits.owner_gone(ANN);
        assert!(permits.can_release(1) && !permits.can_release(2));
        permits.release(BEN, 1);
        assert_eq!(permits.left(), 2);
        assert!(!permits.can_release(1));
    }

    #[test]
    fn a_permit_that_was_never_seen_is_not_taken_from_who_has_it_now() {
        let mut permits = Permits::new(1, true);
        assert!(permits.grant(ANN));
        assert!(permits.can_release(1));
        permits.release(BEN, 1);
        assert!(permits.grant(CAT));
        permits.revoke(ANN);
        assert!(!permits.grant(BEN), "there is one, and it is out");
        assert!(permits.can_release(1), "by who has it");
        permits.release(CAT, 1);
        assert_eq!((permits.left(), out(&permits)), (1, 0));

        // Before anybody else had it, too.
        permits.grant(ANN);
        permits.release(BEN, 1);
        permits.revoke(ANN);
        assert_eq!((permits.left(), out(&permits)), (1, 0));
    }

    #[test]
    fn no_event_is_lost_that_somebody_was_given_and_never_saw() {
        let mut permits = Permits::new(1, false);
        permits.grant(BEN);
        for waiter in [ANN, CAT] {
            permits.release(BEN, 1);
            assert!(permits.grant(waiter));
        }
        permits.revoke(ANN);
        assert_eq!(permits.left(), 1);

        // Nor taken for one that a death gave back already.
        let mut permits = Permits::new(2, false);
        assert!(permits.grant(ANN) && permits.grant(CAT));
        permits.release(BEN, 1);
        permits.owner_gone(CAT);
        permits.revoke(ANN);
        assert_eq!((permits.left(), out(&permits)), (3, 0));
    }

    #[test]
    fn a_death_makes_no_permits_of_a_semaphore_that_counts_events() {
        let mut permits = Permits::new(0, false);
        assert!(!permits.grant(ANN));
        permits.release(BEN, 2);
        assert!(permits.grant(ANN) && permits.grant(ANN) && !permits.grant(ANN));
        permits.owner_gone(ANN);
        assert_eq!(permits.left(), 0);
    }

    #[test]
    fn permits_held_are_those_missing_whatever_happens() {
        let mut permits = Permits::new(3, false);
        let mut dice = 12345_u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % sides
        };
        for _ in 0..10_000 {
            let owner = roll(4);
            match roll(6) {
                0 | 1 => _ = permits.grant(owner),
                5 => {
                    if permits.grant(owner) {
                        permits.release(roll(4), roll(2));
                        permits.grant(roll(4));
                        permits.revoke(owner);
                    }
                }
                2 => permits.release(owner, 1),
                3 => permits.release(owner, 1 + roll(3)),
                _ => permits.owner_gone(owner),
            }
            assert_eq!(out(&permits), 3_u64.saturating_sub(permits.left()));
            assert!(permits.holders.iter().all(|&(_, held)| held > 0));
        }
    }
}
