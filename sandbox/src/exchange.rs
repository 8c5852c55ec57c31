//! One request and its answer: faults, token, permission, read, headers, log.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};

use serde_json::Value;

use crate::answer::Answer;
use crate::batch;
use crate::delta::DeltaRequest;
use crate::directory::Kind;
use crate::error::{GraphError, RequestIds};
use crate::fault::FaultKind;
use crate::faults::Active;
use crate::inject::{self, Delivery};
use crate::lists::Read;
use crate::login;
use crate::permission::Access;
use crate::query::{self, Options};
use crate::requests::{PendingLine, RequestLine};
use crate::route::Route;
use crate::server::Server;
use crate::{groups, organization, users};

/// A request to Graph, alone or in a batch.
#[derive(Debug, Clone)]
pub(crate) struct GraphRequest {
    pub(crate) method: Method,
    /// The path as sent, such as `/v1.0/users`.
    pub(crate) path: String,
    /// The query as sent, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) batched: bool,
}

impl GraphRequest {
    fn target(&self) -> String {
        match self.query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, self.query),
        }
    }
}

/// Answers a request to Graph.
pub(crate) async fn graph(server: &Arc<Server>, request: GraphRequest) -> (Answer, Delivery) {
    let ids = RequestIds::of(&request.headers, server.clock.now());
    let options = Options::parse_odata(&request.query);
    let route = Route::of(&request.path);
    let kind = match &route {
        Ok(_) if !is_allowed(&route, &request.method) => "refused",
        Ok(route) => route.name(),
        Err(_) => "refused",
    };
    let target = request.target();
    let line = begin(server, &request.method, &target, kind, request.batched);
    let active = server
        .faults
        .happening(&query::decode_path(&target), kind, request.batched);
    let mut answer = match inject::before(server, &active, &ids, false).await {
        Some(answer) => answer,
        None => match respond(server, &request, route.clone(), &options, &active).await {
            Ok(body) => Answer::json(StatusCode::OK, body),
            Err(error) => error.into_answer(&ids),
        },
    };
    let own_url = format!("{}{target}", server.base);
    inject::after(server, &active, &mut answer, &own_url);
    add_headers(
        &mut answer,
        &ids,
        route.ok().map(|route| route.cost(&options)),
        &request.headers,
    );
    line.answered(answer.status.as_u16());
    (answer, inject::delivery(&active))
}

/// Answers a request for a token.
pub(crate) async fn token(
    server: &Arc<Server>,
    tenant: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> (Answer, Delivery) {
    let ids = RequestIds::of(headers, server.clock.now());
    // Without the query: whoever puts a secret there shall not find it in the log.
    let target = format!("/{tenant}/oauth2/v2.0/token");
    let line = begin(server, &Method::POST, &target, "token", false);
    let active = server.faults.happening(&target, "token", false);
    let mut answer = match inject::before(server, &active, &ids, true).await {
        Some(answer) => answer,
        None => {
            let form = Options::parse(&String::from_utf8_lossy(body));
            let settings = server.settings(Clone::clone);
            login::answer(
                &settings,
                &mut server.tokens(),
                &server.base,
                tenant,
                &form,
                &ids,
            )
        }
    };
    inject::after(server, &active, &mut answer, "");
    answer.set_header(
        HeaderName::from_static("x-ms-request-id"),
        ids.request.clone(),
    );
    answer.set_header(
        HeaderName::from_static("client-request-id"),
        ids.client.clone(),
    );
    line.answered(answer.status.as_u16());
    (answer, inject::delivery(&active))
}

fn begin(server: &Server, method: &Method, target: &str, kind: &str, batched: bool) -> PendingLine {
    server.requests.begin(RequestLine {
        at: server.clock.now(),
        method: method.to_string(),
        target: target.to_owned(),
        kind: kind.to_owned(),
        status: 0,
        batched,
    })
}

fn is_allowed(route: &Result<Route, GraphError>, method: &Method) -> bool {
    match route {
        Ok(Route::Batch) => method == Method::POST,
        Ok(_) => method == Method::GET,
        Err(_) => true,
    }
}

async fn respond(
    server: &Arc<Server>,
    request: &GraphRequest,
    route: Result<Route, GraphError>,
    options: &Options,
    active: &[Active],
) -> Result<Value, GraphError> {
    let authorization = request
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let issued = server.tokens().check(authorization, server.clock.now())?;
    if !is_allowed(&route, &request.method) {
        return Err(GraphError::method_not_allowed());
    }
    let route = route?;
    if let Some(access) = route.access() {
        access.check(&issued.permissions)?;
    }
    match route {
        Route::Batch if request.batched => {
            Err(GraphError::bad_request("A batch cannot contain a batch."))
        }
        // Boxed: an item of a batch is such an exchange itself.
        Route::Batch => Box::pin(batch::answer(server, request)).await,
        Route::Delta(kind) => delta(server, request, kind, options, &issued.permissions, active),
        route => read(server, request, &route, options, &issued.permissions),
    }
}

fn read(
    server: &Server,
    request: &GraphRequest,
    route: &Route,
    options: &Options,
    granted: &[String],
) -> Result<Value, GraphError> {
    let directory = server.directory();
    let read = Read {
        server,
        directory: &directory,
        options,
        path: &request.path,
        query: &request.query,
        granted,
    };
    match route {
        Route::Users => users::list(&read),
        Route::User(id) => users::get(&read, id),
        Route::Manager(id) => users::manager(&read, id),
        Route::Groups => groups::list(&read),
        Route::Group(id) => groups::get(&read, id),
        Route::Members(id, cast) => groups::members(&read, id, *cast),
        Route::TransitiveMembers(id, cast) => groups::transitive_members(&read, id, *cast),
        Route::Owners(id, cast) => groups::owners(&read, id, *cast),
        Route::Organization => organization::organization(&read),
        Route::Deleted(kind) => organization::deleted_items(&read, *kind),
        Route::Delta(_) | Route::Batch => Err(GraphError::method_not_allowed()),
    }
}

fn delta(
    server: &Server,
    request: &GraphRequest,
    kind: Kind,
    options: &Options,
    granted: &[String],
    active: &[Active],
) -> Result<Value, GraphError> {
    let replay = active.iter().find_map(|fault| match fault.kind {
        FaultKind::Replay { count } => Some(count),
        _ => None,
    });
    let directory = server.directory();
    let request = DeltaRequest {
        directory: &directory,
        base: &server.base,
        kind,
        options,
        minimal: prefers_minimal(&request.headers),
        replay: replay.unwrap_or(0),
        sees_hidden: Access::HiddenMembers.is_granted(granted),
        rules: server.delta_rules(),
    };
    request.answer()
}

fn prefers_minimal(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case("return=minimal"))
}

fn add_headers(answer: &mut Answer, ids: &RequestIds, cost: Option<u32>, request: &HeaderMap) {
    answer.set_header(HeaderName::from_static("request-id"), ids.request.clone());
    answer.set_header(
        HeaderName::from_static("client-request-id"),
        ids.client.clone(),
    );
    answer.set_header(HeaderName::from_static("odata-version"), "4.0".to_owned());
    answer.set_header(header::CACHE_CONTROL, "no-cache".to_owned());
    answer.set_header(
        HeaderName::from_static("x-ms-ags-diagnostic"),
        r#"{"ServerInfo":{"DataCenter":"Sandbox","Slice":"E","Ring":"1","ScaleUnit":"000","RoleInstance":"SANDBOX0"}}"#.to_owned(),
    );
    if answer.status == StatusCode::OK
        && let Some(cost) = cost
    {
        answer.set_header(
            HeaderName::from_static("x-ms-resource-unit"),
            cost.to_string(),
        );
        if prefers_minimal(request) {
            answer.set_header(
                HeaderName::from_static("preference-applied"),
                "return=minimal".to_owned(),
            );
        }
    }
}
