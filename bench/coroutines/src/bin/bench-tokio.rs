//! tokio's tasks on one thread; and threads, which it does not need, beside them.

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use bench_coroutines::{
    BATCH, CLIENTS, DOWNLOADERS, FILE, MESSAGE, Order, Outcome, YIELDERS, end_with_input,
    listening, memory, plain_calls, report, requests, timed,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::Semaphore,
    task::yield_now,
    time::sleep,
};

fn main() -> Outcome {
    let order = Order::read()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match order.work.as_str() {
        "spawn" => spawn(&runtime, order.count),
        "yield" => yielding(&runtime, order.count),
        "sleeping" => sleeping(&runtime, order.count)?,
        "echo" => runtime.block_on(echo())?,
        "download" => runtime.block_on(download(order.address, order.count))?,
        "http" => runtime.block_on(http(order.address, order.count))?,
        "threads-http" => threads_http(&order.address, order.count)?,
        "calls" => plain_calls(order.count)?,
        _ => order.unknown()?,
    }
    Ok(())
}

/// Inside a task, as the others do it inside a coroutine.
fn within<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    runtime.block_on(async { tokio::spawn(work).await.expect("it does not panic") })
}

fn spawn(runtime: &Runtime, count: usize) {
    let time = timed(count, |count| {
        within(runtime, async move {
            for _ in 0..count / BATCH {
                let tasks: Vec<_> = (0..BATCH).map(|_| tokio::spawn(async {})).collect();
                for task in tasks {
                    task.await.expect("it does not panic");
                }
            }
        });
    });
    report(count, time, None);
}

fn yielding(runtime: &Runtime, count: usize) {
    let time = timed(count, |count| {
        within(runtime, async move {
            let one = move || async move {
                for _ in 0..count / YIELDERS {
                    yield_now().await;
                }
            };
            let tasks: Vec<_> = (0..YIELDERS).map(|_| tokio::spawn(one())).collect();
            for task in tasks {
                task.await.expect("it does not panic");
            }
        });
    });
    report(count, time, None);
}

fn sleeping(runtime: &Runtime, count: usize) -> Outcome {
    static ASLEEP: Semaphore = Semaphore::const_new(0);
    let before = memory("VmRSS")?;
    let start = Instant::now();
    runtime.block_on(async {
        for _ in 0..count {
            tokio::spawn(async {
                ASLEEP.add_permits(1);
                sleep(std::time::Duration::from_hours(1)).await;
            });
        }
        let _all = ASLEEP.acquire_many(u32::try_from(count)?).await?;
        Outcome::Ok(())
    })?;
    let time = start.elapsed();
    report(count, time, Some((memory("VmRSS")? - before) / count as f64));
    // Without waiting for the tasks' end.
    std::process::exit(0);
}

async fn echo() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    listening(listener.local_addr()?);
    end_with_input();
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut message = [0; MESSAGE];
            while stream.read_exact(&mut message).await.is_ok() {
                if stream.write_all(&message).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// Some tasks share so many files and, as the crawler's do, a client.
async fn download(address: String, count: usize) -> Outcome {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let client = reqwest::Client::new();
    let start = Instant::now();
    let tasks: Vec<_> = (0..DOWNLOADERS)
        .map(|_| {
            let (client, address) = (client.clone(), address.clone());
            tokio::spawn(async move {
                while NEXT.fetch_add(1, Ordering::Relaxed) < count {
                    let response = client.get(&address).send().await.expect("the server answers");
                    let body = response.bytes().await.expect("it is whole");
                    assert_eq!(body.len(), FILE);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    report(count, start.elapsed(), None);
    Ok(())
}

/// By reqwest, with a client for each as the others have.
async fn http(address: String, each: usize) -> Outcome {
    async fn requests(address: String, each: usize) {
        let client = reqwest::Client::new();
        for _ in 0..each {
            let response = client.get(&address).send().await.expect("the server answers");
            let body = response.text().await.expect("a text");
            assert_eq!(body.len(), MESSAGE);
        }
    }

    tokio::spawn(requests(address.clone(), 1)).await?;
    let before = memory("VmRSS")?;
    let start = Instant::now();
    let tasks: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(requests(address.clone(), each))).collect();
    for task in tasks {
        task.await?;
    }
    let time = start.elapsed();
    report(CLIENTS * each, time, Some((memory("VmHWM")? - before) / CLIENTS as f64));
    Ok(())
}

fn threads_http(address: &str, each: usize) -> Outcome {
    requests(address, 1);
    let before = memory("VmRSS")?;
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| requests(address, each));
        }
    });
    let time = start.elapsed();
    report(CLIENTS * each, time, Some((memory("VmHWM")? - before) / CLIENTS as f64));
    Ok(())
}
