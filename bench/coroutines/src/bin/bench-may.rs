//! may's coroutines on one thread.

use std::io::{Read as _, Write as _};

use bench_coroutines::{
    BATCH, MESSAGE, Order, Outcome, YIELDERS, end_with_input, listening, report, timed,
};
use may::{
    coroutine::{JoinHandle, yield_now},
    go,
    net::TcpListener,
};

fn main() -> Outcome {
    let order = Order::read()?;
    may::config().set_workers(1);
    match order.work.as_str() {
        "spawn" => spawn(order.count),
        "yield" => yielding(order.count),
        "echo" => echo()?,
        _ => order.unknown()?,
    }
    Ok(())
}

fn within(work: impl FnOnce() + Send + 'static) {
    go!(work).join().expect("it does not panic");
}

fn join(coroutines: Vec<JoinHandle<()>>) {
    for coroutine in coroutines {
        coroutine.join().expect("it does not panic");
    }
}

fn spawn(count: usize) {
    let time = timed(count, |count| {
        within(move || {
            for _ in 0..count / BATCH {
                join((0..BATCH).map(|_| go!(|| {})).collect());
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
            join((0..YIELDERS).map(|_| go!(one)).collect());
        });
    });
    report(count, time, None);
}

fn echo() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listening(listener.local_addr()?);
    end_with_input();
    go!(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.set_nodelay(true);
            go!(move || {
                let mut message = [0; MESSAGE];
                while stream.read_exact(&mut message).is_ok() {
                    if stream.write_all(&message).is_err() {
                        break;
                    }
                }
            });
        }
    })
    .join()
    .map_err(|_| "the server panicked".into())
}
