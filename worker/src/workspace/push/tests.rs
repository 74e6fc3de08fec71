//! Against git's own server, which lets people push or not.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

struct Server {
    root: tempfile::TempDir,
    port: u16,
    daemon: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Server {
    /// With a repository `o/r` whose default branch is `trunk-of-ours` and which has `mine` as well.
    fn start(lets_push: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let repo = root.path().join("served/o/r");
        fs::create_dir_all(&repo).unwrap();
        git(&repo, &["init", "--quiet", "--bare", "--initial-branch=trunk-of-ours"]);
        let tree = git(&repo, &["hash-object", "-w", "-t", "tree", "/dev/null"]);
        let commit = git(&repo, &["commit-tree", "-m", "first", tree.trim()]);
        for branch in ["trunk-of-ours", "mine"] {
            git(&repo, &["update-ref", &format!("refs/heads/{branch}"), commit.trim()]);
        }
        // A port that was free a moment ago; another test may take it, then the next is tried.
        for _ in 0..20 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let service =
                if lets_push { "--enable=receive-pack" } else { "--disable=receive-pack" };
            // The server itself: `git daemon` would be its parent, and not take it along.
            let program = git(&repo, &["--exec-path"]).trim().to_owned() + "/git-daemon";
            let mut daemon = Command::new(program)
                .args(["--reuseaddr", "--export-all", "--listen=127.0.0.1", service])
                .arg(format!("--port={port}"))
                .arg(format!("--base-path={}", root.path().join("served").display()))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(60) {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { root, port, daemon };
                }
                if daemon.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
            daemon.kill().ok();
            daemon.wait().unwrap();
        }
        panic!("git's server did not start");
    }

    fn config(&self, branch: Option<&str>) -> Config {
        let at = |name: &str| self.root.path().join(name);
        fs::create_dir_all(at("state")).unwrap();
        // The address of GitHub is this server's for git.
        let instead = format!(
            "[url \"git://127.0.0.1:{}/\"]\n\tinsteadOf = https://github.com/\n",
            self.port
        );
        fs::write(at("gitconfig"), instead).unwrap();
        let text = |name: &str| at(name).display().to_string();
        let mut settings = BTreeMap::from([
            ("SPEC_ID", "01890a5d-ac96-774b-bcce-b302099a8057".to_owned()),
            ("SANDBOX_ID", "01890a5d-ac96-774b-bcce-b302099a8058".to_owned()),
            ("SANDBOX_TOKEN", "token-of-this-sandbox".to_owned()),
            ("CONTROL_API_URL", "http://127.0.0.1:9".to_owned()),
            ("WORKSPACE_DIR", text("workspace")),
            ("STATE_DIR", text("state")),
            ("AGENT", "rehearsal".to_owned()),
            ("GITHUB_REPO", "o/r".to_owned()),
            ("GITHUB_TOKEN", "ghp_a_token_that_is_secret".to_owned()),
            ("GIT_CONFIG_GLOBAL", text("gitconfig")),
            ("PATH", std::env::var("PATH").unwrap()),
        ]);
        settings.extend(branch.map(|branch| ("BRANCH_NAME", branch.to_owned())));
        Config::from_lookup(&|name| settings.get(name).map(OsString::from)).unwrap()
    }

    fn refs(&self) -> String {
        git(&self.root.path().join("served/o/r"), &["for-each-ref"])
    }
}

#[tokio::test]
async fn a_branch_that_may_be_pushed_is_found_so_and_nothing_is_sent() {
    let server = Server::start(true);
    let before = server.refs();
    for branch in ["specwright/new", "mine"] {
        may_push(&server.config(Some(branch))).await.unwrap();
    }
    assert_eq!(server.refs(), before);
}

#[tokio::test]
async fn a_server_that_takes_no_push_is_found_before_any_work() {
    let server = Server::start(false);
    let error = may_push(&server.config(Some("specwright/new"))).await.unwrap_err();
    assert!(matches!(error, PushError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("GITHUB_TOKEN"), "{error}");
    assert!(!format!("{error:?}").contains("ghp_"), "{error:?}");
}

#[tokio::test]
async fn default_and_protected_branches_are_refused_and_no_branch_asks_nothing() {
    let server = Server::start(true);
    let refusal = async |branch| may_push(&server.config(Some(branch))).await.unwrap_err();
    assert!(matches!(refusal("trunk-of-ours").await, PushError::Default(..)));
    for branch in ["main", "Master", "release/1.2"] {
        assert!(matches!(refusal(branch).await, PushError::Protected(_)), "{branch}");
    }
    may_push(&server.config(None)).await.unwrap();
}

#[tokio::test]
async fn a_push_goes_to_its_own_branch_only_and_never_by_force() {
    let server = Server::start(true);
    let config = server.config(None);
    let own = own_repository(&server.root.path().join("own.git"), &config).await.unwrap();
    let remote = Remote::on_github(&config, "o/r");
    for branch in ["trunk-of-ours", "main", "release/2"] {
        assert!(Pushable::ask(&own, &remote, branch).await.is_err(), "{branch}");
    }
    let before = server.refs();
    let commit = empty_commit(&own).await.unwrap();
    // Someone else's work is there: it stays, and that is an error and not a success.
    let mine = Pushable::ask(&own, &remote, "mine").await.unwrap();
    let error = push(&own, &remote, &commit, &mine).await.unwrap_err();
    assert!(matches!(error, PushError::Refused { .. }), "{error:?}");
    assert_eq!(server.refs(), before);
    let new = Pushable::ask(&own, &remote, "specwright/rescue/x").await.unwrap();
    push(&own, &remote, &commit, &new).await.unwrap();
    let there = format!("{commit} commit\trefs/heads/specwright/rescue/x\n");
    assert!(server.refs().contains(&there), "{}", server.refs());
}

#[test]
fn the_token_goes_along_to_its_own_server_only() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let settings = BTreeMap::from([
        ("SPEC_ID", "01890a5d-ac96-774b-bcce-b302099a8057".to_owned()),
        ("SANDBOX_ID", "01890a5d-ac96-774b-bcce-b302099a8058".to_owned()),
        ("SANDBOX_TOKEN", "token-of-this-sandbox".to_owned()),
        ("CONTROL_API_URL", "http://127.0.0.1:9".to_owned()),
        ("WORKSPACE_DIR", at("workspace")),
        ("STATE_DIR", at("state")),
        ("AGENT", "rehearsal".to_owned()),
        ("GITHUB_TOKEN", "ghp_a_token_that_is_secret".to_owned()),
        ("PATH", std::env::var("PATH").unwrap()),
    ]);
    let with = |url: &'static str| {
        let of = move |name: &str| (name == "GITHUB_URL").then(|| url.to_owned());
        Config::from_lookup(&|name| {
            of(name).or_else(|| settings.get(name).cloned()).map(OsString::from)
        })
    };
    for (server, url, goes) in [
        ("", "https://github.com/o/r", true),
        ("", "https://github.com.evil.example/o/r", false),
        ("", "https://evil.example/github.com/o/r", false),
        ("https://git.example", "https://git.example/o/r", true),
        ("https://git.example", "https://github.com/o/r", false),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/o/r", true),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:80801/o/r", false),
    ] {
        let remote = Remote::at(&with(server).unwrap(), url);
        assert_eq!(remote.is_ours_to_push(), goes, "{server} {url}");
        assert!(!format!("{remote:?}").contains("ghp_"), "{remote:?}");
    }
    for wrong in ["http://git.example", "https://git.example/path", "git.example", "file:///x"] {
        let error = with(wrong).unwrap_err().to_string();
        assert!(error.contains("GITHUB_URL"), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn an_unknown_default_branch_or_repository_is_unknown_and_not_fine() {
    let server = Server::start(true);
    let head = server.root.path().join("served/o/r/HEAD");
    fs::write(&head, format!("{}\n", git(head.parent().unwrap(), &["rev-parse", "mine"]).trim()))
        .unwrap();
    let error = may_push(&server.config(Some("specwright/new"))).await.unwrap_err();
    assert!(matches!(error, PushError::DefaultUnknown(_)), "{error:?}");
    fs::remove_dir_all(server.root.path().join("served/o/r")).unwrap();
    let error = may_push(&server.config(Some("specwright/new"))).await.unwrap_err();
    assert!(matches!(error, PushError::Unreadable { .. }), "{error:?}");
}

#[test]
fn the_default_branch_is_read_only_where_it_is_said() {
    assert_eq!(default_branch("ref: refs/heads/a/b\tHEAD\nabc\tHEAD\n"), Some("a/b"));
    assert_eq!(default_branch("abc\tHEAD\n"), None);
    assert_eq!(default_branch(""), None);
}
