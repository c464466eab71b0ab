//! Three addresses fetched by a pool of two coroutines: the third visit begins when one of the others
//! has ended. Nobody listens at the last address.

mod site;

use std::error::Error;

use spinneret::{CoroutinePool, Outcome, Pool, coroutine};

/// Ordinary blocking code, which could run on any pool.
#[spinneret::task]
fn visit(url: String) -> String {
    println!("Visit --> {url}");
    let page = ureq::get(&url).call().and_then(|mut page| page.body_mut().read_to_vec());
    match page {
        Ok(page) => println!("{} bytes received from {url}.", page.len()),
        Err(error) => println!("{url}: {error}"),
    }
    format!("url:{url} --->finish")
}

fn main() -> Result<(), Box<dyn Error>> {
    coroutine::patch_all();
    let site = site::serve()?;
    let urls =
        [format!("http://{site}/a"), format!("http://{site}/bcd"), "http://127.0.0.1:1/".into()];
    let results = CoroutinePool::new(2)?.map(visit, urls)?.into_iter();
    println!("{:?}", results.collect::<Outcome<Vec<_>>>()?);
    Ok(())
}
