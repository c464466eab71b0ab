//! spinneret's coroutines on one hub: ordinary blocking code.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use bench_coroutines::{
    BATCH, CLIENTS, DOWNLOADERS, FILE, MESSAGE, Order, Outcome, YIELDERS, agent, end_with_input,
    listening, memory, plain_calls, report, requests, timed,
};
use spinneret_green::{Config, configure, join_all, patch_all, sleep, spawn, yield_now};

fn main() -> Outcome {
    let order = Order::read()?;
    configure(Config { hubs: 1, ..Config::default() })?;
    match order.work.as_str() {
        "spawn" => spawning(order.count),
        "yield" => yielding(order.count),
        "sleeping" => sleeping(order.count)?,
        "echo" => echo()?,
        "download" => download(&order.address, order.count)?,
        "http" => http(&order.address, order.count)?,
        "calls" => plain_calls(order.count)?,
        "patched-calls" => {
            patch_all();
            // So that there are hubs, too.
            within(|| {});
            plain_calls(order.count)?;
        }
        _ => order.unknown()?,
    }
    Ok(())
}

fn within(work: impl FnOnce() + Send + 'static) {
    spawn(work).join().expect("it does not panic");
}

fn spawning(count: usize) {
    let time = timed(count, |count| {
        within(move || {
            for _ in 0..count / BATCH {
                let coroutines: Vec<_> = (0..BATCH).map(|_| spawn(|| {})).collect();
                for coroutine in coroutines {
                    coroutine.join().expect("it does not panic");
                }
            }
        });
    });
    report(count, time, None);
}

fn yielding(count: usize) {
    let time = timed(count, |count| {
        within(move || {
            let one = move || {
                for _ in 0..count / YIELDERS {
                    yield_now();
                }
            };
            join_all((0..YIELDERS).map(|_| spawn(one)));
        });
    });
    report(count, time, None);
}

fn sleeping(count: usize) -> Outcome {
    static ASLEEP: AtomicUsize = AtomicUsize::new(0);
    within(|| {});
    let before = memory("VmRSS")?;
    let start = Instant::now();
    within(move || {
        for _ in 0..count {
            spawn(|| {
                ASLEEP.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_hours(1));
            });
        }
        while ASLEEP.load(Ordering::Relaxed) < count {
            yield_now();
        }
    });
    let time = start.elapsed();
    report(count, time, Some((memory("VmRSS")? - before) / count as f64));
    // Without waiting for the coroutines' end.
    std::process::exit(0);
}

fn echo() -> Outcome {
    patch_all();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listening(listener.local_addr()?);
    end_with_input();
    within(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.set_nodelay(true);
            spawn(move || {
                let mut message = [0; MESSAGE];
                while stream.read_exact(&mut message).is_ok() {
                    if stream.write_all(&message).is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(())
}

/// Some coroutines share so many files.
fn download(address: &str, count: usize) -> Outcome {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    patch_all();
    let start = Instant::now();
    join_all((0..DOWNLOADERS).map(|_| {
        let address = address.to_owned();
        spawn(move || {
            let agent = agent();
            while NEXT.fetch_add(1, Ordering::Relaxed) < count {
                let mut response = agent.get(&address).call().expect("the server answers");
                let body = response.body_mut().read_to_vec().expect("it is whole");
                assert_eq!(body.len(), FILE);
            }
        })
    }))
    .into_iter()
    .collect::<Result<Vec<()>, _>>()?;
    report(count, start.elapsed(), None);
    Ok(())
}

fn http(address: &str, each: usize) -> Outcome {
    patch_all();
    let first = address.to_owned();
    within(move || requests(&first, 1));
    let before = memory("VmRSS")?;
    let start = Instant::now();
    join_all((0..CLIENTS).map(|_| {
        let address = address.to_owned();
        spawn(move || requests(&address, each))
    }))
    .into_iter()
    .collect::<Result<Vec<()>, _>>()?;
    let time = start.elapsed();
    report(CLIENTS * each, time, Some((memory("VmHWM")? - before) / CLIENTS as f64));
    Ok(())
}
