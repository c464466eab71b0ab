//! Thousands of connections that say nothing.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spinneret::manager::{Client, ManagerError, QueueOptions};

use super::{LONG, builder, client, key, raw::Raw};

const MANY: usize = 10_000;

/// Descriptors for that many connections with both their ends; fewer if the system has not so many.
fn room_for(connections: usize) -> usize {
    let others = 200;
    let wanted = 2 * connections + others;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(wanted, |most| usize::try_from(most).unwrap());
    let now = wanted.min(most);
    let raised = Rlimit { current: Some(now as u64), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
    if now < wanted {
        println!("{most} descriptors at most: fewer connections than {connections}");
    }
    (now - others) / 2
}

#[test]
fn ten_thousand_silent_connections_are_closed_in_time_and_service_goes_on() {
    let many = room_for(MANY);
    let handshake = Duration::from_secs(2);
    let manager =
        builder().handshake_timeout(handshake).register("q", QueueOptions::new()).start().unwrap();
    let address = manager.local_addr();
    let served = client(&manager).queue::<usize>("q");
    let flood = thread::spawn(move || {
        (0..many)
            .map(|_| {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(LONG)).unwrap();
                Raw(stream)
            })
            .collect::<Vec<_>>()
    });
    // Those who are known are served all the while, and others become known.
    let (mut rounds, mut known) = (0, 0);
    while !flood.is_finished() || known == 0 {
        served.put(rounds).unwrap();
        assert_eq!(served.get().unwrap(), rounds);
        rounds += 1;
        match Client::connect(address, &key()) {
            Ok(client) => {
                client.ping().unwrap();
                known += 1;
            }
            // Displaced by one that came later, of the same address.
            Err(ManagerError::Disconnected { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
    let mut strangers = flood.join().unwrap();
    println!("{many} strangers, {rounds} rounds of service meanwhile, {known} new clients");
    let start = Instant::now();
    for stranger in &mut strangers {
        assert!(stranger.is_closed());
    }
    assert!(start.elapsed() < handshake + LONG);
    served.put(7).unwrap();
    assert_eq!(client(&manager).queue::<usize>("q").get().unwrap(), 7);
}
