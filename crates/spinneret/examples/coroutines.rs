//! Three addresses fetched at the same time by ordinary blocking code, each in a coroutine of one
//! thread: what gevent does for Python. Nobody listens at the last address.

mod site;

use std::error::Error;

use spinneret::coroutine;

/// An HTTP client that knows nothing of coroutines.
fn visit(url: &str) -> Result<usize, ureq::Error> {
    println!("Visit --> {url}");
    let page = ureq::get(url).call()?.body_mut().read_to_vec()?;
    Ok(page.len())
}

fn main() -> Result<(), Box<dyn Error>> {
    coroutine::configure(coroutine::Config::new().hubs(1))?;
    coroutine::patch_all();
    let site = site::serve()?;
    let urls =
        [format!("http://{site}/a"), format!("http://{site}/bcd"), "http://127.0.0.1:1/".into()];
    let visits = urls.clone().map(|url| coroutine::spawn(move || visit(&url)));
    for (url, result) in urls.iter().zip(coroutine::join_all(visits)) {
        match result? {
            Ok(count) => println!("{count} bytes received from {url}."),
            Err(error) => println!("{url}: {error}"),
        }
    }
    Ok(())
}
