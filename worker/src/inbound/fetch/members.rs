//! Members and owners of groups, listed: of every group in a complete read, else of those whose members are not known.
//!
//! Whom a list does not name stays until a second one, made when all groups have been listed, does not either: a copy of
//! the directory that lags behind, or is empty, answers like any other.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use lockstep_domain::{
    ExternalId, MemberPatch, MemberRelation, MembersRead, READ_HIDDEN_MEMBERS, RunPhase,
};
use lockstep_graph::{GraphError, Member, Page, Pages};
use lockstep_store::group_member::MemberList;
use lockstep_store::lease::Step;
use uuid::Uuid;

use super::{ROUNDS, Round, incomplete};
use crate::failure::Stop;
use crate::inbound::{Execution, Frozen, patch};

/// Groups whose members are asked for together: one batch.
const CHUNK: u64 = 20;

/// People whom lists may lack before they are no longer believed: about 60 bytes each are kept of them.
const MOST_ABSENT: usize = 20_000;

/// How members were listed.
pub(super) struct Members {
    /// Groups that were asked.
    pub(super) asked: u64,
    /// Groups that had others than the mirror knew.
    pub(super) different: u64,
}

/// Lists members.
///
/// # Errors
/// Why the run does not go on.
pub(super) async fn list(
    execution: &mut Execution<'_>,
    frozen: &Frozen,
    all: bool,
) -> Result<Members, Stop> {
    let mut listing = Listing {
        execution,
        frozen,
        sight: None,
        processed: 0,
        asked: 0,
        changed: 0,
        readable: 0,
        refused: None,
        absent: Absent::default(),
    };
    let mut after: Option<ExternalId> = None;
    loop {
        let store = &listing.execution.worker.store;
        let integration = frozen.integration.id;
        let ids = store
            .groups_to_list(integration, all, after.as_ref(), CHUNK)
            .await?;
        let Some(last) = ids.last() else { break };
        after = Some(last.clone());
        listing.chunk(&ids).await?;
    }
    listing.look_again().await?;
    match listing {
        // Not one group that refuses, but all of them: the permission is missing.
        Listing {
            readable: 0,
            refused: Some(refusal),
            processed: 2..,
            ..
        } if all => Err(refusal.into()),
        Listing { asked, changed, .. } => Ok(Members {
            asked,
            different: changed,
        }),
    }
}

struct Listing<'r, 'w> {
    execution: &'r mut Execution<'w>,
    frozen: &'r Frozen,
    /// Whether hidden members are shown; none while nobody needed to know.
    sight: Option<Sight>,
    processed: u64,
    asked: u64,
    changed: u64,
    readable: u64,
    refused: Option<GraphError>,
    absent: Absent,
}

/// Members or owners of a group.
type Place = (ExternalId, MemberRelation);

/// Whom the lists of groups did not name; almost always nobody, as reads of changes tell who left.
#[derive(Default)]
struct Absent {
    places: BTreeMap<Place, Vec<ExternalId>>,
    people: usize,
}

impl Absent {
    /// Keeps in mind whom a list did not name; false when lists lack so many already that this one is not believed.
    fn keep(&mut self, place: Place, ids: Vec<ExternalId>) -> bool {
        if self.people + ids.len() > MOST_ABSENT {
            return false;
        }
        self.people += ids.len();
        self.places.insert(place, ids);
        true
    }
}

/// What came of lists that were taken over.
struct Saved {
    /// Groups that have someone new.
    changed: BTreeSet<ExternalId>,
    /// Groups whose lists lack too many to be believed.
    doubted: Vec<ExternalId>,
}

/// Whether the app is shown the members of groups that hide them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// It has the permission: what is listed is all there is.
    Sees,
    /// It has not: whatever is listed, or refused, says nothing.
    Blind,
    /// Its permissions cannot be told: whoever is listed is a member, and nothing else follows.
    Unsure,
}

impl Listing<'_, '_> {
    async fn chunk(&mut self, ids: &[ExternalId]) -> Result<(), Stop> {
        let store = &self.execution.worker.store;
        let groups = store.groups(self.frozen.integration.id, ids).await?;
        let hides = |id: &ExternalId| groups.get(id).is_some_and(|group| group.hides_members);
        let hidden: BTreeSet<&ExternalId> = ids.iter().filter(|id| hides(id)).collect();
        let is_blind = !hidden.is_empty() && self.sight().await? == Sight::Blind;
        let (blind, asked): (Vec<&ExternalId>, Vec<&ExternalId>) =
            ids.iter().partition(|id| is_blind && hidden.contains(id));
        let mut read = self.ask(&asked, &hidden).await?;
        self.asked += asked.len() as u64;
        read.extend(
            blind
                .into_iter()
                .cloned()
                .map(|id| (id, MembersRead::Hidden)),
        );
        self.processed += ids.len() as u64;
        let store = &self.execution.worker.store;
        let run = store
            .note_members_read(&self.execution.lease, self.step(), &read)
            .await?;
        self.execution.reached(run).await
    }

    /// Lists members of groups, and owners where they count.
    async fn ask(
        &mut self,
        groups: &[&ExternalId],
        hidden: &BTreeSet<&ExternalId>,
    ) -> Result<BTreeMap<ExternalId, MembersRead>, Stop> {
        let names: Vec<String> = groups.iter().map(|id| id.0.clone()).collect();
        let client = self.frozen.client.clone();
        let answers = client.group_members_batch(&names).await?;
        let mut read = self.take(MemberRelation::Member, hidden, answers).await?;
        if self.frozen.rules.group_teams.owners_are_supervisors {
            let answers = client.group_owners_batch(&names).await?;
            let nobody = BTreeSet::new();
            let owners = self.take(MemberRelation::Owner, &nobody, answers).await?;
            let unreadable = owners
                .into_iter()
                .filter(|(_, read)| *read != MembersRead::Known);
            read.extend(unreadable);
        }
        Ok(read)
    }

    /// Takes the first pages of some groups over, and follows those that have more. Says what is known of each now.
    async fn take(
        &mut self,
        relation: MemberRelation,
        hidden: &BTreeSet<&ExternalId>,
        answers: Vec<(String, Result<Page<Member>, GraphError>)>,
    ) -> Result<BTreeMap<ExternalId, MembersRead>, Stop> {
        let (mut read, mut whole, mut large) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (id, answer) in answers {
            let group = ExternalId(id);
            let is_doubted = hidden.contains(&group) && self.sight().await? != Sight::Sees;
            let known = match answer {
                Ok(ref page) if is_doubted && page.last && page.items.is_empty() => {
                    MembersRead::Hidden
                }
                Ok(_) => MembersRead::Known,
                Err(ref error) if is_doubted && is_forbidden(error) => MembersRead::Hidden,
                // D-51: one group that refuses, or is gone by now, leaves its team as it is.
                Err(ref error) if leaves_the_team(error) => MembersRead::Unreadable,
                Err(error) => return Err(error.into()),
            };
            match answer {
                Ok(page) if page.last && known == MembersRead::Known => {
                    // A list that may show only some of the members says of nobody else that they left.
                    whole.push(list_of(&group, relation, page, !is_doubted));
                }
                Ok(_) if known == MembersRead::Known => large.push((group.clone(), is_doubted)),
                Ok(_) => {}
                Err(error) if known == MembersRead::Unreadable && is_forbidden(&error) => {
                    self.refused = Some(error);
                }
                Err(_) => {}
            }
            self.readable += u64::from(known != MembersRead::Unreadable);
            read.insert(group, known);
        }
        let saved = self.save(&whole).await?;
        self.changed += saved.changed.len() as u64;
        read.extend(
            saved
                .doubted
                .into_iter()
                .map(|group| (group, MembersRead::Unreadable)),
        );
        for (group, is_doubted) in large {
            let known = self.large(&group, relation, is_doubted).await?;
            read.insert(group, known);
        }
        Ok(read)
    }

    /// Takes over whom lists name, and keeps in mind whom they do not.
    async fn save(&mut self, lists: &[MemberList]) -> Result<Saved, Stop> {
        let store = &self.execution.worker.store;
        let (run, listed) = store
            .save_member_lists(&self.execution.lease, self.step(), lists)
            .await?;
        let absent = &mut self.absent;
        let doubted = listed
            .missing
            .into_iter()
            .filter_map(|(place, ids)| {
                let group = place.0.clone();
                (!absent.keep(place, ids)).then_some(group)
            })
            .collect();
        self.execution.reached(run).await?;
        Ok(Saved {
            changed: listed.changed,
            doubted,
        })
    }

    /// Lists a group that does not fit into one page. Whom the list did not name can be told at its end alone.
    async fn large(
        &mut self,
        group: &ExternalId,
        relation: MemberRelation,
        is_doubted: bool,
    ) -> Result<MembersRead, Stop> {
        let Some(listed) = self.all_pages(group, relation).await? else {
            return Ok(MembersRead::Unreadable);
        };
        if is_doubted {
            // Nobody, over however many pages, is as little as an empty page.
            return Ok(if listed.is_empty() {
                MembersRead::Hidden
            } else {
                MembersRead::Known
            });
        }
        let (store, lease) = (&self.execution.worker.store, &self.execution.lease);
        let is_listed = |id: &ExternalId| listed.contains(&mark(id.as_str()));
        let absent = store
            .unlisted_members(lease, group, relation, is_listed)
            .await?;
        let place = (group.clone(), relation);
        if absent.is_empty() || self.absent.keep(place, absent) {
            Ok(MembersRead::Known)
        } else {
            Ok(MembersRead::Unreadable)
        }
    }

    /// Lists a group, a page a transaction, and returns marks of whom it names. None when the group refuses, or is gone by
    /// now.
    async fn all_pages(
        &mut self,
        group: &ExternalId,
        relation: MemberRelation,
    ) -> Result<Option<HashSet<u128>>, Stop> {
        for _ in 0..ROUNDS {
            match self.all_pages_once(group, relation).await {
                Ok(listed) => return Ok(listed),
                Err(Round::Again | Round::Reset) => {}
                Err(Round::Stop(stop)) => return Err(stop),
            }
        }
        Err(incomplete())
    }

    async fn all_pages_once(
        &mut self,
        group: &ExternalId,
        relation: MemberRelation,
    ) -> Result<Option<HashSet<u128>>, Round> {
        let client = &self.frozen.client;
        let mut pages: Pages<Member> = match relation {
            MemberRelation::Member => client.group_members(group.as_str()),
            MemberRelation::Owner => client.group_owners(group.as_str()),
        };
        // About 32 bytes for each member of this one group: the only thing here that grows with what is read.
        let mut listed: HashSet<u128> = HashSet::new();
        let mut has_new = false;
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) if leaves_the_team(&error) => return Ok(None),
                Err(error) => return Err(Round::of(error)),
            };
            listed.extend(page.items.iter().map(|member| mark(&member.id)));
            let saved = self.save(&[list_of(group, relation, page, false)]).await?;
            has_new |= !saved.changed.is_empty();
        }
        // However many pages found someone, it is one group.
        self.changed += u64::from(has_new);
        Ok(Some(listed))
    }

    /// Lists the groups again in which someone was absent; only who is absent twice is removed.
    async fn look_again(&mut self) -> Result<(), Stop> {
        let mut members = Vec::new();
        let mut owners = Vec::new();
        for ((group, relation), ids) in std::mem::take(&mut self.absent).places {
            match relation {
                MemberRelation::Member => members.push((group, ids)),
                MemberRelation::Owner => owners.push((group, ids)),
            }
        }
        for groups in members.chunks(CHUNK as usize) {
            self.look_again_at(MemberRelation::Member, groups).await?;
        }
        for groups in owners.chunks(CHUNK as usize) {
            self.look_again_at(MemberRelation::Owner, groups).await?;
        }
        Ok(())
    }

    async fn look_again_at(
        &mut self,
        relation: MemberRelation,
        absent: &[(ExternalId, Vec<ExternalId>)],
    ) -> Result<(), Stop> {
        let names: Vec<String> = absent.iter().map(|(group, _)| group.0.clone()).collect();
        let client = self.frozen.client.clone();
        let answers = match relation {
            MemberRelation::Member => client.group_members_batch(&names).await?,
            MemberRelation::Owner => client.group_owners_batch(&names).await?,
        };
        let (mut lists, mut gone) = (Vec::new(), Vec::new());
        for ((group, ids), (_, answer)) in absent.iter().zip(answers) {
            let listed = match answer {
                Ok(page) if page.last => {
                    let listed = page.items.iter().map(|member| mark(&member.id)).collect();
                    lists.push(list_of(group, relation, page, false));
                    Some(listed)
                }
                Ok(_) => self.all_pages(group, relation).await?,
                Err(error) if leaves_the_team(&error) => None,
                Err(error) => return Err(error.into()),
            };
            if let Some(listed) = listed {
                gone.push((group.clone(), unlisted(ids, &listed)));
            }
        }
        self.save(&lists).await?;
        self.changed += gone.iter().filter(|(_, ids)| !ids.is_empty()).count() as u64;
        let (store, step) = (&self.execution.worker.store, self.step());
        let run = store
            .remove_members(&self.execution.lease, step, relation, &gone)
            .await?;
        self.execution.reached(run).await
    }

    async fn sight(&mut self) -> Result<Sight, Stop> {
        if let Some(sight) = self.sight {
            return Ok(sight);
        }
        let sight = match self.frozen.client.granted_permissions().await? {
            Some(names) if names.iter().any(|name| name == READ_HIDDEN_MEMBERS) => Sight::Sees,
            Some(_) => Sight::Blind,
            None => Sight::Unsure,
        };
        self.sight = Some(sight);
        Ok(sight)
    }

    fn step(&self) -> Step {
        Step {
            phase: RunPhase::ReadingMembers,
            processed: self.processed,
            total: None,
        }
    }
}

/// Whether an error concerns one group alone.
fn leaves_the_team(error: &GraphError) -> bool {
    matches!(error, GraphError::NotFound { .. }) || is_forbidden(error)
}

/// Whether Graph refuses this one request; a sign-in that is refused concerns all of them.
fn is_forbidden(error: &GraphError) -> bool {
    matches!(error, GraphError::Forbidden { .. })
}

fn list_of(
    group: &ExternalId,
    relation: MemberRelation,
    page: Page<Member>,
    is_whole: bool,
) -> MemberList {
    let members: Vec<MemberPatch> = page.items.into_iter().map(patch::member).collect();
    MemberList {
        group: group.clone(),
        relation,
        members,
        is_whole,
    }
}

fn unlisted(ids: &[ExternalId], listed: &HashSet<u128>) -> Vec<ExternalId> {
    let is_listed = |id: &&ExternalId| listed.contains(&mark(id.as_str()));
    ids.iter().filter(|id| !is_listed(id)).cloned().collect()
}

/// Stands for an id in a set of very many: 128 bits of its hash, which no two will share.
fn mark(id: &str) -> u128 {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()).as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d21_whom_lists_lack_is_kept_in_mind_within_bounds() {
        let people = |count: usize| (0..count).map(|n| ExternalId(format!("p{n}"))).collect();
        let place = |name: &str| (ExternalId::from(name), MemberRelation::Member);
        let mut absent = Absent::default();
        assert!(absent.keep(place("a"), people(MOST_ABSENT - 1)));
        assert!(!absent.keep(place("b"), people(2)), "not believed");
        assert!(absent.keep(place("c"), people(1)));
        assert_eq!(absent.places.len(), 2);
        assert_eq!(
            absent.places.values().map(Vec::len).sum::<usize>(),
            MOST_ABSENT
        );
    }
}
