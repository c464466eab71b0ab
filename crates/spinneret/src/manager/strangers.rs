//! Connections that have not yet proven that they have the key: how many there may be, and who
//! has to go when there are too many.
//!
//! They cost memory and descriptors, and anybody can open them. When a new one comes and there is
//! no room, the oldest of the address with the most of them is closed: so nobody who is silent
//! keeps others out, and one host that opens thousands only displaces its own.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// See the module.
#[derive(Debug)]
pub(crate) struct Strangers {
    most: usize,
    room: Mutex<Room>,
}

#[derive(Debug, Default)]
struct Room {
    /// The tasks of all; none for the moment before it is there.
    waiting: HashMap<u64, (IpAddr, Option<AbortHandle>)>,
    /// Their numbers by origin, in the order in which they came; no set is empty.
    origins: HashMap<IpAddr, BTreeSet<u64>>,
    last: u64,
}

impl Strangers {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), room: Mutex::default() })
    }

    /// Takes in a connection, closing another if there is no room.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Stranger {
        let mut room = self.room.lock();
        while room.waiting.len() >= self.most {
            if !room.evict() {
                break;
            }
        }
        Stranger { all: Arc::clone(self), id: room.enter(origin(address)) }
    }

    /// Says which task serves a connection, so that it can be closed.
    pub fn serve(&self, id: u64, task: AbortHandle) {
        if let Some((_, waiting)) = self.room.lock().waiting.get_mut(&id) {
            *waiting = Some(task);
        }
    }

    /// Closes one, for the sake of what it holds; false if there is none.
    pub fn evict(&self) -> bool {
        self.room.lock().evict()
    }
}

impl Room {
    fn enter(&mut self, origin: IpAddr) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, (origin, None));
        self.origins.entry(origin).or_default().insert(self.last);
        self.last
    }

    /// False if it was not there any more.
    fn leave(&mut self, id: u64) -> bool {
        let Some((origin, _)) = self.waiting.remove(&id) else {
            return false;
        };
        if let Some(ids) = self.origins.get_mut(&origin) {
            ids.remove(&id);
            if ids.is_empty() {
                self.origins.remove(&origin);
            }
        }
        true
    }

    fn evict(&mut self) -> bool {
        let most = self.origins.iter().max_by_key(|(_, ids)| ids.len());
        let Some((origin, Some(&oldest))) = most.map(|(origin, ids)| (origin, ids.first())) else {
            return false;
        };
        tracing::debug!(%origin, "closed a connection in the handshake for another");
        if let Some((_, Some(task))) = self.waiting.get(&oldest) {
            task.abort();
        }
        self.leave(oldest)
    }
}

/// A connection's place among the strangers, given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    all: Arc<Strangers>,
    id: u64,
}

impl Stranger {
    pub fn id(&self) -> u64 {
        self.id
    }

    /// It has proven that it has the key. False if it has just been closed for another.
    pub fn make_known(self) -> bool {
        self.all.room.lock().leave(self.id)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.all.room.lock().leave(self.id);
    }
}

/// Whom an address belongs to, as far as it shows: networks of IPv6 are given out as 64 bits.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1));
    const SAME: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 2));
    const OTHER: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1));

    #[test]
    fn the_oldest_of_the_origin_with_the_most_has_to_go() {
        let strangers = Strangers::new(3);
        let other = strangers.admit(OTHER);
        let one = strangers.admit(ONE);
        let same = strangers.admit(SAME);
        let latest = strangers.admit(ONE);
        assert!(!one.make_known(), "the others of its network came later");
        assert!(other.make_known(), "the oldest, but of a network of its own");
        assert!(same.make_known());
        assert!(latest.make_known());
    }

    #[test]
    fn who_leaves_makes_room() {
        let strangers = Strangers::new(1);
        drop(strangers.admit(ONE));
        let known = strangers.admit(ONE);
        assert!(known.make_known());
        let last = strangers.admit(ONE);
        assert!(last.make_known());
        assert!(!strangers.evict());
    }

    #[tokio::test]
    async fn the_task_of_one_that_has_to_go_is_ended() {
        let strangers = Strangers::new(1);
        let stranger = strangers.admit(ONE);
        let id = stranger.id();
        let task = tokio::spawn(async move {
            let _stranger = stranger;
            std::future::pending::<()>().await;
        });
        strangers.serve(id, task.abort_handle());
        let _next = strangers.admit(ONE);
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
