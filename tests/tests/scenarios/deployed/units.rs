//! The units of `docs/deploy`, as systemd would read them: their command line and environment start the
//! real program. systemd itself starts nothing here: its sandbox (`ProtectSystem=` and the like) is not
//! tried.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use specwright_tests::system::System;
use specwright_tests::wait::{PATIENCE, wait_for};

use crate::replicas::postgres_server::PostgresServer;

const ONE: (&str, &str) =
    ("specwright.service", include_str!("../../../../docs/deploy/specwright.service"));
const REPLICA: (&str, &str) =
    ("specwright@.service", include_str!("../../../../docs/deploy/specwright@.service"));
const GUIDE: &str = include_str!("../../../../docs/deploy/README.md");
/// What the replica's unit is started as.
const INSTANCE: &str = "8137";
/// Where the units tell people to put the program.
const PROGRAM: &str = "/usr/local/bin/specwright";
const TOKEN: &str = "swo_of_a_unit_0b7f2c94d1e84a53";
const SEAL_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// The longest that a stop takes, as the guide says it; what it is made of is added up in
/// `control-api/src/serve/connections/tests.rs`.
const STOP: (&str, Duration) = ("the process ends within 10 s", Duration::from_secs(10));

/// A unit of `docs/deploy`, `%i` filled in.
struct Unit {
    name: &'static str,
    text: String,
}

impl Unit {
    fn of((name, text): (&'static str, &str)) -> Self {
        Self { name, text: text.replace("%i", INSTANCE) }
    }

    /// What follows `key=`, each time that it stands there.
    fn values<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let begin = format!("{key}=");
        self.text.lines().filter_map(move |line| line.strip_prefix(&begin))
    }

    fn value(&self, key: &str) -> &str {
        let [value] = self.values(key).collect::<Vec<_>>()[..] else {
            panic!("{}: not one {key}=", self.name)
        };
        value
    }

    /// The variables that it sets itself.
    fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.values("Environment").flat_map(str::split_whitespace);
        pairs.map(|pair| pair.split_once('=').unwrap())
    }

    /// All of our variables that it names, also in what it says about its `EnvironmentFile`.
    fn variables(&self) -> impl Iterator<Item = &str> {
        let words = self.text.split(|one: char| !(one.is_ascii_alphanumeric() || one == '_'));
        words.filter(|word| word.starts_with("SPECWRIGHT_"))
    }

    /// Starts what it says in this world, with the variables that its `EnvironmentFile` is to hold, and
    /// ends it as systemd does.
    async fn starts(&self, system: &mut System, file: &[(&str, &str)]) {
        for (name, _) in file {
            assert!(self.variables().any(|known| known == *name), "{}: no {name}", self.name);
        }
        // What systemd makes before it starts anything.
        let var = system.root().join("var/lib");
        for directory in self.value("StateDirectory").split_whitespace() {
            std::fs::create_dir_all(var.join(directory)).unwrap();
        }
        let here = |text: &str| text.replace("/var/lib", &var.display().to_string());
        system.unset("SPECWRIGHT_CONFIG_DIR").unset("SPECWRIGHT_DATA_DIR").unset("HOME");
        for (name, place) in self.environment() {
            let place = PathBuf::from(here(place));
            assert!(place.is_dir(), "{}: {name} is no StateDirectory", self.name);
            system.set(name, place);
        }
        for (name, value) in file {
            system.set(name, value);
        }
        let command = self.value("ExecStart").strip_prefix(PROGRAM).unwrap();
        // The port stays, so that no other process can have it: an address of loopback that is ours.
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = format!("127.137.{high}.{low}:{INSTANCE}");
        assert!(command.ends_with(&format!(" 127.0.0.1:{INSTANCE}")), "{command}");
        let command = command.replace(&format!("127.0.0.1:{INSTANCE}"), &address);
        let mut server = system.start(Path::new("/"), command.split_whitespace());
        let serving = |line: &str| line.starts_with("Serving at ").then_some(());
        server.line("that it serves", serving).await;

        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let ask = async |path: &str| {
            let asked = http.get(format!("http://{address}{path}")).bearer_auth(TOKEN);
            asked.send().await.unwrap().status().as_u16()
        };
        wait_for("the server to be ready", PATIENCE, async || {
            (ask("/readyz").await == 200).then_some(())
        })
        .await;
        assert_eq!(ask("/api/v1/users").await, 200, "{}: the token is the owner's", self.name);
        server.signal(Signal::TERM);
        server.finish().await.expect_code(0);
    }
}

/// A world with the file of seal keys that the guide has one make.
fn system_with_seal_keys() -> (System, String) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let system = System::new();
    let file = system.root().join("seal-keys");
    std::fs::write(&file, format!("{SEAL_KEY}\n")).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    (system, file.display().to_string())
}

#[tokio::test]
async fn the_unit_for_one_machine_starts_a_server_that_keeps_its_data_where_it_says() {
    let (mut system, keys) = system_with_seal_keys();
    let file = [("SPECWRIGHT_OWNER_TOKEN", TOKEN), ("SPECWRIGHT_SEAL_KEY_FILE", keys.as_str())];
    Unit::of(ONE).starts(&mut system, &file).await;
    assert!(system.root().join("var/lib/specwright/specwright.db").is_file());
    system.nothing_left().await;
}

#[tokio::test]
async fn the_unit_for_replicas_starts_a_server_on_postgresql() {
    let Some(database) = PostgresServer::start() else { return };
    let (mut system, keys) = system_with_seal_keys();
    let address = database.address();
    let file = [
        ("SPECWRIGHT_DATABASE_URL", address.as_str()),
        ("SPECWRIGHT_OWNER_TOKEN", TOKEN),
        ("SPECWRIGHT_SEAL_KEY_FILE", keys.as_str()),
        ("SPECWRIGHT_PUBLIC_URL", "https://specwright.example.org"),
    ];
    Unit::of(REPLICA).starts(&mut system, &file).await;
    let own = system.root().join("var/lib/specwright").join(INSTANCE);
    assert!(!own.join("specwright.db").exists(), "it was to be on PostgreSQL");
    system.nothing_left().await;
}

/// The help is made from what clap reads; what stands in it by hand is used by the tests above and by
/// those of `access`.
#[tokio::test]
async fn every_variable_that_a_unit_names_is_one_that_the_help_names() {
    let system = System::new();
    let mut known = system.run(system.root(), ["--help"]).await.expect_code(0).stdout;
    known += &system.run(system.root(), ["serve", "--help"]).await.expect_code(0).stdout;
    let known: Vec<_> =
        known.split(|one: char| !(one.is_ascii_uppercase() || one == '_')).collect();
    for unit in [ONE, REPLICA].map(Unit::of) {
        assert!(unit.variables().count() >= 3, "{}", unit.name);
        for variable in unit.variables() {
            assert!(known.contains(&variable), "{}: nobody reads {variable}", unit.name);
        }
        for (name, _) in unit.environment() {
            // The last two are everyone's.
            assert!(known.contains(&name) || ["HOME", "TMPDIR"].contains(&name), "{name}");
        }
    }
}

#[test]
fn systemd_waits_for_longer_than_a_stop_takes() {
    let (sentence, longest) = STOP;
    assert!(GUIDE.contains(sentence), "the guide says something else about a stop");
    for unit in [ONE, REPLICA].map(Unit::of) {
        let seconds = unit.value("TimeoutStopSec").parse().unwrap();
        assert!(Duration::from_secs(seconds) > longest, "{}: killed in its stop", unit.name);
    }
}

/// An addition, where systemd is there to be asked: it knows settings that we misspell.
#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    let folder = tempfile::tempdir().unwrap();
    for unit in [ONE, REPLICA].map(Unit::of) {
        let path = folder.path().join(unit.name.replace('@', &format!("@{INSTANCE}")));
        // It looks for the program, which need not be installed here.
        let program = specwright_tests::system::program("specwright").display().to_string();
        std::fs::write(&path, unit.text.replace(PROGRAM, &program)).unwrap();
        let verify = ["verify", "--man=no"];
        let verified = Command::new("systemd-analyze").args(verify).arg(&path).output();
        let Ok(verified) = verified else {
            eprintln!("systemd was NOT asked about {}: this machine has none", unit.name);
            return;
        };
        let said = String::from_utf8_lossy(&verified.stderr);
        // What it finds in the units of this machine is not ours.
        let name = path.file_name().unwrap().to_str().unwrap();
        let ours: Vec<_> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(ours.is_empty(), "{ours:#?}");
    }
}
