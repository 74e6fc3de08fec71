//! The committed JSON Schemas are those that follow from the types.
//!
//! `UPDATE_SCHEMAS=1 cargo nextest run -p specwright-shared schemas` writes them anew.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::schema_for;
use serde_json::Value;
use specwright_shared::documents::{Design, Explore, Requirements, Sync, Tasks};
use specwright_shared::wire::event::{Event, EventView, RawEvent};
use specwright_shared::wire::{
    Page, access, credential, duty, intervention, message, problem, sandbox, spec, ticket, watch,
};

macro_rules! schemas {
    ($($name:literal: $body:ty),* $(,)?) => {
        BTreeMap::from([$(($name, schema_for!($body).to_value())),*])
    };
}

fn schemas() -> BTreeMap<&'static str, Value> {
    schemas! {
        "document.explore": Explore,
        "document.requirements": Requirements,
        "document.design": Design,
        "document.tasks": Tasks,
        "document.sync": Sync,
        "event": Event,
        "wire.raw-event": RawEvent,
        "wire.event-page": Page<EventView>,
        "wire.problem": problem::Problem,
        "wire.hello": sandbox::Hello,
        "wire.welcome": sandbox::Welcome,
        "wire.batch": sandbox::Batch,
        "wire.ack": sandbox::Ack,
        "wire.heartbeat": sandbox::Heartbeat,
        "wire.heartbeat-ack": sandbox::HeartbeatAck,
        "wire.sandbox-page": Page<sandbox::SandboxView>,
        "wire.new-message": message::NewMessage,
        "wire.message": message::Message,
        "wire.poll": message::Poll,
        "wire.new-project": spec::NewProject,
        "wire.project": spec::ProjectView,
        "wire.new-spec": spec::NewSpec,
        "wire.run-options": spec::RunOptions,
        "wire.launch": spec::Launch,
        "wire.launched": spec::Launched,
        "wire.cancel": spec::Cancel,
        "wire.spec": spec::SpecView,
        "wire.phase": spec::PhaseView,
        "wire.document": spec::DocumentView,
        "wire.ticket": ticket::TicketView,
        "wire.task": ticket::TaskView,
        "wire.board": ticket::Board,
        "wire.duty": duty::DutyView,
        "wire.new-hold": watch::NewHold,
        "wire.liveness-settings": specwright_shared::liveness::Settings,
        "wire.new-intervention": intervention::NewIntervention,
        "wire.intervention": intervention::InterventionView,
        "wire.guardian-settings": specwright_shared::guardian::Settings,
        "wire.trajectory": specwright_shared::trajectory::Trajectory,
        "wire.new-user": access::NewUser,
        "wire.user": access::UserView,
        "wire.put-member": access::PutMember,
        "wire.member": access::MemberView,
        "wire.new-token": access::NewToken,
        "wire.token": access::TokenView,
        "wire.token-made": access::TokenMade,
        "wire.audit-entry": access::AuditEntry,
        "wire.put-credential": credential::PutCredential,
        "wire.credential": credential::CredentialView,
        "wire.rotated": credential::Rotated,
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

#[test]
fn the_committed_schemas_are_fresh() {
    // Rewriting is asked for by a person at a terminal, never by a test run.
    let rewrite = std::env::var_os("UPDATE_SCHEMAS").is_some();
    for (name, schema) in schemas() {
        let path = folder().join(format!("{name}.json"));
        let fresh = format!("{schema:#}\n");
        if rewrite {
            std::fs::write(&path, &fresh).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == fresh,
            "schemas/{name}.json is not what the types say; if the change is meant, run \
             `UPDATE_SCHEMAS=1 cargo nextest run -p specwright-shared schemas` and commit it"
        );
    }
}

#[test]
fn no_schema_is_left_over() {
    let known = schemas();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.strip_suffix(".json").unwrap_or(&name);
        assert!(known.contains_key(stem), "schemas/{name} belongs to no type: delete it");
    }
}

#[test]
fn every_schema_is_one() {
    for (name, schema) in schemas() {
        assert!(jsonschema::draft202012::meta::is_valid(&schema), "{name}");
    }
}
