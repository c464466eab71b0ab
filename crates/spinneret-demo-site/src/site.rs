//! What a site is made of: resources by address, and the truth about them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpSocket;

use crate::server::Trap;

/// Where a text holds the site's own origin (`http://HOST:PORT`): the server puts in what the
/// client asked for, so that one site can be served at any port.
pub(crate) const ORIGIN: &str = "{{origin}}";

/// A site, built in memory and never changed: cloning it is cheap.
#[derive(Clone, Debug)]
pub struct DemoSite {
    pub(crate) content: Arc<Content>,
}

/// What a right crawler makes of a site that is served with [`crate::ServeOptions`]' defaults.
///
/// Addresses are paths with their query, percent-encoded as a client sends them; only those of
/// other hosts are whole URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// HTML pages that can be reached from `/` and read; redirected ones by where they end.
    pub pages: BTreeSet<String>,
    /// Addresses that are saved, as the pages refer to them (so before a redirect), with the
    /// exact bytes that must land on disk.
    pub images: BTreeMap<String, Bytes>,
    /// Addresses that pages refer to and that cannot be had, and what is wrong with each.
    pub failures: BTreeMap<String, &'static str>,
    /// Addresses that pages refer to and that `robots.txt` forbids: none may be asked for.
    pub forbidden: BTreeSet<String>,
    /// Style sheets in which some images are found.
    pub stylesheets: BTreeSet<String>,
    /// Addresses that redirect, and to where; both of a page and of an image.
    pub redirects: BTreeMap<String, String>,
    /// Addresses that stand only in comments, or are no images: none may be saved, and none
    /// counts as a failure.
    pub ghosts: BTreeSet<String>,
}

#[derive(Debug)]
pub(crate) struct Content {
    pub resources: HashMap<String, Resource>,
    pub expected: Expected,
    /// Bound but never listening: while it is held, connections to its port are refused and
    /// nobody else can take the port.
    pub _refusing: Option<TcpSocket>,
}

/// What is served at one address.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub status: u16,
    pub content_type: Option<&'static str>,
    /// Further headers, as they are sent.
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    /// The content coding that a client gets if it accepts it.
    pub coding: Coding,
    /// Whether the body travels in chunks, without a `Content-Length`.
    pub chunked: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Bytes(Bytes),
    /// UTF-8 text in which [`ORIGIN`] is replaced.
    Text(String),
    Trap(Trap),
}

/// How a body is compressed for clients that say they can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

impl Resource {
    pub(crate) fn bytes(content_type: Option<&'static str>, bytes: impl Into<Bytes>) -> Self {
        Self::new(200, content_type, Body::Bytes(bytes.into()))
    }

    pub(crate) fn text(content_type: &'static str, text: impl Into<String>) -> Self {
        Self::new(200, Some(content_type), Body::Text(text.into()))
    }

    pub(crate) fn trap(trap: Trap) -> Self {
        Self::new(200, None, Body::Trap(trap))
    }

    pub(crate) fn redirect(status: u16, to: &str) -> Self {
        let text = Body::Text("This way, please.".to_owned());
        Self {
            headers: vec![("Location", to.to_owned())],
            ..Self::new(status, Some("text/plain"), text)
        }
    }

    fn new(status: u16, content_type: Option<&'static str>, body: Body) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body,
            coding: Coding::Identity,
            chunked: false,
        }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn with_coding(mut self, coding: Coding) -> Self {
        self.coding = coding;
        self
    }

    pub(crate) fn is_trap(&self) -> bool {
        matches!(self.body, Body::Trap(_))
    }

    pub(crate) fn in_chunks(mut self) -> Self {
        self.chunked = true;
        self
    }
}

impl DemoSite {
    /// What a right crawler makes of this site.
    pub fn expected(&self) -> Expected {
        self.content.expected.clone()
    }
}

/// Collects resources together with what is to be expected of each.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    resources: HashMap<String, Resource>,
    expected: Expected,
    refusing: Option<TcpSocket>,
}

impl Builder {
    /// A page that a crawler reaches.
    pub(crate) fn page(&mut self, path: &str, resource: Resource) {
        self.expected.pages.insert(path.to_owned());
        self.serve(path, resource);
    }

    /// An image that a crawler saves as it is.
    pub(crate) fn image(&mut self, path: &str, bytes: impl Into<Bytes>) {
        self.image_as(path, Resource::bytes(content_type_of(path), bytes));
    }

    /// An image that a crawler saves, served in a way of its own.
    pub(crate) fn image_as(&mut self, path: &str, resource: Resource) {
        if let Body::Bytes(bytes) = &resource.body {
            self.expected.images.insert(path.to_owned(), bytes.clone());
        }
        self.serve(path, resource);
    }

    /// An address that leads to a page or an image that is served already.
    pub(crate) fn redirect(&mut self, from: &str, status: u16, to: &str) {
        // Only what the pages refer to counts as an image found: the way there, not its end.
        if let Some(bytes) = self.expected.images.remove(to) {
            self.expected.images.insert(from.to_owned(), bytes);
        }
        self.expected.redirects.insert(from.to_owned(), to.to_owned());
        self.serve(from, Resource::redirect(status, to));
    }

    /// An address that cannot be had, and why.
    pub(crate) fn failure(&mut self, address: &str, reason: &'static str, resource: Resource) {
        self.serve(address, resource);
        self.fails(address, reason);
    }

    /// An address that nothing serves, or that a rule of the server answers.
    pub(crate) fn fails(&mut self, address: &str, reason: &'static str) {
        self.expected.failures.insert(address.to_owned(), reason);
    }

    /// A page or image that `robots.txt` forbids.
    pub(crate) fn forbidden(&mut self, path: &str, resource: Resource) {
        self.expected.forbidden.insert(path.to_owned());
        self.serve(path, resource);
    }

    pub(crate) fn stylesheet(&mut self, path: &str, css: &str) {
        self.expected.stylesheets.insert(path.to_owned());
        let resource = Resource::text("text/css; charset=utf-8", css).with_coding(Coding::Gzip);
        self.serve(path, resource);
    }

    /// An address that no crawler should save.
    pub(crate) fn ghost(&mut self, address: &str) {
        self.expected.ghosts.insert(address.to_owned());
    }

    /// Serves something of which nothing is expected.
    pub(crate) fn serve(&mut self, path: &str, resource: Resource) {
        let before = self.resources.insert(path.to_owned(), resource);
        debug_assert!(before.is_none(), "two resources at {path}");
    }

    /// A port of the loopback address at which every connection is refused, for as long as the
    /// site lives.
    pub(crate) fn refusing_port(&mut self) -> u16 {
        let bound = TcpSocket::new_v4().and_then(|socket| {
            socket.bind(([127, 0, 0, 1], 0).into())?;
            let port = socket.local_addr()?.port();
            Ok((socket, port))
        });
        // Out of sockets: port 1 (tcpmux) is as good as closed on any machine of today.
        bound.map_or(1, |(socket, port)| {
            self.refusing = Some(socket);
            port
        })
    }

    pub(crate) fn finish(self) -> DemoSite {
        let content = Content {
            resources: self.resources,
            expected: self.expected,
            _refusing: self.refusing,
        };
        DemoSite { content: Arc::new(content) }
    }
}

/// The media type that a name's ending stands for; none without an ending.
pub(crate) fn content_type_of(path: &str) -> Option<&'static str> {
    let name = path.split('?').next().unwrap_or(path);
    let ending = name.rsplit_once('.')?.1;
    Some(match ending {
        "png" | "apng" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        "ico" => "image/x-icon",
        "tif" | "tiff" => "image/tiff",
        "svg" => "image/svg+xml",
        "avif" => "image/avif",
        _ => return None,
    })
}
