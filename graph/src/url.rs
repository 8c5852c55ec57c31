//! The only place where addresses are composed. Everything the crate can ask for is in this file.

use reqwest::Url;

use crate::{GroupSelect, UserSelect, link};

/// Largest page Graph gives. One more is an error, not a shorter page.
pub(crate) const LARGEST_PAGE: u16 = 999;

/// Path of a batch.
pub(crate) const BATCH: &str = "/$batch";
/// Path of the tenant's own record.
pub(crate) const ORGANIZATION: &str = "/organization?$select=id,displayName,verifiedDomains";
/// Path of the soft-deleted users.
pub(crate) const DELETED_USERS: &str =
    "/directory/deletedItems/microsoft.graph.user?$select=id,deletedDateTime";
/// Path of the soft-deleted groups.
pub(crate) const DELETED_GROUPS: &str =
    "/directory/deletedItems/microsoft.graph.group?$select=id,deletedDateTime";

/// How a list of users brings their managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expand {
    /// Not at all.
    Nothing,
    /// Only their ids.
    ManagerId,
    /// Whole, for a Graph that refuses the select.
    Manager,
}

/// Whom a list of a group names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The direct members.
    Members,
    /// The owners.
    Owners,
}

impl Relation {
    const fn segment(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Owners => "owners",
        }
    }
}

/// Path of a list of users.
pub(crate) fn users(select: UserSelect, expand: Expand, top: u16) -> String {
    let expand = match expand {
        Expand::Nothing => "",
        Expand::ManagerId => "&$expand=manager($select=id)",
        Expand::Manager => "&$expand=manager",
    };
    format!("/users?$select={}{expand}&$top={top}", select.properties())
}

/// Path of the first round of changes of users. Delta knows neither `$top` nor `$expand`.
pub(crate) fn users_delta(select: UserSelect) -> String {
    format!("/users/delta?$select={}", select.tracked())
}

/// Path of one user.
pub(crate) fn user(id: &str, select: UserSelect) -> String {
    format!("/users/{}?$select={}", segment(id), select.properties())
}

/// Path of a list of groups.
pub(crate) fn groups(select: GroupSelect, top: u16) -> String {
    format!("/groups?$select={}&$top={top}", select.properties())
}

/// Path of the first round of changes of groups.
pub(crate) fn groups_delta(select: GroupSelect) -> String {
    format!("/groups/delta?$select={}", select.tracked())
}

/// Path of one group.
pub(crate) fn group(id: &str, select: GroupSelect) -> String {
    format!("/groups/{}?$select={}", segment(id), select.properties())
}

/// Path of the direct members or of the owners of a group.
pub(crate) fn related(group: &str, relation: Relation, top: u16) -> String {
    format!(
        "/groups/{}/{}?$select=id&$top={top}",
        segment(group),
        relation.segment()
    )
}

/// Asks a delta path for no objects, only for the link to later changes.
pub(crate) fn from_now(delta: &str) -> String {
    format!("{delta}&$deltatoken=latest")
}

/// Address of the token endpoint of a (checked) tenant.
pub(crate) fn token(login: &Url, tenant: &str) -> String {
    format!(
        "{}/{tenant}/oauth2/v2.0/token",
        login.as_str().trim_end_matches('/')
    )
}

/// The root all addresses begin with.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    graph: Url,
    text: String,
    path: String,
}

impl Root {
    pub(crate) fn new(graph: &Url) -> Self {
        let text = format!("{}/v1.0", graph.as_str().trim_end_matches('/'));
        let path = format!("{}/v1.0/", graph.path().trim_end_matches('/'));
        Self {
            graph: graph.clone(),
            text,
            path,
        }
    }

    /// Puts the root before a path.
    pub(crate) fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Parses a link, if it leads to our Graph and will be sent as it stands.
    pub(crate) fn own(&self, link: &str) -> Option<Url> {
        let url = link::verbatim(link)?;
        let same_origin = url.origin() == self.graph.origin();
        let same_user =
            url.username() == self.graph.username() && url.password() == self.graph.password();
        (same_origin && same_user && url.path().starts_with(&self.path)).then_some(url)
    }

    /// Whether one of our links leads to a collection, so that a link to groups never reads users.
    pub(crate) fn leads_to(&self, url: &Url, collection: &str) -> bool {
        let Some(rest) = url.path().strip_prefix(&self.path) else {
            return false;
        };
        let first = rest.split(['/', '(']).next().unwrap_or_default();
        first.eq_ignore_ascii_case(collection)
    }
}

/// Encodes an id, which is opaque, so that it stays one segment of a path.
fn segment(id: &str) -> String {
    let keep = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_~.".contains(byte);
    id.bytes()
        .map(|byte| {
            if keep(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "id,displayName,givenName,surname,mail,userPrincipalName,accountEnabled,userType,jobTitle,employeeId";
    const GROUP: &str = "id,displayName,description,mail,mailNickname,mailEnabled,securityEnabled,groupTypes,visibility";

    fn root() -> Root {
        Root::new(&Url::parse("https://graph.microsoft.com/").unwrap())
    }

    #[test]
    fn these_are_all_requests() {
        let (plain, manager) = (UserSelect { manager: false }, UserSelect { manager: true });
        let bare = GroupSelect::default();
        let with_members = GroupSelect {
            members: true,
            ..bare
        };
        assert_eq!(
            users(plain, Expand::Nothing, 999),
            format!("/users?$select={FIELDS}&$top=999")
        );
        assert_eq!(
            users(manager, Expand::ManagerId, 999),
            format!("/users?$select={FIELDS}&$expand=manager($select=id)&$top=999")
        );
        assert_eq!(
            users(manager, Expand::Manager, 999),
            format!("/users?$select={FIELDS}&$expand=manager&$top=999")
        );
        assert_eq!(users_delta(plain), format!("/users/delta?$select={FIELDS}"));
        assert_eq!(
            users_delta(manager),
            format!("/users/delta?$select={FIELDS},manager")
        );
        let latest = format!("/users/delta?$select={FIELDS}&$deltatoken=latest");
        assert_eq!(from_now(&users_delta(plain)), latest);
        assert_eq!(user("a-1", manager), format!("/users/a-1?$select={FIELDS}"));
        assert_eq!(groups(bare, 5), format!("/groups?$select={GROUP}&$top=5"));
        assert_eq!(
            groups_delta(with_members),
            format!("/groups/delta?$select={GROUP},members")
        );
        let with_owners = GroupSelect {
            owners: true,
            ..with_members
        };
        assert_eq!(
            groups_delta(with_owners),
            format!("/groups/delta?$select={GROUP},members,owners")
        );
        assert_eq!(
            group("g-1", with_owners),
            format!("/groups/g-1?$select={GROUP}")
        );
        assert_eq!(
            related("g-1", Relation::Members, 999),
            "/groups/g-1/members?$select=id&$top=999"
        );
        assert_eq!(
            related("g-1", Relation::Owners, 999),
            "/groups/g-1/owners?$select=id&$top=999"
        );
        let login = Url::parse("https://login.microsoftonline.com/").unwrap();
        assert_eq!(
            token(&login, "contoso.com"),
            "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
        );
    }

    #[test]
    fn every_request_is_sent_as_it_is_composed() {
        let users_select = UserSelect { manager: true };
        let groups_select = GroupSelect {
            members: true,
            owners: true,
        };
        for path in [
            users(users_select, Expand::ManagerId, 999),
            from_now(&users_delta(users_select)),
            groups_delta(groups_select),
            user("a b/c?d#e'f", users_select),
            group("a b/c?d#e'f", groups_select),
            related("a b/c?d#e'f", Relation::Members, 999),
            related("a b/c?d#e'f", Relation::Owners, 999),
            BATCH.to_owned(),
            ORGANIZATION.to_owned(),
            DELETED_USERS.to_owned(),
            DELETED_GROUPS.to_owned(),
        ] {
            let address = root().absolute(&path);
            assert_eq!(root().own(&address).unwrap().as_str(), address);
        }
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        assert_eq!(
            related("../users/x?y#z", Relation::Members, 1),
            "/groups/..%2Fusers%2Fx%3Fy%23z/members?$select=id&$top=1"
        );
        let up = root().absolute(&related("..", Relation::Members, 1));
        assert!(root().own(&up).is_none());
    }

    #[test]
    fn only_links_to_our_graph_are_our_own() {
        assert!(
            root()
                .own("https://graph.microsoft.com:443/v1.0/users?$skiptoken=x")
                .is_some()
        );
        for foreign in [
            "https://graph.microsoft.com.evil.example/v1.0/users",
            "https://evil.example/v1.0/users",
            "http://graph.microsoft.com/v1.0/users",
            "https://graph.microsoft.com:444/v1.0/users",
            "https://graph.microsoft.com/beta/users",
            "https://graph.microsoft.com/v1.0users",
            "https://graph.microsoft.com/v1.0/../beta/users",
            "https://a:b@graph.microsoft.com/v1.0/users",
            "https://graph.microsoft.com@evil.example/v1.0/users",
            "https:/\\evil.example/v1.0/users",
        ] {
            assert!(root().own(foreign).is_none(), "{foreign}");
        }
    }

    #[test]
    fn a_link_knows_its_collection() {
        let url = root()
            .own("https://graph.microsoft.com/v1.0/users/delta?$deltatoken=x")
            .unwrap();
        assert!(root().leads_to(&url, "users"));
        assert!(!root().leads_to(&url, "groups"));
    }

    #[test]
    fn a_sandbox_may_live_below_a_path() {
        let root = Root::new(&Url::parse("http://127.0.0.1:8080/graph/").unwrap());
        assert_eq!(
            root.absolute(BATCH),
            "http://127.0.0.1:8080/graph/v1.0/$batch"
        );
        assert!(root.own("http://127.0.0.1:8080/v1.0/users").is_none());
    }
}
