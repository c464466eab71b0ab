//! The bundled site of `spinneret demo`: a small museum of silk, made when it is built, and a
//! server for it on loopback. A crawler can be shown and tested with it, with no network.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use spinneret_demo_site::{DemoSite, ServeOptions, serve};
//!
//! let site = DemoSite::build();
//! let truth = site.expected();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let server = serve(listener, site, ServeOptions::default()).await;
//! println!("{} images at {}", truth.images.len(), server.url("/"));
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! What a right crawler makes of the site is in [`Expected`], kept while the site is made: what
//! is good, what is broken and why, what `robots.txt` forbids. Where two views are possible, the
//! museum takes these:
//! - a body shorter than announced is a failure, whatever part of an image it holds;
//! - an image that is damaged where it is kept, and arrives as it is kept, is saved as it is;
//! - image bytes under a wrong media type are saved, a page under an image's type is a failure;
//! - what lands on disk is the image, without the content coding it travelled in;
//! - two addresses with the same bytes are two images found and saved;
//! - an address that redirects to an image counts, the address that it leads to does not, unless
//!   a page refers to that as well.

#![warn(missing_docs)]

mod art;
mod bomb;
mod museum;
mod server;
mod site;
mod synthetic;

pub use server::{Hit, ServeOptions, ServerHandle, TRAPS, serve};
pub use site::{DemoSite, Expected};
pub use synthetic::synthetic;
