//! nginx, in the foreground, with everything it writes in the test's folder.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Nest, wait_until};

/// A real web server for a folder. Dropping it kills it.
pub struct Nginx {
    child: Child,
    port: u16,
}

impl Nginx {
    pub fn open(nest: &Nest, root: &Path) -> Self {
        let folder = nest.path("nginx");
        fs::create_dir(&folder).unwrap();
        // Free until somebody else takes it: nginx then says so and ends, and the next is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = folder.join("nginx.conf");
            fs::write(&config, configuration(&folder, root, port)).unwrap();
            let program = ["/usr/sbin/nginx", "/usr/bin/nginx"];
            let program = program.iter().find(|path| Path::new(path).exists());
            let program = program.expect("nginx is missing: `./test` installs it");
            let mut child = Command::new(program)
                .arg("-c")
                .arg(&config)
                .arg("-p")
                .arg(&folder)
                .arg("-e")
                .arg(folder.join("error.log"))
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            let mut ended = false;
            wait_until("nginx listens", || {
                ended = child.try_wait().unwrap().is_some();
                ended || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            if !ended {
                return Self { child, port };
            }
        }
        panic!("nginx: {}", fs::read_to_string(folder.join("error.log")).unwrap_or_default());
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path, root: &Path, port: u16) -> String {
    let (folder, root) = (folder.display(), root.display());
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n\
         include /etc/nginx/mime.types;\n\
         access_log {folder}/access.log;\n\
         client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi;\nuwsgi_temp_path {folder}/uwsgi;\n\
         scgi_temp_path {folder}/scgi;\n\
         gzip on;\ngzip_types text/css;\n\
         server {{ listen 127.0.0.1:{port}; root {root}; index index.html; }}\n\
         }}\n"
    )
}
