//! What can be had by some callers at a time and is waited for by the others: the works of locks
//! and semaphores.

use parking_lot::Mutex;

use super::{
    line::{Line, Lined, Place},
    patience::Patience,
};
use crate::manager::error::ManagerError;

/// Something that is granted to callers, as a pure state machine: nothing here waits.
pub(super) trait Resource {
    /// Who asks, and for how much.
    type Claim: Copy;

    /// Grants the claim, if that is possible now.
    fn grant(&mut self, claim: Self::Claim) -> bool;

    /// Takes back a grant that its claimant never saw.
    fn revoke(&mut self, claim: Self::Claim);
}

/// A resource and those who wait for it.
struct State<R: Resource> {
    resource: R,
    line: Line<R::Claim, ()>,
}

impl<R: Resource> State<R> {
    /// Serves those in front, as far as it goes.
    fn serve(&mut self) {
        while let Some(claim) = self.line.first()
            && self.resource.grant(claim)
        {
            self.line.give(());
        }
    }
}

impl<R: Resource> Lined for State<R> {
    type Claim = R::Claim;
    type Gift = ();

    fn line(&mut self) -> &mut Line<R::Claim, ()> {
        &mut self.line
    }

    fn gone(&mut self, claim: R::Claim, gift: Option<()>) {
        if gift.is_some() {
            self.resource.revoke(claim);
        }
        // Those behind may ask for what the one in front could not have.
        self.serve();
    }
}

/// See the module.
pub(super) struct Gate<R: Resource> {
    state: Mutex<State<R>>,
}

impl<R: Resource> Gate<R> {
    pub fn new(resource: R) -> Self {
        Self { state: Mutex::new(State { resource, line: Line::new() }) }
    }

    /// Gets what is claimed, in turn; false if it did not come in time.
    pub async fn acquire(&self, claim: R::Claim, patience: Patience) -> Result<bool, ManagerError> {
        let (place, until) = {
            let mut state = self.state.lock();
            // Who waits already comes first: a grant goes to the line as soon as it is possible, so
            // that what can be granted here now is wanted by nobody in it.
            if state.resource.grant(claim) {
                return Ok(true);
            }
            match patience {
                Patience::None => return Ok(false),
                Patience::Until(until) => (Place::join(&self.state, &mut state, claim), until),
            }
        };
        Ok(place.wait(until).await?.is_some())
    }

    /// Changes the resource, then serves whoever can be served now.
    pub fn change<T>(&self, change: impl FnOnce(&mut R) -> T) -> T {
        let mut state = self.state.lock();
        let changed = change(&mut state.resource);
        state.serve();
        changed
    }

    /// Gets what is claimed if it can be had at once.
    pub fn try_acquire(&self, claim: R::Claim) -> bool {
        self.state.lock().resource.grant(claim)
    }

    pub fn look<T>(&self, look: impl FnOnce(&R) -> T) -> T {
        look(&self.state.lock().resource)
    }
}
