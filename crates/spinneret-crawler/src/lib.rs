//! A polite, resumable, distributed image crawler.
//!
//! An image's way leads through these rooms: [`frontier`] (what is still to be fetched, at which
//! pace) → [`fetch`] (one bounded HTTP request) → [`extract`] (the links of a page) → [`store`]
//! (the file on disk) → [`report`] (the lists and the summary). [`crawl`] runs the whole of it on
//! one machine, [`worker`] is what joins it from anywhere, [`job`] is what the two say to each
//! other through a [manager](spinneret::manager).

pub mod address;
pub mod charset;
pub mod crawl;
pub mod extract;
pub mod fetch;
pub mod frontier;
pub mod image;
pub mod job;
pub mod report;
pub mod robots;
pub mod store;
pub mod worker;
