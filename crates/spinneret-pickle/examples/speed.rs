//! How long it takes to read and write pickles:
//! `cargo run --release -p spinneret-pickle --example speed`.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spinneret_pickle::{Dialect, Limits, Value, from_bytes, to_bytes, to_writer};

#[derive(Serialize, Deserialize)]
struct Image {
    url: String,
    depth: u32,
    size: Option<(u16, u16)>,
}

/// Prints how long one call takes: the best of many short rounds, which nothing else interrupted.
fn measure<T>(what: &str, mut call: impl FnMut() -> T) {
    let (mut best, end) = (f64::MAX, Instant::now() + Duration::from_millis(500));
    let mut calls = 1;
    while Instant::now() < end {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        let round = start.elapsed();
        best = best.min(round.as_secs_f64() / f64::from(calls));
        if round < Duration::from_micros(20) {
            calls *= 2;
        }
    }
    println!("{what:<64} {:>12.1?}", Duration::from_secs_f64(best));
}

fn main() {
    let limits = Limits::default();
    let request = Bytes::from_static(
        b"\x80\x04\x95\x2a\0\0\0\0\0\0\0(\x8c\x0c7f29387a9d30\x94\x8c\x03put\x94\
          \x8c\x0aImageUrl_0\x94\x85\x94}\x94t\x94.",
    );
    measure("read (ident, 'put', ('ImageUrl_0',), {})", || Value::read(&request, &limits));
    let value = Value::read(&request, &limits).unwrap_or(Value::none());
    measure("write it for Python 2.7", || value.write(Dialect::Python2));
    measure("write it for Python 3.8", || value.write(Dialect::Python38));
    let item = Value::text("ImageUrl_0");
    measure("make and write ('#RETURN', 'ImageUrl_0')", || {
        Value::tuple([Value::native("#RETURN"), item.clone()]).write(Dialect::Python38)
    });

    let large = Value::bytes(vec![7; 64 << 20]);
    let large = Value::tuple([Value::native("#RETURN"), large]);
    measure("write 64 MiB of bytes", || large.write(Dialect::Python38));
    let pickle = Bytes::from(large.write(Dialect::Python38).unwrap_or_default());
    measure("read 64 MiB of bytes", || Value::read(&pickle, &limits));
    let copied = vec![7_u8; 64 << 20];
    measure("(copy 64 MiB)", || copied.clone());

    let numbers = Value::list((0..1_000_000).map(Value::int).collect::<Vec<_>>());
    measure("write a list of 1,000,000 integers", || numbers.write(Dialect::Python38));
    let pickle = Bytes::from(numbers.write(Dialect::Python38).unwrap_or_default());
    measure("read it", || Value::read(&pickle, &limits));
    measure("read it as Vec<u32>", || from_bytes::<Vec<u32>>(&pickle));

    let mut out = Vec::new();
    measure("serde: write a string of 10 bytes, same buffer", || {
        out.clear();
        to_writer(&mut out, "ImageUrl_0", Dialect::Python38)
    });
    measure("serde: write a string of 10 bytes", || to_bytes("ImageUrl_0", Dialect::Python38));
    let pickle = Bytes::from(to_bytes("ImageUrl_0", Dialect::Python38).unwrap_or_default());
    measure("serde: read a string of 10 bytes", || from_bytes::<String>(&pickle));
    let image = Image { url: "http://example.com/a.png".into(), depth: 3, size: Some((640, 480)) };
    measure("serde: write a struct", || to_bytes(&image, Dialect::Python38));
    let pickle = Bytes::from(to_bytes(&image, Dialect::Python38).unwrap_or_default());
    measure("serde: read a struct", || from_bytes::<Image>(&pickle));
}
