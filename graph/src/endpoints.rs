//! Where a tenant lives: the Graph and login hosts of each Microsoft cloud, or of a sandbox.

use std::net::IpAddr;

use reqwest::Url;

use crate::GraphError;

/// One of Microsoft's clouds. Tokens of one are worth nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cloud {
    /// The worldwide cloud, GCC included.
    #[default]
    Global,
    /// US Government L4 (GCC High).
    UsGov,
    /// US Government L5 (Department of Defense).
    UsGovDod,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// All clouds.
    pub const ALL: [Self; 4] = [Self::Global, Self::UsGov, Self::UsGovDod, Self::China];

    const fn graph_host(self) -> &'static str {
        match self {
            Self::Global => "graph.microsoft.com",
            Self::UsGov => "graph.microsoft.us",
            Self::UsGovDod => "dod-graph.microsoft.us",
            Self::China => "microsoftgraph.chinacloudapi.cn",
        }
    }

    const fn login_host(self) -> &'static str {
        match self {
            Self::Global => "login.microsoftonline.com",
            Self::UsGov | Self::UsGovDod => "login.microsoftonline.us",
            Self::China => "login.partner.microsoftonline.cn",
        }
    }
}

/// The two hosts a client talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Root of Microsoft Graph, without the version.
    pub graph: Url,
    /// Root of the login host, without the tenant.
    pub login: Url,
}

impl Endpoints {
    /// Returns the endpoints of the worldwide cloud.
    pub fn global() -> Self {
        Self::of(Cloud::Global)
    }

    /// Returns the endpoints of US Government L4.
    pub fn us_gov() -> Self {
        Self::of(Cloud::UsGov)
    }

    /// Returns the endpoints of US Government L5.
    pub fn us_gov_dod() -> Self {
        Self::of(Cloud::UsGovDod)
    }

    /// Returns the endpoints of the Chinese cloud.
    pub fn china() -> Self {
        Self::of(Cloud::China)
    }

    /// Returns the endpoints of a cloud.
    pub fn of(cloud: Cloud) -> Self {
        Self {
            graph: https(cloud.graph_host()),
            login: https(cloud.login_host()),
        }
    }

    /// Replaces the hosts that are given, for a sandbox.
    #[must_use]
    pub fn overridden(self, graph: Option<Url>, login: Option<Url>) -> Self {
        Self {
            graph: graph.unwrap_or(self.graph),
            login: login.unwrap_or(self.login),
        }
    }

    /// Refuses plain HTTP to anything but this machine, and addresses that could not be prefixes.
    pub(crate) fn check(&self) -> Result<(), GraphError> {
        for url in [&self.graph, &self.login] {
            let safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
            if !safe {
                return Err(GraphError::Configuration {
                    reason: "Graph and login addresses must use https",
                });
            }
            let bare = url.query().is_none() && url.fragment().is_none();
            if !bare || !url.username().is_empty() || url.password().is_some() {
                return Err(GraphError::Configuration {
                    reason: "Graph and login addresses must be plain roots",
                });
            }
        }
        Ok(())
    }

    /// Whether both hosts are this machine; then no proxy of the environment may come between.
    pub(crate) fn are_loopback(&self) -> bool {
        is_loopback(&self.graph) && is_loopback(&self.login)
    }

    /// Whether a host is asked in plain text, which only [`check`](Self::check)ed loopback hosts are.
    pub(crate) fn use_plain_http(&self) -> bool {
        [&self.graph, &self.login]
            .iter()
            .any(|url| url.scheme() == "http")
    }

    /// The scope to ask a token for. A host we do not know stands in for the worldwide cloud.
    pub(crate) fn scope(&self) -> String {
        let named = |cloud: &Cloud| self.graph.host_str() == Some(cloud.graph_host());
        let cloud = Cloud::ALL.into_iter().find(named).unwrap_or_default();
        format!("https://{}/.default", cloud.graph_host())
    }
}

fn https(host: &str) -> Url {
    #[expect(
        clippy::expect_used,
        reason = "the hosts are constants of this file, and a test parses all of them"
    )]
    Url::parse(&format!("https://{host}/")).expect("a constant host")
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(graph: &str) -> Endpoints {
        Endpoints::global().overridden(Some(Url::parse(graph).unwrap()), None)
    }

    #[test]
    fn every_cloud_has_its_own_hosts_and_scope() {
        let scopes: Vec<String> = Cloud::ALL
            .iter()
            .map(|cloud| Endpoints::of(*cloud).scope())
            .collect();
        assert_eq!(
            scopes,
            [
                "https://graph.microsoft.com/.default",
                "https://graph.microsoft.us/.default",
                "https://dod-graph.microsoft.us/.default",
                "https://microsoftgraph.chinacloudapi.cn/.default",
            ]
        );
        assert_eq!(
            Endpoints::china().login.as_str(),
            "https://login.partner.microsoftonline.cn/"
        );
        assert_eq!(Endpoints::us_gov_dod().login, Endpoints::us_gov().login);
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for allowed in [
            "http://127.0.0.1:1/",
            "http://localhost:8080/",
            "http://[::1]:9/",
            "https://graph.example/",
        ] {
            assert!(at(allowed).check().is_ok(), "{allowed}");
        }
        for refused in [
            "http://graph.microsoft.com/",
            "http://127.0.0.1.evil.example/",
            "ftp://localhost/",
        ] {
            assert!(at(refused).check().is_err(), "{refused}");
        }
    }

    #[test]
    fn a_sandbox_is_asked_for_the_scope_of_the_worldwide_cloud() {
        assert_eq!(
            at("http://127.0.0.1:1/").scope(),
            "https://graph.microsoft.com/.default"
        );
    }
}
