//! Every Python that is there, and how it runs `shapes.py`.

use std::{
    io::{BufReader, BufWriter, Read, Write},
    ops::Deref,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use spinneret_pickle::Dialect;
use spinneret_test_pythons::Python as Found;

pub struct Python(&'static Found);

impl Deref for Python {
    type Target = Found;

    fn deref(&self) -> &Found {
        self.0
    }
}

impl Python {
    pub fn dialect(&self) -> Dialect {
        match self.protocol() {
            2 => Dialect::Python2,
            3 => Dialect::Python3,
            _ => Dialect::Python38,
        }
    }

    /// Runs `exchange.py`.
    pub fn exchange(&self, args: &[&str]) -> Exchange {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
        let mut child = self
            .command()
            .arg("-B")
            .arg("exchange.py")
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let input = child.stdin.take().map(BufWriter::new);
        Exchange { child, output, input }
    }
}

/// A running `exchange.py`.
pub struct Exchange {
    child: Child,
    output: BufReader<ChildStdout>,
    input: Option<BufWriter<ChildStdin>>,
}

impl Exchange {
    pub fn receive(&mut self) -> Vec<u8> {
        let mut len = [0; 4];
        self.output.read_exact(&mut len).unwrap();
        let mut data = vec![0; u32::from_be_bytes(len) as usize];
        self.output.read_exact(&mut data).unwrap();
        data
    }

    pub fn receive_text(&mut self) -> String {
        String::from_utf8(self.receive()).unwrap()
    }

    pub fn receive_count(&mut self) -> usize {
        u32::from_be_bytes(self.receive().try_into().unwrap()) as usize
    }

    pub fn send(&mut self, data: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(&u32::try_from(data.len()).unwrap().to_be_bytes()).unwrap();
        input.write_all(data).unwrap();
        input.flush().unwrap();
    }

    pub fn end(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success());
    }
}

/// Every Python, the oldest first.
pub fn all() -> Vec<Python> {
    spinneret_test_pythons::all().iter().map(Python).collect()
}
