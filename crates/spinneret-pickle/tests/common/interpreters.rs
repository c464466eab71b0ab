//! Every Python that is there.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use spinneret_pickle::Dialect;

pub struct Python {
    pub path: PathBuf,
    pub version: (u32, u32),
}

impl Python {
    pub fn dialect(&self) -> Dialect {
        match self.version {
            (2, _) => Dialect::Python2,
            (3, ..8) => Dialect::Python3,
            _ => Dialect::Python38,
        }
    }

    /// Runs `shapes.py`.
    pub fn shapes(&self, args: &[&str]) -> Shapes {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
        let mut child = Command::new(&self.path)
            .arg("-B")
            .arg("shapes.py")
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let input = child.stdin.take().map(BufWriter::new);
        Shapes { child, output, input }
    }
}

/// A running `shapes.py`.
pub struct Shapes {
    child: Child,
    output: BufReader<ChildStdout>,
    input: Option<BufWriter<ChildStdin>>,
}

impl Shapes {
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

/// One of each version from 2.7 on that is in `PATH` or under pyenv's root, the oldest first.
pub fn all() -> Vec<Python> {
    let mut candidates = Vec::new();
    for folder in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        let names = (6..=20).map(|minor| format!("python3.{minor}"));
        let names = names.chain(["python2.7".into(), "python3".into(), "python2".into()]);
        candidates.extend(names.map(|name| folder.join(name)));
    }
    let root = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv")));
    if let Some(versions) = root.and_then(|root| fs::read_dir(root.join("versions")).ok()) {
        candidates.extend(versions.flatten().map(|version| version.path().join("bin/python")));
    }
    let mut found = BTreeMap::new();
    for path in candidates.into_iter().filter(|path| path.exists()) {
        let script = "import sys; print('%d %d' % sys.version_info[:2])";
        let Ok(run) = Command::new(&path).args(["-c", script]).output() else { continue };
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        let numbers: Vec<u32> = text.split_whitespace().flat_map(str::parse).collect();
        if let [major, minor] = numbers[..]
            && ((major, minor) == (2, 7) || (3, 6) <= (major, minor))
        {
            found.entry((major, minor)).or_insert(path);
        }
    }
    found.into_iter().map(|(version, path)| Python { path, version }).collect()
}
