//! The way to a tenant: the stored app registration, its secret opened in memory, a client for Microsoft Graph.

use lockstep_domain::{EntraCloud, IntegrationId, OrganizationId};
use lockstep_graph::{ClientOptions, Cloud, Credentials, Endpoints, GraphClient, GraphError, Url};
use lockstep_seal::{Opener, SealError, SealedSecret};
use lockstep_store::credential::AppRegistration;

/// How Microsoft is reached. Set by the operator alone; an organization chooses among the clouds.
#[derive(Clone, Default)]
pub struct Provider {
    /// Another Graph than the cloud's, such as a sandbox.
    pub graph_url: Option<Url>,
    /// Another sign-in service than the cloud's.
    pub login_url: Option<Url>,
    /// Limits of the client.
    pub options: ClientOptions,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The stored secret cannot be opened.
    #[error("the stored client secret cannot be opened")]
    Seal(#[from] SealError),
    /// The client refuses its settings.
    #[error("the Microsoft Graph client cannot be set up")]
    Graph(#[from] GraphError),
}

impl Provider {
    /// Makes a client for an app registration; the secret stays in memory.
    ///
    /// # Errors
    /// When the secret cannot be opened with the keys at hand, or the tenant is malformed.
    pub fn connect(
        &self,
        app: &AppRegistration,
        owner: (OrganizationId, IntegrationId),
        secret: &SealedSecret,
        opener: &Opener,
    ) -> Result<GraphClient, ConnectionError> {
        let client_secret = opener.open(&app.owner(owner.0, owner.1), secret)?;
        let endpoints = Endpoints::of(cloud(app.cloud))
            .overridden(self.graph_url.clone(), self.login_url.clone());
        let credentials = Credentials {
            tenant: app.tenant_id.clone(),
            client_id: app.client_id.clone(),
            client_secret,
        };
        Ok(GraphClient::new(
            endpoints,
            credentials,
            self.options.clone(),
        )?)
    }
}

fn cloud(cloud: EntraCloud) -> Cloud {
    match cloud {
        EntraCloud::Global => Cloud::Global,
        EntraCloud::UsGovernment => Cloud::UsGov,
        EntraCloud::UsGovernmentDod => Cloud::UsGovDod,
        EntraCloud::China => Cloud::China,
    }
}
