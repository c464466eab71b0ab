//! Connections that do nothing, of which a manager is to have many.

use std::{
    io::{self, Read as _, Write as _},
    time::Duration,
};

use spinneret::manager::{AuthKey, Client};

use crate::{KEY, Outcome};

/// Opens connections, uses each once, says so, and holds them until the standard input ends.
pub fn hold(address: &str, count: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clients = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..count {
            let client = Client::connect_async(address, &AuthKey::new(KEY)).await?;
            client.ping_async().await?;
            clients.push(client);
        }
        Outcome::Ok(clients)
    })?;
    println!("{{\"count\": {}}}", clients.len());
    io::stdout().flush()?;
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        // Nothing else is to be done, and ten thousand farewells would take their time.
        std::process::exit(0);
    });
    runtime.block_on(async {
        loop {
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
    })
}
