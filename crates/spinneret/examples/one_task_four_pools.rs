//! One function on threads, processes, coroutines and machines: only the pool is another.

mod site;

use std::error::Error;

use spinneret::manager::{self, AuthKey, Manager};
use spinneret::{ClusterPool, CoroutinePool, Pool, ProcessPool, ThreadPool, coroutine};

/// How long the page is; ordinary blocking code.
#[spinneret::task]
fn visit(url: String) -> Result<usize, String> {
    let page = ureq::get(&url).call().and_then(|mut page| page.body_mut().read_to_vec());
    page.map(|page| page.len()).map_err(|error| error.to_string())
}

/// Runs on whatever pool it is given.
fn lengths(pool: &impl Pool, urls: &[String]) -> Result<Vec<usize>, Box<dyn Error>> {
    pool.imap(visit, urls.to_vec()).map(|outcome| Ok(outcome??)).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    coroutine::patch_all();
    let site = site::serve()?;
    let urls = ["a", "bcd", "ef"].map(|page| format!("http://{site}/{page}"));
    println!("threads: {:?}", lengths(&ThreadPool::new(2)?, &urls)?);
    println!("processes: {:?}", lengths(&ProcessPool::new(2)?, &urls)?);
    println!("coroutines: {:?}", lengths(&CoroutinePool::new(2)?, &urls)?);

    // Manager and worker would be programs on other machines.
    let key = AuthKey::new("qiye");
    let manager = Manager::builder().listen("127.0.0.1:0").authkey(key.clone()).start()?;
    let address = manager.local_addr();
    let _worker = manager::worker(address).authkey(key.clone()).concurrency(2).start()?;
    println!("machines: {:?}", lengths(&ClusterPool::connect(address, &key)?, &urls)?);
    Ok(())
}
