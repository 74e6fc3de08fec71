//! Users, members, tokens and the audit log.

use std::time::Duration;

use specwright_shared::id::{ProjectId, TokenId, UserId};
use specwright_shared::wire::access::{AuditEntry, Role, TokenKind, TokenView, UserView};
use specwright_shared::wire::credential::CredentialKind;
use uuid::Uuid;

use super::{new_spec, now};
use crate::store::credential::{self, Credential, Holder};
use crate::store::project::{Belonging, Sight};
use crate::store::user::{OWNER, OWNER_ID};
use crate::store::{Store, Write, audit, member, project, spec, token, user};

pub(super) async fn what_is_kept_of_access(store: &Store) {
    users_have_unique_names(store).await;
    a_token_opens_until_it_is_revoked_expired_or_its_user_disabled(store).await;
    members_see_their_projects_and_nobody_elses(store).await;
    the_audit_log_is_read_newest_first(store).await;
    a_holder_has_one_credential_of_a_kind(store).await;
}

async fn new_user(write: &mut Write, name: &str) -> UserId {
    let id = UserId(Uuid::now_v7());
    let view = UserView { id, name: name.to_owned(), created_at: now(), disabled_at: None };
    user::insert(write, &view).await.unwrap();
    id
}

async fn users_have_unique_names(store: &Store) {
    let mut write = store.write().await.unwrap();
    let owner = user::named(&mut write, OWNER).await.unwrap().unwrap();
    assert_eq!(owner.id, OWNER_ID, "the schema brings the owner along");
    let id = new_user(&mut write, "first").await;
    let found = user::find(&mut write, id).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.created_at), ("first", now()));
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    let again = UserView { id: UserId(Uuid::now_v7()), ..found.clone() };
    assert!(user::insert(&mut write, &again).await.unwrap_err().is_unique_violation());
    drop(write);
    let mut session = store.read().await.unwrap();
    let all = user::list(&mut session, Some(owner.id.0), 9).await.unwrap();
    assert_eq!(all, [found]);
}

async fn a_token_opens_until_it_is_revoked_expired_or_its_user_disabled(store: &Store) {
    let mut write = store.write().await.unwrap();
    let user = new_user(&mut write, "bearer").await;
    let view = TokenView {
        id: TokenId(Uuid::now_v7()),
        user: "bearer".into(),
        kind: TokenKind::Guardian,
        project_id: None,
        name: "watcher".into(),
        created_at: now(),
        expires_at: Some(now().plus(Duration::from_secs(100))),
        last_used_at: None,
        revoked_at: None,
    };
    let hash = [7; 32];
    let row = token::NewRow { view: view.clone(), user, hash };
    token::insert(&mut write, &row).await.unwrap();
    let found = token::bearer(&mut write, &hash, now()).await.unwrap().unwrap();
    assert_eq!((found.user, found.name.as_str()), (user, "bearer"));
    assert_eq!((found.kind, found.project), (TokenKind::Guardian, None));
    assert!(found.is_worth_noting(now()));
    token::note_use(&mut write, view.id, now()).await.unwrap();
    let used = token::bearer(&mut write, &hash, now()).await.unwrap().unwrap();
    assert!(!used.is_worth_noting(now().plus(Duration::from_secs(59))));
    assert!(used.is_worth_noting(now().plus(Duration::from_secs(60))));
    let expired = now().plus(Duration::from_secs(100));
    assert!(token::bearer(&mut write, &hash, expired).await.unwrap().is_none());
    assert!(token::bearer(&mut write, &[8; 32], now()).await.unwrap().is_none());

    user::lock(&mut write, user).await.unwrap();
    assert_eq!(token::living(&mut write, user, now()).await.unwrap(), 1);
    assert_eq!(token::living(&mut write, user, expired).await.unwrap(), 0, "it has expired");
    assert_eq!(token::living(&mut write, OWNER_ID, now()).await.unwrap(), 0, "it is not theirs");

    user::set_disabled(&mut write, user, Some(now())).await.unwrap();
    assert!(token::bearer(&mut write, &hash, now()).await.unwrap().is_none());
    user::set_disabled(&mut write, user, None).await.unwrap();
    assert!(token::bearer(&mut write, &hash, now()).await.unwrap().is_some());
    assert_eq!(token::user_of(&mut write, view.id).await.unwrap(), Some(user));
    token::revoke(&mut write, view.id, now()).await.unwrap();
    token::revoke(&mut write, view.id, expired).await.unwrap();
    assert!(token::bearer(&mut write, &hash, now()).await.unwrap().is_none());
    assert_eq!(token::living(&mut write, user, now()).await.unwrap(), 0, "it is revoked");
    let kept = token::list(&mut write, user, None, 9).await.unwrap();
    let wanted = TokenView { last_used_at: Some(now()), revoked_at: Some(now()), ..view };
    assert_eq!(kept, [wanted], "the first revocation stays");
}

async fn members_see_their_projects_and_nobody_elses(store: &Store) {
    let spec = new_spec(store).await;
    let mut write = store.write().await.unwrap();
    let user = new_user(&mut write, "member").await;
    let (sight, project) = (Sight { user: Some(user), project: None }, spec.project_id);
    assert_eq!(member::role(&mut write, project, user).await.unwrap(), None);
    assert!(project::list(&mut write, sight, None, 9).await.unwrap().is_empty());
    member::put(&mut write, project, user, Role::Viewer, now()).await.unwrap();
    member::put(&mut write, project, user, Role::Member, now()).await.unwrap();
    assert_eq!(member::role(&mut write, project, user).await.unwrap(), Some(Role::Member));
    let names: Vec<_> = member::list(&mut write, project).await.unwrap();
    let names: Vec<_> = names.iter().map(|one| (one.name.as_str(), one.role)).collect();
    assert_eq!(names, [("member", Role::Member), ("owner", Role::Owner)]);
    let seen = project::list(&mut write, sight, None, 9).await.unwrap();
    assert_eq!(seen.iter().map(|one| one.id).collect::<Vec<_>>(), [project]);
    let elsewhere = Sight { project: Some(ProjectId(Uuid::nil())), ..sight };
    let filter = spec::list::Filter::default();
    assert_eq!(spec::list::page(&mut write, elsewhere, &filter, 9).await.unwrap().len(), 0);
    assert!(!spec::list::page(&mut write, sight, &filter, 9).await.unwrap().is_empty());
    let of = project::of(&mut write, Belonging::Spec(spec.id)).await.unwrap();
    assert_eq!(of, Some(project));
    project::lock(&mut write, project).await.unwrap();
    assert!(member::remove(&mut write, project, user).await.unwrap());
    assert!(!member::remove(&mut write, project, user).await.unwrap());
    assert_eq!(spec::list::page(&mut write, sight, &filter, 9).await.unwrap().len(), 0);
}

async fn the_audit_log_is_read_newest_first(store: &Store) {
    let spec = new_spec(store).await;
    let mut write = store.write().await.unwrap();
    let entry = |project_id, status| AuditEntry {
        id: Uuid::now_v7(),
        at: now(),
        user: "owner".into(),
        token_id: None,
        route: "POST /api/v1/specs".into(),
        thing_id: Some(spec.id.0),
        thing_name: None,
        project_id,
        status,
        request_id: "r-1".into(),
    };
    let (one, mut two) = (entry(Some(spec.project_id), Some(201)), entry(None, None));
    audit::insert(&mut write, &one).await.unwrap();
    audit::insert(&mut write, &two).await.unwrap();
    let ids = |page: Vec<AuditEntry>| page.iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(audit::list(&mut write, None, None, 1).await.unwrap()), [two.id]);
    assert_eq!(ids(audit::list(&mut write, None, Some(two.id), 1).await.unwrap()), [one.id]);
    assert_eq!(audit::list(&mut write, Some(spec.project_id), None, 9).await.unwrap(), [one]);
    assert_eq!(audit::list(&mut write, None, None, 1).await.unwrap(), [two.clone()]);
    two = AuditEntry { status: Some(403), thing_id: None, ..two };
    audit::finish(&mut write, &two).await.unwrap();
    audit::finish(&mut write, &AuditEntry { status: Some(200), ..two.clone() }).await.unwrap();
    assert_eq!(audit::list(&mut write, None, None, 1).await.unwrap(), [two], "told once");
}

async fn a_holder_has_one_credential_of_a_kind(store: &Store) {
    let spec = new_spec(store).await;
    let mut write = store.write().await.unwrap();
    let user = new_user(&mut write, "holder").await;
    let (project, user) = (Holder::Project(spec.project_id), Holder::User(user));
    let credential = |kind, byte: u8| Credential {
        id: Uuid::now_v7(),
        kind,
        sealed: vec![byte, 0, 0xff],
        key_id: "old".into(),
        last_four: "cdef".into(),
        set_by: "owner".into(),
        set_at: now(),
        confirmed_at: byte.is_multiple_of(2).then(now),
    };
    let (first, second) =
        (credential(CredentialKind::GithubToken, 1), credential(CredentialKind::GithubToken, 2));
    let model = credential(CredentialKind::ModelApiKey, 3);
    for (holder, one) in [(project, &first), (project, &second), (project, &model)] {
        credential::put(&mut write, holder, one).await.unwrap();
    }
    let of_user = credential(CredentialKind::GithubToken, 4);
    credential::put(&mut write, user, &of_user).await.unwrap();
    assert_eq!(
        credential::list(&mut write, project).await.unwrap(),
        [second.clone(), model.clone()],
        "the second took the first one's place"
    );
    assert_eq!(credential::list(&mut write, user).await.unwrap()[0].id, of_user.id);
    credential::reseal(&mut write, model.id, vec![9], "new").await.unwrap();
    let all = credential::all(&mut write, Some(second.id), 9).await.unwrap();
    let resealed = Credential { sealed: vec![9], key_id: "new".into(), ..model };
    assert_eq!(all, [resealed, of_user]);
    let kind = CredentialKind::GithubToken;
    assert!(credential::remove(&mut write, project, kind).await.unwrap());
    assert!(!credential::remove(&mut write, project, kind).await.unwrap());
    assert_eq!(credential::list(&mut write, user).await.unwrap().len(), 1);
}
