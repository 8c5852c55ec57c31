//! What can be integrated, and how to set it up.

use async_graphql::{Context, Object, SimpleObject};
use lockstep_store::page::PageRequest;

use super::enums::{Feature, IntegrationProvider, SyncDirection};
use super::integration::Integration;
use crate::app;
use crate::error::Result;
use crate::scalar::Url;
use crate::session::Owner;

/// Something the organization can integrate with, whether or not it was added.
#[derive(SimpleObject)]
pub(crate) struct AvailableIntegration {
    /// The directory product on the other side.
    provider: IntegrationProvider,
    /// Which way data flows.
    direction: SyncDirection,
    /// Name shown to people, for example `MS Entra ID`.
    name: &'static str,
    /// What it does, in a sentence.
    description: &'static str,
    /// The add-on it needs.
    feature: Feature,
    /// Whether the add-on is switched on; without it nothing can be added or changed.
    entitled: bool,
    /// Whether it was added at least once: offer to edit instead of to add.
    configured: bool,
    /// The integrations of this kind that were added.
    integrations: Vec<Integration>,
    /// How to set it up, step by step.
    setup_guide: SetupGuide,
}

impl AvailableIntegration {
    /// Returns everything that an organization could integrate with.
    pub(crate) async fn all(ctx: &Context<'_>, owner: Owner<'_>) -> Result<Vec<Self>> {
        let store = &app(ctx).store;
        let feature = Feature::EntraInboundSync;
        let id = owner.organization.id;
        let added = store
            .integrations(id, None, &PageRequest::first(100))
            .await?
            .items;
        Ok(vec![Self {
            provider: IntegrationProvider::MicrosoftEntraId,
            direction: SyncDirection::Inbound,
            name: "MS Entra ID",
            description: "Keeps the users and teams of the organization in step with Microsoft Entra ID.",
            feature,
            entitled: store.is_entitled(id, feature.stored()).await?,
            configured: !added.is_empty(),
            integrations: added.into_iter().map(Integration::from).collect(),
            setup_guide: SetupGuide::entra(),
        }])
    }
}

/// How to set an integration up, step by step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetupGuide(&'static [Step]);

/// A step of a set-up guide.
#[derive(Debug)]
struct Step {
    title: &'static str,
    body: &'static str,
    url: Option<&'static str>,
}

impl SetupGuide {
    /// The guide for an app registration that reads users and groups (E-015 to E-029).
    pub(crate) const fn entra() -> Self {
        Self(ENTRA)
    }
}

/// How to set an integration up, step by step.
#[Object]
impl SetupGuide {
    /// The guide as a page.
    async fn url(&self) -> Url {
        Url(
            "https://learn.microsoft.com/entra/identity-platform/quickstart-register-app"
                .to_owned(),
        )
    }

    /// The steps, in order.
    async fn steps(&self) -> Vec<SetupGuideStep> {
        self.0.iter().map(SetupGuideStep::from).collect()
    }
}

/// A step of a set-up guide.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct SetupGuideStep {
    /// Short title of the step.
    title: &'static str,
    /// What to do, as Markdown.
    body: &'static str,
    /// Where to do it, null when it is done in this product.
    url: Option<Url>,
}

impl From<&Step> for SetupGuideStep {
    fn from(step: &Step) -> Self {
        Self {
            title: step.title,
            body: step.body,
            url: step.url.map(|url| Url(url.to_owned())),
        }
    }
}

const ENTRA_CENTER: Option<&str> = Some("https://entra.microsoft.com");

const ENTRA: &[Step] = &[
    Step {
        title: "Sign in to Microsoft Entra",
        body: "Sign in to the **Microsoft Entra admin center** with an account that may register applications and \
               grant admin consent.",
        url: ENTRA_CENTER,
    },
    Step {
        title: "Register an application",
        body: "Open **Identity > Applications > App registrations** and choose **New registration**. Enter a name, \
               leave the rest as it is and choose **Register**.",
        url: ENTRA_CENTER,
    },
    Step {
        title: "Note the two IDs",
        body: "Note the **Application (client) ID** and the **Directory (tenant) ID** on the overview page. Both are \
               entered here.",
        url: ENTRA_CENTER,
    },
    Step {
        title: "Create a client secret",
        body: "Open **Certificates & secrets**, choose **New client secret** and enter a description and an expiry \
               date. On that date the integration stops until a new secret is entered here.",
        url: ENTRA_CENTER,
    },
    Step {
        title: "Note the Value of the secret",
        body: "Copy the **Value**, not the *Secret ID*. It is shown only once: after you have left the page, create \
               another secret.",
        url: ENTRA_CENTER,
    },
    Step {
        title: "Add the permissions",
        body: "Open **API permissions > Add a permission > Microsoft Graph > Application permissions** and add \
               `User.Read.All`, with which managers are read too. For teams for groups also add `Group.Read.All` and \
               `GroupMember.Read.All`; only groups that hide their members need `Member.Read.Hidden` as well. No other \
               permission is needed.",
        url: ENTRA_CENTER,
    },
    Step {
        title: "Grant admin consent",
        body: "Each permission first shows *Not granted for …*. Choose **Grant admin consent for …**, so that it \
               shows *Granted for …*.",
        url: ENTRA_CENTER,
    },
    Step {
        title: "Enter the credentials, test and activate",
        body: "Enter tenant ID, client ID and the Value of the client secret here, choose the default language and the \
               rules, and **test**. Once the test passes, **activate**: the first run starts at once.",
        url: None,
    },
];
