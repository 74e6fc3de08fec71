//! The nginx of `docs/deploy/nginx.conf`: that very file, but for addresses and paths.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::Certificate;
use specwright_tests::system::System;
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio::net::TcpSocket;
use tokio::process::Child;

/// What the documents tell people to install.
const DOCUMENTED: &str = include_str!("../../../../docs/deploy/nginx.conf");
/// Where Debian and others put it; it is not on everyone's `PATH`.
const PROGRAMS: [&str; 3] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];

/// An address with a certificate, where an nginx can be started.
pub(super) struct Front {
    folder: PathBuf,
    url: String,
    /// Bound and not listened on: nobody else gets the port before nginx has it.
    reserved: TcpSocket,
}

/// A running nginx. Dropping it ends it.
pub(super) struct Nginx {
    _process: Child,
}

/// Where nginx is. `None`: this machine has none.
pub(super) fn installed() -> Option<&'static Path> {
    PROGRAMS.iter().map(Path::new).find(|path| path.exists())
}

impl Front {
    /// Takes a port, and makes a certificate for it.
    pub(super) fn new(system: &System) -> Self {
        let folder = system.root().join("nginx");
        std::fs::create_dir(&folder).unwrap();
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseport(true).unwrap();
        reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let front =
            Self { url: format!("https://{}", reserved.local_addr().unwrap()), folder, reserved };
        front
            .openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ours");
        front.openssl(
            "req -newkey rsa:2048 -nodes -keyout key.pem -out ask.pem -subj /CN=localhost",
        );
        std::fs::write(front.folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        front.openssl(
            "x509 -req -in ask.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names \
             -out fullchain.pem",
        );
        front
    }

    fn openssl(&self, arguments: &str) {
        let ran = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .output();
        let ran = ran.expect("openssl is there; ./tests/run installs it");
        assert!(ran.status.success(), "{arguments}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Where it will be reached.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The authority that its certificate is of.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A client that trusts it.
    pub(super) fn client(&self) -> reqwest::Client {
        // Another part of this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let authority = Certificate::from_pem(&std::fs::read(self.authority()).unwrap()).unwrap();
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([authority]);
        builder.build().unwrap()
    }

    /// Starts nginx before three replicas, and waits until it passes on what is asked.
    pub(super) async fn start(&self, program: &Path, replicas: [SocketAddr; 3]) -> Nginx {
        let folder = self.folder.display();
        let address = self.reserved.local_addr().unwrap();
        let mut site = DOCUMENTED.to_owned();
        for (documented, ours) in [
            ("listen 443 ssl;", format!("listen {address} ssl reuseport;")),
            ("127.0.0.1:8137", replicas[0].to_string()),
            ("127.0.0.1:8138", replicas[1].to_string()),
            ("127.0.0.1:8139", replicas[2].to_string()),
            ("/etc/ssl/specwright", folder.to_string()),
        ] {
            assert!(site.contains(documented), "{documented} is not in {site}");
            site = site.replace(documented, &ours);
        }
        std::fs::write(self.folder.join("site.conf"), site).unwrap();
        let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let places = places.map(|one| format!("{one}_temp_path {folder}/{one};")).join("\n");
        let main = format!(
            "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/log warn;\n\
             events {{}}\nhttp {{\naccess_log off;\n{places}\ninclude {folder}/site.conf;\n}}\n"
        );
        let path = self.folder.join("main.conf");
        std::fs::write(&path, main).unwrap();
        let mut command = tokio::process::Command::new(program);
        command.arg("-p").arg(&self.folder).arg("-c").arg(&path).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let (client, ready) = (self.client(), format!("{}/readyz", self.url));
        wait_for("nginx to pass on what is asked", PATIENCE, async || {
            if let Some(status) = process.try_wait().unwrap() {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                panic!("nginx ended with {status}: {log}");
            }
            client.get(&ready).send().await.ok()?.status().is_success().then_some(())
        })
        .await;
        Nginx { _process: process }
    }
}
