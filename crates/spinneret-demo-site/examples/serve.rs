//! Serves the museum to a browser: `cargo run --example serve [PORT]`, until Ctrl-C.

use spinneret_demo_site::{DemoSite, ServeOptions, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = match std::env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| format!("{port} is no port: give 0 to 65535"))?,
        None => 8080,
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let server = serve(listener, DemoSite::build(), ServeOptions::default()).await;
    println!("The Silk Museum is open at {}", server.url("/"));
    tokio::signal::ctrl_c().await?;
    println!("\n{} requests were answered.", server.requests().len());
    server.shutdown().await;
    Ok(())
}
