//! A manager to try things with.

use std::path::Path;

use spinneret::manager::{AuthKey, Client};

use super::{Ended, Nest, Run};

/// A manager on a free port, and what its clients need.
pub struct Office {
    pub nest: Nest,
    pub manager: Run,
    pub address: String,
    /// The file with its key.
    pub key: String,
}

impl Office {
    /// With these queues.
    pub fn open(register: &[&str]) -> Self {
        Self::open_with(register, &[])
    }

    /// With these queues and more arguments.
    pub fn open_with(register: &[&str], more: &[&str]) -> Self {
        let nest = Nest::new();
        let key = nest.write("key", "a key that only friends have\n");
        let mut args = vec!["manager", "--listen", "127.0.0.1:0", "--authkey-file", &key];
        for queue in register {
            args.extend(["--register", queue]);
        }
        args.extend(more);
        let mut manager = nest.start(&args);
        let address = manager.wait_for_stdout("listening on ");
        Self { nest, manager, address, key }
    }

    /// A connection to it.
    pub fn client(&self) -> Client {
        let key = AuthKey::from_file(Path::new(&self.key)).unwrap();
        Client::connect(&self.address, &key).unwrap()
    }

    /// The arguments of `spinneret queue` with one of its queues.
    pub fn queue_args<'a>(&'a self, name: &'a str, action: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec!["queue", "--authkey-file", &self.key, &self.address, name];
        args.extend(action);
        args
    }

    /// Runs `spinneret queue` with one of its queues.
    pub fn queue(&self, name: &str, action: &[&str]) -> Ended {
        self.nest.run(&self.queue_args(name, action))
    }

    /// Everything that waits in a queue.
    pub fn get_all(&self, name: &str) -> Vec<String> {
        let ended = self.queue(name, &["get", "--max", "100"]).expect(0);
        ended.stdout.lines().map(str::to_owned).collect()
    }
}
