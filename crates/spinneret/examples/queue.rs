//! Two writers and a reader: three processes with one queue between them.

use std::process::id;

use spinneret::process::{Process, Queue};

#[spinneret::task]
fn write(queue: Queue<String>, urls: Vec<String>) {
    println!("Process({}) is writing...", id());
    for url in urls {
        // Before it is put: the reader may be faster than the next line.
        println!("Put {url} to queue...");
        queue.put(url).expect("nobody closes the queue");
    }
}

/// Reads until it is terminated.
#[spinneret::task]
fn read(queue: Queue<String>) {
    println!("Process({}) is reading...", id());
    while let Ok(url) = queue.get() {
        println!("Get {url} from queue.");
        queue.task_done().expect("as often as got");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queue = Queue::new(0)?;
    let urls = |numbers: [u32; 3]| numbers.map(|number| format!("url_{number}")).to_vec();
    let writers = [
        Process::new(write, (queue.clone(), urls([1, 2, 3])))?,
        Process::new(write, (queue.clone(), urls([4, 5, 6])))?,
    ];
    let reader = Process::new(read, queue.clone())?;
    for process in writers.iter().chain([&reader]) {
        process.start()?;
    }
    for writer in &writers {
        writer.join()?;
    }
    // Returns when every item was got and its work done.
    queue.join();
    reader.terminate()?;
    reader.join()?;
    Ok(())
}
