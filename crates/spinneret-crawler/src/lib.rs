//! The crawler: frontier, fetch, extract, store, report.
