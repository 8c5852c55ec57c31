//! The controls over HTTP, below `/sandbox/`. They ask for no token: the sandbox is a tool for
//! one's own machine.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::churn::Churn;
use crate::control::Control;
use crate::control_directory;
use crate::edit::EditError;
use crate::fault::Fault;
use crate::options::OptionsPatch;

/// Largest body of a control request.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// What every control call gives.
pub(crate) type Answered = Result<Json<Value>, Refusal>;

/// All control calls.
pub(crate) fn router(control: Control) -> Router<()> {
    Router::new()
        .route("/state", get(state))
        .route("/requests", get(requests))
        .route("/requests/reset", post(reset_requests))
        .route("/options", put(set_options))
        .route("/tokens/revoke", post(revoke_tokens))
        .route("/delta/expire", post(expire_delta))
        .route("/delta/skip", post(skip_changes))
        .route("/pages/expire", post(expire_pages))
        .route("/clock/advance", post(advance_clock))
        .route("/churn", post(churn))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/gates", get(gates))
        .route("/gates/open", post(open_gates))
        .merge(control_directory::routes())
        .fallback(|| async {
            Refusal(StatusCode::NOT_FOUND, "there is no such control".to_owned())
        })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(control)
}

/// A control call that cannot be carried out.
pub(crate) struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": { "message": self.1 } }))).into_response()
    }
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Refusal {
        let status = match &error {
            EditError::NotFound { .. } => StatusCode::NOT_FOUND,
            EditError::Conflict(_) => StatusCode::CONFLICT,
            EditError::Invalid(_) => StatusCode::BAD_REQUEST,
        };
        Refusal(status, error.to_string())
    }
}

/// Reads a body whatever content type it claims; an empty one counts as `{}`.
pub(crate) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))
}

/// The answer of a call that has nothing to tell.
pub(crate) fn done() -> Answered {
    Ok(Json(json!({ "ok": true })))
}

async fn state(State(control): State<Control>) -> Answered {
    Ok(Json(json!(control.state())))
}

async fn requests(State(control): State<Control>) -> Answered {
    let counts = control.request_counts();
    Ok(Json(json!({
        "total": counts.total(),
        "refused": counts.refused(),
        "by_kind": counts.by_kind,
        "last": control.requests(),
    })))
}

async fn reset_requests(State(control): State<Control>) -> Answered {
    control.reset_requests();
    done()
}

async fn set_options(State(control): State<Control>, body: Bytes) -> Answered {
    control.set_options(read::<OptionsPatch>(&body)?);
    Ok(Json(json!(control.options())))
}

async fn revoke_tokens(State(control): State<Control>) -> Answered {
    Ok(Json(json!({ "revoked": control.revoke_tokens() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    #[serde(default)]
    status: Option<u16>,
}

async fn expire_delta(State(control): State<Control>, body: Bytes) -> Answered {
    let status = read::<Expire>(&body)?.status.unwrap_or(410);
    if status != 410 && status != 400 {
        return Err(Refusal(
            StatusCode::BAD_REQUEST,
            "'status' must be 410 or 400".to_owned(),
        ));
    }
    control.expire_delta_tokens(status);
    done()
}

async fn expire_pages(State(control): State<Control>) -> Answered {
    control.expire_page_tokens();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    count: u32,
}

async fn skip_changes(State(control): State<Control>, body: Bytes) -> Answered {
    control.skip_changes(read::<Skip>(&body)?.count);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Advance {
    days: u32,
    seconds: u64,
}

async fn advance_clock(State(control): State<Control>, body: Bytes) -> Answered {
    let Advance { days, seconds } = read(&body)?;
    let seconds = seconds.saturating_add(u64::from(days) * 86_400);
    control.advance_clock(Duration::from_secs(seconds));
    Ok(Json(json!({ "now": control.state().now })))
}

async fn churn(State(control): State<Control>, body: Bytes) -> Answered {
    Ok(Json(json!(control.churn(&read::<Churn>(&body)?))))
}

async fn faults(State(control): State<Control>) -> Answered {
    Ok(Json(json!({ "faults": control.faults() })))
}

async fn add_fault(State(control): State<Control>, body: Bytes) -> Answered {
    let fault = Fault::from_json(read(&body)?).map_err(EditError::Invalid)?;
    Ok(Json(json!({ "id": control.add_fault(fault)? })))
}

async fn clear_faults(State(control): State<Control>) -> Answered {
    control.clear_faults();
    done()
}

async fn remove_fault(State(control): State<Control>, Path(id): Path<u64>) -> Answered {
    match control.remove_fault(id) {
        true => done(),
        false => Err(Refusal(
            StatusCode::NOT_FOUND,
            format!("there is no fault {id}"),
        )),
    }
}

async fn gates(State(control): State<Control>) -> Answered {
    Ok(Json(json!({ "waiting": control.gates_waiting() })))
}

async fn open_gates(State(control): State<Control>) -> Answered {
    Ok(Json(json!({ "opened": control.open_gates() })))
}
