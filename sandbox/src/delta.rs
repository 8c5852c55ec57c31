//! Delta queries: everything once, then what the log of changes has since then.

use std::collections::HashMap;

use axum::http::{StatusCode, header};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::changes::{Change, What};
use crate::directory::{Directory, Entry, Handle, Kind, Presence};
use crate::error::GraphError;
use crate::paging;
use crate::properties::Name;
use crate::query::{self, Options};
use crate::select::{self, Selection};

/// How long a delta link of directory objects lives.
const LINK_LIFETIME_SECONDS: i64 = 7 * 24 * 3600;

/// What a delta needs to know besides the directory.
#[derive(Debug, Clone)]
pub(crate) struct DeltaRules {
    pub(crate) page_size: usize,
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
enum Place {
    /// Between rounds: the next one tells the changes from the sequence number on.
    #[serde(rename = "l")]
    Link,
    /// In the first round: at this object, and this member of it.
    #[serde(rename = "f")]
    First(usize, usize),
    /// In a later round: at this line of the log.
    #[serde(rename = "c")]
    Changes(usize),
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
            (None, None | Some("")) => self.new_token(sequence, Place::First(0, 0)),
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
            Place::First(object, member) => self.first_round(&selection, object, member),
            Place::Changes(line) => self.changes(&selection, line, token.sequence),
            Place::Link => return Err(GraphError::bad_request("Invalid skip token.")),
        };
        Ok(self.page(&selection, items, token, next))
    }

    fn log(&self) -> &[Change] {
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

    /// A page of the first round, from this object and this member of it on.
    fn first_round(
        &self,
        selection: &Selection,
        object: usize,
        member: usize,
    ) -> (Vec<Value>, Option<Place>) {
        let list = match self.kind {
            Kind::User => &self.directory.users,
            Kind::Group | Kind::Other => &self.directory.groups,
        };
        let mut items = Vec::new();
        let mut members_left = self.rules.member_page;
        let mut first_member = member;
        for (at, handle) in list.iter().enumerate().skip(object) {
            let entry = self.directory.entry(*handle);
            if !entry.is_live() {
                first_member = 0;
                continue;
            }
            let slots = if selection.links && self.shows_members(entry) {
                entry.member_slots()
            } else {
                &[]
            };
            if items.len() == self.rules.page_size || (members_left == 0 && !slots.is_empty()) {
                return (items, Some(Place::First(at, first_member)));
            }
            let mut item = select::tracked(entry, selection.names.iter().map(String::as_str));
            if selection.links && self.kind == Kind::User {
                self.add_manager(&mut item, *handle, &[]);
            }
            let (references, next_member) = self.member_slice(slots, first_member, members_left);
            members_left -= references.len();
            if !references.is_empty() {
                item.insert("members@delta".to_owned(), Value::Array(references));
            }
            items.push(Value::Object(item));
            if let Some(next_member) = next_member {
                return (items, Some(Place::First(at, next_member)));
            }
            first_member = 0;
        }
        (items, None)
    }

    /// At most `most` references from a slot on, and the slot to go on at.
    fn member_slice(
        &self,
        slots: &[Option<Handle>],
        from: usize,
        most: usize,
    ) -> (Vec<Value>, Option<usize>) {
        let mut references = Vec::new();
        for (at, slot) in slots.iter().enumerate().skip(from) {
            let Some(member) = slot else { continue };
            let entry = self.directory.entry(*member);
            if !entry.is_live() {
                continue;
            }
            if references.len() == most {
                return (references, Some(at));
            }
            references.push(reference(entry));
        }
        (references, None)
    }

    /// A page of changes from a line of the log on, up to but without `until`.
    fn changes(
        &self,
        selection: &Selection,
        from: usize,
        until: usize,
    ) -> (Vec<Value>, Option<Place>) {
        let log = self.log();
        let until = until.min(log.len());
        let mut touched: Vec<Touched> = Vec::new();
        let mut places: HashMap<Handle, usize> = HashMap::new();
        let mut member_changes = 0;
        let mut line = from;
        while line < until {
            let change = &log[line];
            if self.is_tracked(change, selection) {
                let is_member = matches!(change.what, What::Member(_));
                let is_full =
                    touched.len() == self.rules.page_size && !places.contains_key(&change.target);
                if is_full || (is_member && member_changes == self.rules.member_page) {
                    break;
                }
                member_changes += usize::from(is_member);
                let place = *places.entry(change.target).or_insert_with(|| {
                    touched.push(Touched::new(change.target));
                    touched.len() - 1
                });
                touched[place].add(&change.what);
            }
            line += 1;
        }
        let items = touched
            .iter()
            .filter_map(|touched| self.changed_item(selection, touched))
            .collect();
        (items, (line < until).then_some(Place::Changes(line)))
    }

    fn is_tracked(&self, change: &Change, selection: &Selection) -> bool {
        match &change.what {
            What::Whole | What::Removed => true,
            What::Properties(names) => names
                .iter()
                .any(|name| selection.names.iter().any(|wanted| **wanted == **name)),
            What::Manager(_) => selection.links,
            What::Member(member) => {
                selection.links
                    && self.directory.entry(*member).presence != Presence::Dangling
                    && self.shows_members(self.directory.entry(change.target))
            }
        }
    }

    fn changed_item(&self, selection: &Selection, touched: &Touched) -> Option<Value> {
        let entry = self.directory.entry(touched.target);
        if !entry.is_live() {
            let reason = match entry.presence {
                Presence::Deleted(_) => "changed",
                _ => "deleted",
            };
            let removed = json!({ "id": &*entry.id, "@removed": { "reason": reason } });
            return (touched.whole || touched.removed).then_some(removed);
        }
        let names = selection.names.iter().map(String::as_str);
        let mut item = match self.minimal && !touched.whole {
            true => select::tracked(
                entry,
                names.filter(|name| touched.names.iter().any(|changed| **changed == **name)),
            ),
            false => select::tracked(entry, names),
        };
        if selection.links && (touched.whole || touched.manager) && self.kind == Kind::User {
            self.add_manager(&mut item, touched.target, &touched.managers_before);
        }
        if !touched.members.is_empty() {
            let members = touched
                .members
                .iter()
                .map(|member| self.member_change(entry, *member));
            item.insert("members@delta".to_owned(), members.collect());
        }
        Some(Value::Object(item))
    }

    /// The manager as a delta has it: an array, with those before as removed.
    fn add_manager(&self, item: &mut Map<String, Value>, user: Handle, before: &[Handle]) {
        let now = self.directory.visible_manager(user);
        let mut entries: Vec<Value> = Vec::new();
        for manager in before.iter().filter(|manager| Some(**manager) != now) {
            entries.push(removed_reference(
                self.directory.entry(*manager),
                "#microsoft.graph.user",
            ));
        }
        if let Some(manager) = now {
            let id = &*self.directory.entry(manager).id;
            entries.push(json!({ "@odata.type": "#microsoft.graph.user", "id": id }));
        }
        if !entries.is_empty() {
            item.insert("manager@delta".to_owned(), Value::Array(entries));
        }
    }

    fn member_change(&self, group: &Entry, member: Handle) -> Value {
        let entry = self.directory.entry(member);
        let is_member = group
            .members
            .as_ref()
            .is_some_and(|members| members.contains(member));
        match is_member && entry.is_live() {
            true => reference(entry),
            false => removed_reference(entry, entry.odata_type()),
        }
    }

    fn shows_members(&self, group: &Entry) -> bool {
        self.sees_hidden || group.properties.text("visibility") != Some("HiddenMembership")
    }
}

/// An object and what happened to it within one page.
struct Touched {
    target: Handle,
    whole: bool,
    removed: bool,
    names: Vec<Name>,
    manager: bool,
    managers_before: Vec<Handle>,
    members: Vec<Handle>,
}

impl Touched {
    fn new(target: Handle) -> Touched {
        Touched {
            target,
            whole: false,
            removed: false,
            names: Vec::new(),
            manager: false,
            managers_before: Vec::new(),
            members: Vec::new(),
        }
    }

    fn add(&mut self, what: &What) {
        match what {
            What::Whole => self.whole = true,
            What::Removed => self.removed = true,
            What::Properties(names) => self.names.extend(names.iter().cloned()),
            What::Manager(before) => {
                self.manager = true;
                add_once(&mut self.managers_before, *before);
            }
            What::Member(member) => add_once(&mut self.members, Some(*member)),
        }
    }
}

fn add_once(list: &mut Vec<Handle>, handle: Option<Handle>) {
    if let Some(handle) = handle.filter(|handle| !list.contains(handle)) {
        list.push(handle);
    }
}

fn reference(entry: &Entry) -> Value {
    json!({ "@odata.type": entry.odata_type(), "id": &*entry.id })
}

fn removed_reference(entry: &Entry, odata_type: &str) -> Value {
    json!({ "@odata.type": odata_type, "id": &*entry.id, "@removed": { "reason": "deleted" } })
}

fn unmodifiable(option: &str) -> GraphError {
    GraphError::bad_request(format!(
        "The query option '{option}' cannot be added to a request with a token; follow links as they are."
    ))
}
