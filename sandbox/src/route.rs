//! From paths to what they ask for.

use crate::directory::Kind;
use crate::error::GraphError;
use crate::permission::Access;
use crate::query::{Options, decode_path};

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Users,
    User(String),
    Manager(String),
    Delta(Kind),
    Groups,
    Group(String),
    Members(String, Option<Kind>),
    TransitiveMembers(String, Option<Kind>),
    Owners(String, Option<Kind>),
    Organization,
    Deleted(Kind),
    Batch,
}

impl Route {
    /// Reads a path such as `/v1.0/users/delta`.
    pub(crate) fn of(path: &str) -> Result<Route, GraphError> {
        let rest = path.strip_prefix("/v1.0/").ok_or_else(|| {
            let segment = path
                .split('/')
                .find(|segment| !segment.is_empty())
                .unwrap_or_default();
            GraphError::unknown_segment(&decode_path(segment))
        })?;
        let segments: Vec<String> = rest
            .split('/')
            .flat_map(|segment| keyed(&decode_path(segment)))
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        Route::of_segments(&segments)
    }

    fn of_segments(segments: &[&str]) -> Result<Route, GraphError> {
        let route = match segments {
            ["users"] => Route::Users,
            ["users", "delta" | "delta()" | "microsoft.graph.delta()"] => Route::Delta(Kind::User),
            ["users", id] if !id.is_empty() => Route::User((*id).to_owned()),
            ["users", id, "manager"] => Route::Manager((*id).to_owned()),
            ["groups"] => Route::Groups,
            ["groups", "delta" | "delta()" | "microsoft.graph.delta()"] => {
                Route::Delta(Kind::Group)
            }
            ["groups", id] if !id.is_empty() => Route::Group((*id).to_owned()),
            [
                "groups",
                id,
                list @ ("members" | "transitiveMembers" | "owners"),
                rest @ ..,
            ] => {
                let cast = cast(rest)?;
                match *list {
                    "members" => Route::Members((*id).to_owned(), cast),
                    "transitiveMembers" => Route::TransitiveMembers((*id).to_owned(), cast),
                    _ => Route::Owners((*id).to_owned(), cast),
                }
            }
            ["organization"] => Route::Organization,
            ["directory", "deletedItems", "microsoft.graph.user"] => Route::Deleted(Kind::User),
            ["directory", "deletedItems", "microsoft.graph.group"] => Route::Deleted(Kind::Group),
            ["$batch"] => Route::Batch,
            _ => return Err(GraphError::unknown_segment(culprit(segments))),
        };
        Ok(route)
    }

    /// The name in the request log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Route::Users => "users.list",
            Route::User(_) => "users.get",
            Route::Manager(_) => "users.manager",
            Route::Delta(Kind::User) => "users.delta",
            Route::Delta(_) => "groups.delta",
            Route::Groups => "groups.list",
            Route::Group(_) => "groups.get",
            Route::Members(..) => "groups.members",
            Route::TransitiveMembers(..) => "groups.transitiveMembers",
            Route::Owners(..) => "groups.owners",
            Route::Organization => "organization",
            Route::Deleted(Kind::User) => "deletedItems.users",
            Route::Deleted(_) => "deletedItems.groups",
            Route::Batch => "batch",
        }
    }

    /// The permission it needs; a batch needs none, its items do.
    pub(crate) fn access(&self) -> Option<Access> {
        match self {
            Route::Users | Route::User(_) | Route::Manager(_) => Some(Access::Users),
            Route::Delta(Kind::User) | Route::Deleted(Kind::User) => Some(Access::Users),
            Route::Deleted(_) => Some(Access::DeletedGroups),
            Route::Delta(_) | Route::Groups | Route::Group(_) => Some(Access::Groups),
            Route::Members(..) | Route::TransitiveMembers(..) | Route::Owners(..) => {
                Some(Access::Groups)
            }
            Route::Organization => Some(Access::Organization),
            Route::Batch => None,
        }
    }

    /// What the request costs in resource units.
    pub(crate) fn cost(&self, options: &Options) -> u32 {
        let base = match self {
            Route::Users => 2,
            Route::Members(..) => 3,
            Route::TransitiveMembers(..) => 5,
            _ => 1,
        };
        let is_small = options
            .get("$top")
            .and_then(|top| top.parse::<u32>().ok())
            .is_some_and(|top| top < 20);
        let more = u32::from(options.get("$expand").is_some());
        let less = u32::from(options.get("$select").is_some()) + u32::from(is_small);
        (base + more).saturating_sub(less).max(1)
    }
}

/// Splits `users('{id}')` into its two parts.
fn keyed(segment: &str) -> Vec<String> {
    let key = segment
        .strip_suffix("')")
        .and_then(|start| start.split_once("('"));
    match key {
        Some((set @ ("users" | "groups"), id)) => vec![set.to_owned(), id.replace("''", "'")],
        _ => vec![segment.to_owned()],
    }
}

fn cast(rest: &[&str]) -> Result<Option<Kind>, GraphError> {
    match rest {
        [] => Ok(None),
        ["microsoft.graph.user"] => Ok(Some(Kind::User)),
        ["microsoft.graph.group"] => Ok(Some(Kind::Group)),
        [other, ..] => Err(GraphError::unknown_segment(other)),
    }
}

/// The first segment that leads nowhere.
fn culprit<'a>(segments: &[&'a str]) -> &'a str {
    let known_at = |at: usize, segment: &str| match at {
        0 => matches!(segment, "users" | "groups" | "directory"),
        1 => segments[0] != "directory" || segment == "deletedItems",
        _ => false,
    };
    let found = segments
        .iter()
        .enumerate()
        .find(|(at, segment)| !known_at(*at, segment));
    found
        .map(|(_, segment)| *segment)
        .or(segments.last().copied())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_graph_leads_them() {
        let of = |path: &str| Route::of(path).unwrap();
        assert_eq!(of("/v1.0/users"), Route::Users);
        assert_eq!(of("/v1.0/users/delta"), Route::Delta(Kind::User));
        assert_eq!(
            of("/v1.0/groups/microsoft.graph.delta()"),
            Route::Delta(Kind::Group)
        );
        assert_eq!(
            of("/v1.0/users/a%23EXT%23@b/manager"),
            Route::Manager("a#EXT#@b".into())
        );
        assert_eq!(of("/v1.0/users('x')"), Route::User("x".into()));
        assert_eq!(
            of("/v1.0/groups/g/members/microsoft.graph.user"),
            Route::Members("g".into(), Some(Kind::User))
        );
    }

    #[test]
    fn an_unknown_path_names_the_segment_that_leads_nowhere() {
        let message = |path: &str| Route::of(path).unwrap_err().message;
        assert_eq!(
            message("/v1.0/planets"),
            "Resource not found for the segment 'planets'."
        );
        assert_eq!(
            message("/v1.0/users/a/memberOf"),
            "Resource not found for the segment 'memberOf'."
        );
        assert_eq!(
            message("/v1.0/directory/administrativeUnits"),
            "Resource not found for the segment 'administrativeUnits'."
        );
        assert_eq!(
            message("/beta/users"),
            "Resource not found for the segment 'beta'."
        );
        assert_eq!(
            message("/v1.0/users/"),
            "Resource not found for the segment ''."
        );
        assert!(Route::of("/").is_err());
    }
}
