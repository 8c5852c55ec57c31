//! The controls of users and groups over HTTP: what an administrator would do in the portal.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::control::Control;
use crate::control_http::{Answered, done, read};
use crate::directory::Kind;
use crate::edit::EditError;

/// The control calls of users and groups.
pub(crate) fn routes() -> Router<Control> {
    Router::new()
        .route("/users", get(user_ids).post(create_user))
        .route(
            "/users/{id}",
            get(user).merge(patch(patch_user)).delete(delete_user),
        )
        .route("/users/{id}/restore", post(restore_user))
        .route(
            "/users/{id}/manager",
            put(set_manager).delete(clear_manager),
        )
        .route("/groups", get(group_ids).post(create_group))
        .route(
            "/groups/{id}",
            get(group).merge(patch(patch_group)).delete(delete_group),
        )
        .route("/groups/{id}/restore", post(restore_group))
        .route("/groups/{id}/members", get(member_ids))
        .route(
            "/groups/{id}/members/{member}",
            put(add_member).delete(remove_member),
        )
        .route("/groups/{id}/owners", get(owner_ids))
        .route(
            "/groups/{id}/owners/{owner}",
            put(add_owner).delete(remove_owner),
        )
}

async fn user_ids(State(control): State<Control>) -> Answered {
    Ok(Json(json!({ "ids": control.user_ids() })))
}

async fn group_ids(State(control): State<Control>) -> Answered {
    Ok(Json(json!({ "ids": control.group_ids() })))
}

async fn user(State(control): State<Control>, Path(id): Path<String>) -> Answered {
    let user = control
        .user(&id)
        .ok_or(EditError::NotFound { what: "user", id })?;
    Ok(Json(user))
}

async fn group(State(control): State<Control>, Path(id): Path<String>) -> Answered {
    let group = control
        .group(&id)
        .ok_or(EditError::NotFound { what: "group", id })?;
    Ok(Json(group))
}

async fn create_user(State(control): State<Control>, body: Bytes) -> Answered {
    Ok(Json(
        json!({ "id": control.create(Kind::User, read(&body)?)? }),
    ))
}

async fn create_group(State(control): State<Control>, body: Bytes) -> Answered {
    Ok(Json(
        json!({ "id": control.create(Kind::Group, read(&body)?)? }),
    ))
}

async fn patch_user(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answered {
    control.patch(Kind::User, &id, read(&body)?)?;
    done()
}

async fn patch_group(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answered {
    control.patch(Kind::Group, &id, read(&body)?)?;
    done()
}

#[derive(Deserialize)]
struct Deletion {
    #[serde(default)]
    purge: bool,
}

async fn delete_user(
    State(control): State<Control>,
    Path(id): Path<String>,
    Query(how): Query<Deletion>,
) -> Answered {
    remove(&control, Kind::User, &id, &how)
}

async fn delete_group(
    State(control): State<Control>,
    Path(id): Path<String>,
    Query(how): Query<Deletion>,
) -> Answered {
    remove(&control, Kind::Group, &id, &how)
}

fn remove(control: &Control, kind: Kind, id: &str, how: &Deletion) -> Answered {
    match how.purge {
        true => control.purge(kind, id)?,
        false => control.delete(kind, id)?,
    }
    done()
}

async fn restore_user(State(control): State<Control>, Path(id): Path<String>) -> Answered {
    control.restore(Kind::User, &id)?;
    done()
}

async fn restore_group(State(control): State<Control>, Path(id): Path<String>) -> Answered {
    control.restore(Kind::Group, &id)?;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManagerOf {
    id: String,
}

async fn set_manager(
    State(control): State<Control>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answered {
    control.set_manager(&id, Some(&read::<ManagerOf>(&body)?.id))?;
    done()
}

async fn clear_manager(State(control): State<Control>, Path(id): Path<String>) -> Answered {
    control.set_manager(&id, None)?;
    done()
}

async fn member_ids(State(control): State<Control>, Path(id): Path<String>) -> Answered {
    Ok(Json(json!({ "ids": control.member_ids(&id) })))
}

async fn add_member(
    State(control): State<Control>,
    Path((group, member)): Path<(String, String)>,
) -> Answered {
    Ok(Json(
        json!({ "added": control.add_member(&group, &member)? }),
    ))
}

async fn remove_member(
    State(control): State<Control>,
    Path((group, member)): Path<(String, String)>,
) -> Answered {
    Ok(Json(
        json!({ "removed": control.remove_member(&group, &member)? }),
    ))
}

async fn owner_ids(State(control): State<Control>, Path(id): Path<String>) -> Answered {
    Ok(Json(json!({ "ids": control.owner_ids(&id) })))
}

async fn add_owner(
    State(control): State<Control>,
    Path((group, owner)): Path<(String, String)>,
) -> Answered {
    Ok(Json(json!({ "added": control.add_owner(&group, &owner)? })))
}

async fn remove_owner(
    State(control): State<Control>,
    Path((group, owner)): Path<(String, String)>,
) -> Answered {
    Ok(Json(
        json!({ "removed": control.remove_owner(&group, &owner)? }),
    ))
}
