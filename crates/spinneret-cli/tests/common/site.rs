//! The demo site, served from within the test.

use std::collections::BTreeMap;

use bytes::Bytes;
use spinneret_demo_site::{DemoSite, Expected, ServeOptions, ServerHandle, serve};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// A site on a free loopback port, served by a thread of its own until it is dropped.
pub struct Site {
    pub server: ServerHandle,
    pub expected: Expected,
    _runtime: Runtime,
}

impl Site {
    pub fn open(site: DemoSite, options: ServeOptions) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let expected = site.expected();
        let server = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            serve(listener, site, options).await
        });
        Self { server, expected, _runtime: runtime }
    }

    /// The museum.
    pub fn museum() -> Self {
        Self::open(DemoSite::build(), ServeOptions::default())
    }

    /// A plain site whose every answer takes this long.
    pub fn synthetic(pages: usize, images_per_page: usize, latency_ms: u64) -> Self {
        let latency = std::time::Duration::from_millis(latency_ms);
        let options = ServeOptions { latency, ..ServeOptions::default() };
        Self::open(spinneret_demo_site::synthetic(pages, images_per_page, 7), options)
    }

    /// The whole address of a path; whole addresses stay as they are.
    pub fn url(&self, path: &str) -> String {
        if path.contains("://") { path.to_owned() } else { self.server.url(path) }
    }

    /// The images a right crawler saves, by whole address.
    pub fn images(&self) -> BTreeMap<String, Bytes> {
        let images = &self.expected.images;
        images.iter().map(|(path, bytes)| (self.url(path), bytes.clone())).collect()
    }

    /// How often a path was asked for.
    pub fn hits(&self, path: &str) -> u64 {
        self.server.hits().get(path).copied().unwrap_or(0)
    }

    /// How many requests there were for images of a synthetic site.
    pub fn image_hits(&self) -> u64 {
        let hits = self.server.hits();
        hits.iter().filter(|(path, _)| path.starts_with("/image/")).map(|(_, count)| count).sum()
    }
}
