//! Users, tokens, members, credentials and the audit log: one method per route.

use specwright_shared::id::{ProjectId, TokenId, UserId};
use specwright_shared::wire::access::{
    AuditEntry, MemberView, NewToken, NewUser, PutMember, TokenMade, TokenView, UserView,
};
use specwright_shared::wire::credential::{CredentialKind, CredentialView, PutCredential, Rotated};

use super::{Client, ClientError};

/// Whose credentials: a project's, or one's own.
fn credentials(project: Option<ProjectId>) -> String {
    match project {
        Some(id) => format!("/api/v1/projects/{id}/credentials"),
        None => "/api/v1/credentials".to_owned(),
    }
}

impl Client {
    /// `POST /users`
    ///
    /// # Errors
    /// [`ClientError`], as for every method here.
    pub async fn create_user(&self, user: &NewUser) -> Result<UserView, ClientError> {
        self.post("/api/v1/users", user).await
    }

    /// `GET /users`, all pages.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn users(&self) -> Result<Vec<UserView>, ClientError> {
        self.all("/api/v1/users", &[]).await
    }

    /// `POST /users/{id}/disable`, or `…/enable`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn disable_user(&self, id: UserId, disable: bool) -> Result<UserView, ClientError> {
        let verb = if disable { "disable" } else { "enable" };
        self.post(&format!("/api/v1/users/{id}/{verb}"), &serde_json::json!({})).await
    }

    /// `GET /tokens`, or those of a user; all pages.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn tokens(&self, of: Option<UserId>) -> Result<Vec<TokenView>, ClientError> {
        self.all(&tokens(of), &[]).await
    }

    /// `POST /tokens`, or for a user.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn create_token(
        &self,
        of: Option<UserId>,
        token: &NewToken,
    ) -> Result<TokenMade, ClientError> {
        self.post(&tokens(of), token).await
    }

    /// `DELETE /tokens/{id}`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn revoke_token(&self, id: TokenId) -> Result<(), ClientError> {
        self.delete(&format!("/api/v1/tokens/{id}")).await
    }

    /// `GET /projects/{id}/members`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn members(&self, id: ProjectId) -> Result<Vec<MemberView>, ClientError> {
        self.all(&format!("/api/v1/projects/{id}/members"), &[]).await
    }

    /// `PUT /projects/{id}/members/{name}`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn put_member(
        &self,
        id: ProjectId,
        name: &str,
        put: PutMember,
    ) -> Result<MemberView, ClientError> {
        self.put(&format!("/api/v1/projects/{id}/members/{name}"), &put).await
    }

    /// `DELETE /projects/{id}/members/{name}`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn remove_member(&self, id: ProjectId, name: &str) -> Result<(), ClientError> {
        self.delete(&format!("/api/v1/projects/{id}/members/{name}")).await
    }

    /// `GET /credentials`, or a project's.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn credentials(
        &self,
        of: Option<ProjectId>,
    ) -> Result<Vec<CredentialView>, ClientError> {
        self.all(&credentials(of), &[]).await
    }

    /// `PUT /credentials/{kind}`, or a project's.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn put_credential(
        &self,
        of: Option<ProjectId>,
        kind: CredentialKind,
        put: &PutCredential,
    ) -> Result<CredentialView, ClientError> {
        self.put(&format!("{}/{kind}", credentials(of)), put).await
    }

    /// `DELETE /credentials/{kind}`, or a project's.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn remove_credential(
        &self,
        of: Option<ProjectId>,
        kind: CredentialKind,
    ) -> Result<(), ClientError> {
        self.delete(&format!("{}/{kind}", credentials(of))).await
    }

    /// `POST /credentials/rotate`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn rotate_credentials(&self) -> Result<Rotated, ClientError> {
        self.post("/api/v1/credentials/rotate", &serde_json::json!({})).await
    }

    /// `GET /audit`, or a project's: the newest, as many as one page has.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn audit(&self, of: Option<ProjectId>) -> Result<Vec<AuditEntry>, ClientError> {
        let path = match of {
            Some(id) => format!("/api/v1/projects/{id}/audit"),
            None => "/api/v1/audit".to_owned(),
        };
        self.first(&path).await
    }
}

fn tokens(of: Option<UserId>) -> String {
    match of {
        Some(id) => format!("/api/v1/users/{id}/tokens"),
        None => "/api/v1/tokens".to_owned(),
    }
}
