//! A client without any cleverness, and a small tenant.

use lockstep_sandbox::{
    Control, DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, DEMO_TENANT_ID, Sandbox, SandboxOptions, Tenant,
};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// A running sandbox and a token for it.
pub(crate) struct Client {
    pub(crate) sandbox: Sandbox,
    pub(crate) control: Control,
    pub(crate) http: reqwest::Client,
    pub(crate) token: String,
}

/// What came back.
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Got {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    pub(crate) fn items(&self) -> &[Value] {
        self.body["value"].as_array().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        self.items()
            .iter()
            .filter_map(|item| item["id"].as_str())
            .collect()
    }

    pub(crate) fn link(&self, name: &str) -> Option<String> {
        self.body[format!("@odata.{name}")]
            .as_str()
            .map(str::to_owned)
    }
}

/// Five users a to e and the groups they are in; a manages b and c, e's manager is unknown.
pub(crate) const SMALL: &str = r##"{
  "users": [
    {"id": "a", "displayName": "Ann", "userPrincipalName": "ann@x.example", "mail": "Ann@X.example", "jobTitle": "Head", "accountEnabled": true, "userType": "Member"},
    {"id": "b", "displayName": "Ben", "userPrincipalName": "ben@x.example", "mail": null, "jobTitle": "Teacher", "accountEnabled": true, "userType": "Member"},
    {"id": "c", "displayName": "Çiğdem", "userPrincipalName": "cigdem@x.example", "jobTitle": "Teacher", "accountEnabled": false, "userType": "Member"},
    {"id": "d", "displayName": "Dan (guest)", "userPrincipalName": "dan_y.example#EXT#@x.example", "userType": "Guest", "accountEnabled": true},
    {"id": "e", "displayName": "Eve", "userPrincipalName": "eve@x.example", "accountEnabled": true}
  ],
  "groups": [
    {"id": "g", "displayName": "Teachers", "groupTypes": [], "mailEnabled": false, "securityEnabled": true},
    {"id": "h", "displayName": "Everyone", "groupTypes": [], "mailEnabled": false, "securityEnabled": true},
    {"id": "s", "displayName": "Secret", "groupTypes": ["Unified"], "mailEnabled": true, "securityEnabled": false, "visibility": "HiddenMembership"}
  ],
  "others": [{"id": "dev", "@odata.type": "#microsoft.graph.device", "displayName": "KIOSK"}],
  "managers": {"b": "a", "c": "a", "e": "ghost"},
  "members": {"g": ["b", "c", "nobody"], "h": ["g", "h", "a", "b", "dev"], "s": ["a"]},
  "owners": {"g": ["a"]}
}"##;

impl Client {
    pub(crate) async fn of(tenant: Tenant) -> Client {
        Client::with(tenant, SandboxOptions::default()).await
    }

    pub(crate) async fn small() -> Client {
        Client::of(Tenant::from_json(SMALL.as_bytes()).unwrap()).await
    }

    pub(crate) async fn with(tenant: Tenant, options: SandboxOptions) -> Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = Sandbox::start(listener, tenant, options).await.unwrap();
        let control = sandbox.control();
        let mut client = Client {
            sandbox,
            control,
            http: reqwest::Client::new(),
            token: String::new(),
        };
        client.renew().await;
        client.control.reset_requests();
        client
    }

    /// Fetches a new token.
    pub(crate) async fn renew(&mut self) {
        let got = self.login(&[]).await;
        assert_eq!(got.status, 200, "{}", got.body);
        self.token = got.body["access_token"].as_str().unwrap().to_owned();
    }

    /// Asks for a token; a changed field of the form replaces the right one, an empty one removes it.
    pub(crate) async fn login(&self, changed: &[(&str, &str)]) -> Got {
        let tenant = changed
            .iter()
            .find(|(name, _)| *name == "tenant")
            .map_or(DEMO_TENANT_ID, |(_, value)| value);
        let right = [
            ("client_id", DEMO_CLIENT_ID),
            ("client_secret", DEMO_CLIENT_SECRET),
            ("scope", "https://graph.microsoft.com/.default"),
            ("grant_type", "client_credentials"),
        ];
        let form: Vec<(&str, &str)> = right
            .into_iter()
            .map(|(name, value)| {
                (
                    name,
                    changed
                        .iter()
                        .find(|(other, _)| *other == name)
                        .map_or(value, |(_, value)| value),
                )
            })
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.sandbox.url());
        read(self.http.post(url).form(&form).send().await.unwrap()).await
    }

    /// A GET with the token; `path` is below `/v1.0`, or a whole link.
    pub(crate) fn request(&self, path: &str) -> RequestBuilder {
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => format!("{}/v1.0{path}", self.sandbox.url()),
        };
        self.http.get(url).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        read(self.request(path).send().await.unwrap()).await
    }

    /// Follows next links to the end; the pages, the last of which may carry a delta link.
    pub(crate) async fn pages(&self, path: &str) -> Vec<Got> {
        let mut pages = vec![self.get(path).await];
        while let Some(next) = pages.last().unwrap().link("nextLink") {
            pages.push(self.get(&next).await);
            assert!(pages.len() < 5000, "the list does not end");
        }
        for page in &pages {
            assert_eq!(page.status, 200, "{}", page.body);
        }
        pages
    }

    /// All items of a delta round, and the link to the next one.
    pub(crate) async fn round(&self, path: &str) -> (Vec<Value>, String) {
        let pages = self.pages(path).await;
        let link = pages
            .last()
            .unwrap()
            .link("deltaLink")
            .expect("a delta link at the end");
        (
            pages
                .iter()
                .flat_map(|page| page.items().to_vec())
                .collect(),
            link,
        )
    }

    /// A call of the control API.
    pub(crate) async fn control_call(&self, method: &str, path: &str, body: Value) -> Got {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/sandbox{path}", self.sandbox.url());
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        read(
            self.http
                .request(method, url)
                .body(body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }
}

pub(crate) async fn read(response: Response) -> Got {
    let status = response.status();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Got { status, body }
}

/// The item of an id.
pub(crate) fn item<'a>(items: &'a [Value], id: &str) -> &'a Value {
    items
        .iter()
        .find(|item| item["id"] == id)
        .unwrap_or_else(|| panic!("no {id} in {items:?}"))
}
