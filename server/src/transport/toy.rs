//! A small schema and a credential for the tests.

use std::time::Duration;

use async_graphql::{
    Context, Enum, ErrorExtensions, ID, InputObject, Object, Schema, SimpleObject, Subscription,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt, stream};

use super::{
    AuthRefusal, Authenticated, Authenticator, CostLimit, Credentials, NullPropagation, RequestId,
    ValueCheck,
};

/// What a document may cost here; each field of the toy costs one.
pub(crate) const MAX_COST: usize = 400;

/// The schema.
pub(crate) type ToySchema = Schema<Query, Mutation, Subscriptions>;

/// Builds the schema.
pub(crate) fn schema() -> ToySchema {
    Schema::build(Query, Mutation, Subscriptions)
        .extension(NullPropagation)
        .extension(ValueCheck)
        .extension(CostLimit(MAX_COST))
        .finish()
}

/// Lets `Bearer good` in, and whoever has none when `anonymous` is set.
pub(crate) struct Door {
    pub(crate) anonymous: bool,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// Name of the caller.
#[derive(Clone)]
pub(crate) struct Session(pub(super) &'static str);

#[async_trait]
impl Authenticator for Door {
    type Session = Session;

    async fn authenticate(
        &self,
        credentials: &Credentials,
    ) -> Result<Authenticated<Session>, AuthRefusal> {
        let session = match credentials.authorization.as_deref() {
            Some("Bearer good" | "Bearer once" | "Bearer heir") => Some(Session("ada")),
            Some("Bearer blocked") => return Err(AuthRefusal::Forbidden("Blocked.".to_owned())),
            None if self.anonymous => None,
            _ => return Err(AuthRefusal::Unauthenticated("Sign in.".to_owned())),
        };
        Ok(Authenticated {
            session,
            expires_at: self.expires_at,
        })
    }

    async fn recheck(
        &self,
        credentials: &Credentials,
        _session: Option<&Session>,
    ) -> Result<Authenticated<Session>, AuthRefusal> {
        match credentials.authorization.as_deref() {
            Some("Bearer once") => Err(AuthRefusal::Unauthenticated("Withdrawn.".to_owned())),
            Some("Bearer heir") => Ok(Authenticated {
                session: Some(Session("ben")),
                expires_at: None,
            }),
            _ => self.authenticate(credentials).await,
        }
    }

    fn caller(session: &Session) -> Option<String> {
        Some(session.0.to_owned())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum Kind {
    New,
    Old,
}

#[derive(InputObject)]
pub(crate) struct Filter {
    name: String,
    size: Option<i32>,
    tags: Option<Vec<String>>,
    kind: Option<Kind>,
}

impl Filter {
    fn text(&self) -> String {
        let tags = self.tags.as_deref().unwrap_or_default().concat();
        let size = self.size.unwrap_or_default();
        format!("{}{size}{tags}{}", self.name, self.kind == Some(Kind::New))
    }
}

#[derive(InputObject)]
pub(crate) struct Wish {
    id: ID,
    filter: Option<Filter>,
}

pub(crate) struct Query;

#[derive(SimpleObject)]
pub(crate) struct Leaf {
    name: String,
}

pub(crate) struct Node;

#[Object]
impl Node {
    async fn name(&self) -> &str {
        "node"
    }

    async fn broken(&self) -> async_graphql::Result<String> {
        Err("connection to 10.0.0.1 refused".into())
    }

    async fn node(&self) -> Node {
        Node
    }

    async fn maybe(&self, number: i32) -> Option<i32> {
        Some(number)
    }
}

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }

    async fn viewer(&self, ctx: &Context<'_>) -> Option<&'static str> {
        ctx.data_opt::<Session>().map(|session| session.0)
    }

    async fn request_id(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        Ok(ctx.data::<RequestId>()?.0.clone())
    }

    async fn unexpected(&self) -> async_graphql::Result<Option<String>> {
        Err("connection to 10.0.0.1 refused".into())
    }

    async fn unexpected_required(&self) -> async_graphql::Result<String> {
        Err(async_graphql::Error::new("connection to 10.0.0.1 refused"))
    }

    async fn denied(&self) -> async_graphql::Result<Option<String>> {
        Err(async_graphql::Error::new("Not yours.").extend_with(|_, e| e.set("code", "FORBIDDEN")))
    }

    async fn signed_in(&self) -> async_graphql::Result<String> {
        Err(async_graphql::Error::new("Sign in.")
            .extend_with(|_, e| e.set("code", "UNAUTHENTICATED")))
    }

    async fn panics(&self) -> Option<String> {
        Some(explode())
    }

    async fn slow(&self) -> bool {
        futures::future::pending().await
    }

    async fn echo(
        &self,
        number: i32,
        #[graphql(validator(max_length = 3))] text: Option<String>,
    ) -> String {
        format!("{number}{}", text.unwrap_or_default())
    }

    async fn maybe(&self, number: i32) -> Option<i32> {
        Some(number)
    }

    async fn find(&self, id: ID, filter: Option<Filter>) -> Option<String> {
        Some(id.0 + &filter.map(|filter| filter.text()).unwrap_or_default())
    }

    async fn deep(&self, wish: Wish) -> Option<String> {
        Some(wish.id.0 + &wish.filter.map(|filter| filter.text()).unwrap_or_default())
    }

    async fn leaf(&self) -> Leaf {
        Leaf {
            name: "leaf".to_owned(),
        }
    }

    async fn node(&self) -> Option<Node> {
        Some(Node)
    }

    async fn nodes(&self) -> Vec<Node> {
        vec![Node, Node]
    }

    async fn fallible(&self) -> Vec<Option<async_graphql::Result<i32>>> {
        vec![
            Some(Ok(1)),
            Some(Err("connection to 10.0.0.1 refused".into())),
        ]
    }

    async fn maybe_nodes(&self) -> Vec<Option<Node>> {
        vec![Some(Node), Some(Node)]
    }
}

// Behind a call, or the rest of the generated code is unreachable.
fn explode() -> String {
    panic!("a panic of a test")
}

pub(crate) struct Mutation;

#[Object]
impl Mutation {
    async fn bump(&self) -> i32 {
        1
    }
}

pub(crate) struct Subscriptions;

#[Subscription]
impl Subscriptions {
    async fn count(&self, to: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=to)
    }

    async fn ticks(&self) -> impl Stream<Item = i32> {
        stream::unfold(0, |n| async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Some((n + 1, n + 1))
        })
    }

    async fn silent(&self) -> impl Stream<Item = i32> {
        stream::pending()
    }

    async fn flood(&self) -> impl Stream<Item = String> {
        stream::repeat_with(|| "x".repeat(10_000))
    }

    async fn forbidden(&self) -> async_graphql::Result<stream::Empty<i32>> {
        Err(async_graphql::Error::new("Not yours.").extend_with(|_, e| e.set("code", "FORBIDDEN")))
    }

    async fn panicking(&self) -> impl Stream<Item = i32> {
        stream::iter([1, 2]).map(|n| {
            if n == 2 {
                panic!("a panic of a test")
            } else {
                n
            }
        })
    }
}
