//! Delta queries: everything once, then what the log of changes has since then.

use axum::http::{StatusCode, header};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::changes::Change;
use crate::directory::{Directory, Kind};
use crate::error::GraphError;
use crate::paging;
use crate::query::{self, Options};
use crate::select::Selection;

/// How long a delta link of directory objects lives.
const LINK_LIFETIME_SECONDS: i64 = 7 * 24 * 3600;

/// What a delta needs to know besides the directory.
#[derive(Debug, Clone)]
pub(crate) struct DeltaRules {
    pub(crate) page_size: usize,
    /// References to members and owners together.
    pub(crate) member_page: usize,
    pub(crate) instance: String,
    pub(crate) generation: u64,
    pub(crate) expired_status: u16,
    pub(crate) page_generation: u64,
    pub(crate) now: DateTime<Utc>,
}

/// One delta request.
pub(crate) struct DeltaRequest<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) base: &'a str,
    pub(crate) kind: Kind,
    pub(crate) options: &'a Options,
    /// `Prefer: return=minimal`: only what changed.
    pub(crate) minimal: bool,
    /// Lines of the log that a fault makes it tell again.
    pub(crate) replay: usize,
    /// True when members of groups with hidden membership may be seen.
    pub(crate) sees_hidden: bool,
    pub(crate) rules: DeltaRules,
}

/// The content of `$skiptoken` and `$deltatoken`: nothing is kept on this side.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct DeltaToken {
    #[serde(rename = "k")]
    users: bool,
    #[serde(rename = "s")]
    select: Option<String>,
    /// The sequence number this round will have told everything up to.
    #[serde(rename = "q")]
    sequence: usize,
    #[serde(rename = "p")]
    place: Place,
    #[serde(rename = "t")]
    issued: i64,
    #[serde(rename = "g")]
    generation: u64,
    #[serde(rename = "h")]
    page_generation: u64,
    #[serde(rename = "i")]
    instance: String,
}

/// Where a round stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Between rounds: the next one tells the changes from the sequence number on.
    #[serde(rename = "l")]
    Link,
    /// In the first round.
    #[serde(rename = "f")]
    First(Spot),
    /// In a later round: at this line of the log.
    #[serde(rename = "c")]
    Changes(usize),
}

/// How far a first round has come: at this object, this of its selected relations, this slot of that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spot {
    #[serde(rename = "o")]
    pub(crate) object: usize,
    #[serde(rename = "r")]
    pub(crate) relation: usize,
    #[serde(rename = "s")]
    pub(crate) slot: usize,
}

impl DeltaRequest<'_> {
    /// The page that was asked for.
    pub(crate) fn answer(&self) -> Result<Value, GraphError> {
        self.options
            .only(&["$select", "$skiptoken", "$deltatoken"])?;
        let sequence = self.log().len();
        let token = match (
            self.options.get("$skiptoken"),
            self.options.get("$deltatoken"),
        ) {
            (Some(_), Some(_)) => return Err(unmodifiable("$deltatoken")),
            (Some(text), None) => self.read_token(text, false)?,
            (None, None | Some("")) => self.new_token(sequence, Place::First(Spot::default())),
            (None, Some("latest")) => self.new_token(sequence, Place::Changes(sequence)),
            (None, Some(text)) => {
                let link = self.read_token(text, true)?;
                let from = link.sequence.saturating_sub(self.replay);
                DeltaToken {
                    sequence,
                    place: Place::Changes(from),
                    ..link
                }
            }
        };
        let selection = Selection::of_delta(self.kind, token.select.as_deref())?;
        let (items, next) = match token.place {
            Place::First(spot) => self.first_round(&selection, spot),
            Place::Changes(line) => self.changes(&selection, line, token.sequence),
            Place::Link => return Err(GraphError::bad_request("Invalid skip token.")),
        };
        Ok(self.page(&selection, items, token, next))
    }

    pub(crate) fn log(&self) -> &[Change] {
        self.directory.log.of(self.kind)
    }

    fn set_name(&self) -> &'static str {
        match self.kind {
            Kind::User => "users",
            Kind::Group | Kind::Other => "groups",
        }
    }

    fn new_token(&self, sequence: usize, place: Place) -> DeltaToken {
        DeltaToken {
            users: self.kind == Kind::User,
            select: self.options.get("$select").map(str::to_owned),
            sequence,
            place,
            issued: self.rules.now.timestamp(),
            generation: self.rules.generation,
            page_generation: self.rules.page_generation,
            instance: self.rules.instance.clone(),
        }
    }

    fn read_token(&self, text: &str, is_link: bool) -> Result<DeltaToken, GraphError> {
        if self.options.get("$select").is_some() {
            return Err(unmodifiable("$select"));
        }
        let token: DeltaToken =
            paging::unseal(text).ok_or_else(|| GraphError::bad_request("Badly formed token."))?;
        if token.users != (self.kind == Kind::User) || is_link != (token.place == Place::Link) {
            return Err(GraphError::bad_request(
                "The token does not belong to this request.",
            ));
        }
        let rules = &self.rules;
        let age = rules.now.timestamp().saturating_sub(token.issued);
        let is_of_this_run = token.instance == rules.instance && token.sequence <= self.log().len();
        if !is_of_this_run || token.generation != rules.generation || age > LINK_LIFETIME_SECONDS {
            return Err(self.expired(&token));
        }
        if !is_link && token.page_generation != rules.page_generation {
            return Err(paging::expired_page());
        }
        Ok(token)
    }

    fn expired(&self, token: &DeltaToken) -> GraphError {
        let text = "The sync state generation is not found. The delta token is expired and data must be synchronized again.";
        if self.rules.expired_status == 400 {
            return GraphError::new(StatusCode::BAD_REQUEST, "syncStateNotFound", text);
        }
        // The service writes the code in both cases; a client must not care.
        let mut error = GraphError::new(StatusCode::GONE, "SyncStateNotFound", text);
        let select = token
            .select
            .as_ref()
            .map(|select| format!("$select={}&", query::encode(select)));
        let location = format!(
            "{}/v1.0/{}/delta?{}$deltatoken=",
            self.base,
            self.set_name(),
            select.unwrap_or_default()
        );
        error.headers.push((header::LOCATION, location));
        error
    }

    fn page(
        &self,
        selection: &Selection,
        items: Vec<Value>,
        token: DeltaToken,
        next: Option<Place>,
    ) -> Value {
        let set = self.set_name();
        let mut page = Map::new();
        page.insert(
            "@odata.context".to_owned(),
            format!("{}/v1.0/$metadata#{set}{}", self.base, selection.context()).into(),
        );
        let (link, option, token) = match next {
            Some(place) => (
                "@odata.nextLink",
                "$skiptoken",
                DeltaToken { place, ..token },
            ),
            None => {
                let issued = self.rules.now.timestamp();
                (
                    "@odata.deltaLink",
                    "$deltatoken",
                    DeltaToken {
                        place: Place::Link,
                        issued,
                        ..token
                    },
                )
            }
        };
        let url = format!(
            "{}/v1.0/{set}/delta?{option}={}",
            self.base,
            paging::seal(&token)
        );
        page.insert(link.to_owned(), url.into());
        page.insert("value".to_owned(), Value::Array(items));
        Value::Object(page)
    }
}

fn unmodifiable(option: &str) -> GraphError {
    GraphError::bad_request(format!(
        "The query option '{option}' cannot be added to a request with a token; follow links as they are."
    ))
}
