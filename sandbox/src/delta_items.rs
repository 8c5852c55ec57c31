//! What the pages of a delta contain: first every object, then what the log has about them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::changes::{Change, What};
use crate::delta::{DeltaRequest, Place, Spot};
use crate::directory::{Entry, Handle, Kind, Presence};
use crate::properties::Name;
use crate::related::Relation;
use crate::select::{self, Selection};

impl DeltaRequest<'_> {
    /// A page of the first round.
    pub(crate) fn first_round(
        &self,
        selection: &Selection,
        from: Spot,
    ) -> (Vec<Value>, Option<Place>) {
        let list = match self.kind {
            Kind::User => &self.directory.users,
            Kind::Group | Kind::Other => &self.directory.groups,
        };
        let mut items = Vec::new();
        let mut left = self.rules.member_page;
        for (object, handle) in list.iter().enumerate().skip(from.object) {
            let entry = self.directory.entry(*handle);
            if !entry.is_live() {
                continue;
            }
            let here = match object == from.object {
                true => from,
                false => Spot {
                    object,
                    ..Spot::default()
                },
            };
            let slots: Vec<_> = selection
                .relations
                .iter()
                .map(|relation| (*relation, self.shown_slots(entry, *relation)))
                .collect();
            let has_slots = slots.iter().any(|(_, slots)| !slots.is_empty());
            if items.len() == self.rules.page_size || (left == 0 && has_slots) {
                return (items, Some(Place::First(here)));
            }
            let mut item = select::tracked(entry, selection.names.iter().map(String::as_str));
            if selection.manager {
                self.add_manager(&mut item, *handle, &[]);
            }
            let next = self.add_related(&mut item, &slots, here, &mut left);
            items.push(Value::Object(item));
            if let Some(next) = next {
                return (items, Some(Place::First(next)));
            }
        }
        (items, None)
    }

    /// Adds to a group whom it is related to, from a spot on and at most as many as are left, and
    /// gives the spot to go on at.
    fn add_related(
        &self,
        item: &mut Map<String, Value>,
        slots: &[(Relation, &[Option<Handle>])],
        from: Spot,
        left: &mut usize,
    ) -> Option<Spot> {
        for (at, (relation, slots)) in slots.iter().enumerate().skip(from.relation) {
            let first = if at == from.relation { from.slot } else { 0 };
            let (references, next) = self.slice(slots, first, *left);
            *left -= references.len();
            if !references.is_empty() {
                item.insert(relation.annotation().to_owned(), Value::Array(references));
            }
            if let Some(slot) = next {
                return Some(Spot {
                    relation: at,
                    slot,
                    ..from
                });
            }
        }
        None
    }

    /// At most `most` references from a slot on, and the slot to go on at.
    fn slice(
        &self,
        slots: &[Option<Handle>],
        from: usize,
        most: usize,
    ) -> (Vec<Value>, Option<usize>) {
        let mut references = Vec::new();
        for (at, slot) in slots.iter().enumerate().skip(from) {
            let Some(object) = slot else { continue };
            let entry = self.directory.entry(*object);
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
    pub(crate) fn changes(
        &self,
        selection: &Selection,
        from: usize,
        until: usize,
    ) -> (Vec<Value>, Option<Place>) {
        let log = self.log();
        let until = until.min(log.len());
        let mut touched: Vec<Touched> = Vec::new();
        let mut places: HashMap<Handle, usize> = HashMap::new();
        let mut related_changes = 0;
        let mut line = from;
        while line < until {
            let change = &log[line];
            if self.is_tracked(change, selection) {
                let is_related = matches!(change.what, What::Related(..));
                let is_full =
                    touched.len() == self.rules.page_size && !places.contains_key(&change.target);
                if is_full || (is_related && related_changes == self.rules.member_page) {
                    break;
                }
                related_changes += usize::from(is_related);
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
            What::Manager(_) => selection.manager,
            What::Related(relation, object) => {
                selection.relations.contains(relation)
                    && self.directory.entry(*object).presence != Presence::Dangling
                    && self.shows(self.directory.entry(change.target), *relation)
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
        if selection.manager && (touched.whole || touched.manager) {
            self.add_manager(&mut item, touched.target, &touched.managers_before);
        }
        for relation in Relation::ALL {
            let of_relation = touched.related.iter().filter(|(of, _)| *of == relation);
            let changes: Vec<Value> = of_relation
                .map(|(_, object)| self.related_change(entry, relation, *object))
                .collect();
            if !changes.is_empty() {
                item.insert(relation.annotation().to_owned(), Value::Array(changes));
            }
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

    fn related_change(&self, group: &Entry, relation: Relation, object: Handle) -> Value {
        let entry = self.directory.entry(object);
        match group.has(relation, object) && entry.is_live() {
            true => reference(entry),
            false => removed_reference(entry, entry.odata_type()),
        }
    }

    fn shown_slots<'a>(&self, group: &'a Entry, relation: Relation) -> &'a [Option<Handle>] {
        match self.shows(group, relation) {
            true => group.slots(relation),
            false => &[],
        }
    }

    /// Hidden membership hides members only.
    fn shows(&self, group: &Entry, relation: Relation) -> bool {
        relation != Relation::Members
            || self.sees_hidden
            || group.properties.text("visibility") != Some("HiddenMembership")
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
    related: Vec<(Relation, Handle)>,
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
            related: Vec::new(),
        }
    }

    fn add(&mut self, what: &What) {
        match what {
            What::Whole => self.whole = true,
            What::Removed => self.removed = true,
            What::Properties(names) => self.names.extend(names.iter().cloned()),
            What::Manager(before) => {
                self.manager = true;
                if let Some(before) = before {
                    add_once(&mut self.managers_before, *before);
                }
            }
            What::Related(relation, object) => add_once(&mut self.related, (*relation, *object)),
        }
    }
}

fn add_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn reference(entry: &Entry) -> Value {
    json!({ "@odata.type": entry.odata_type(), "id": &*entry.id })
}

fn removed_reference(entry: &Entry, odata_type: &str) -> Value {
    json!({ "@odata.type": odata_type, "id": &*entry.id, "@removed": { "reason": "deleted" } })
}
