//! An object of this program, whose methods a program of Python calls as if it were its own.
//!
//! ```sh
//! SPINNERET_AUTHKEY=qiye cargo run --example exposed [HOST:PORT]
//! ```
//!
//! Then, in any Python from 2.7 to 3.13:
//!
//! ```python
//! from multiprocessing.managers import BaseManager
//!
//! BaseManager.register('stock')
//! manager = BaseManager(('127.0.0.1', 5000), b'qiye')
//! manager.connect()
//! stock = manager.stock()
//! print(stock.deliver('apples', 7))            # 7
//! print(stock.take('apples', count=3))         # 4 are left
//! print(stock.all())                           # {'apples': 4}
//! stock.wait_for('pears')                      # until another program delivers some
//! stock.take('plums', 1)                       # KeyError: 'plums'
//! ```

use std::{collections::BTreeMap, env, sync::Mutex};

use spinneret::manager::{
    AuthKey, Manager,
    pickle::{Exception, ExceptionKind},
};
use tokio::sync::Notify;

/// What there is how much of.
#[derive(Default)]
struct Stock {
    goods: Mutex<BTreeMap<String, u64>>,
    delivered: Notify,
}

/// Why something cannot be taken.
enum Lacking {
    /// There never was any.
    Unknown(String),
    /// There is not enough.
    Only(u64),
}

/// What Python is to raise for it.
impl From<Lacking> for Exception {
    fn from(lacking: Lacking) -> Self {
        match lacking {
            Lacking::Unknown(what) => Self::with_message(ExceptionKind::KeyError, what),
            Lacking::Only(count) => {
                Self::with_message(ExceptionKind::ValueError, format!("only {count} left"))
            }
        }
    }
}

#[spinneret::exposed]
impl Stock {
    fn deliver(&self, what: String, count: u64) -> u64 {
        let mut goods = self.goods.lock().expect("no method panics");
        let now = goods.entry(what).or_default();
        *now += count;
        self.delivered.notify_waiters();
        *now
    }

    /// In Python, `count` may be left out.
    fn take(&self, what: String, count: Option<u64>) -> Result<u64, Lacking> {
        let mut goods = self.goods.lock().expect("no method panics");
        let now = goods.get_mut(&what).ok_or(Lacking::Unknown(what))?;
        *now = now.checked_sub(count.unwrap_or(1)).ok_or(Lacking::Only(*now))?;
        Ok(*now)
    }

    fn all(&self) -> BTreeMap<String, u64> {
        self.goods.lock().expect("no method panics").clone()
    }

    /// Waits without a thread, for any number of callers.
    async fn wait_for(&self, what: String) {
        loop {
            let delivered = self.delivered.notified();
            if self.goods.lock().expect("no method panics").get(&what).is_some_and(|now| *now > 0) {
                return;
            }
            delivered.await;
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let manager = Manager::builder()
        .listen(address)
        .authkey(AuthKey::from_env().map_err(|error| error.to_string())?)
        .register_object("stock", Stock::default())
        .start()?;
    println!("listening on {}", manager.local_addr());
    manager.wait_shutdown();
    manager.shutdown();
    Ok(())
}
