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
        absent: Absent::new(),
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

/// Whom the list of a group did not name: about 60 bytes each, and almost always nobody, as reads of changes tell who left.
type Absent = BTreeMap<(ExternalId, MemberRelation), Vec<ExternalId>>;

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
        self.changed += self.save(&whole).await?.len() as u64;
        for (group, is_doubted) in large {
            let known = self.large(&group, relation, is_doubted).await?;
            read.insert(group, known);
        }
        Ok(read)
    }

    /// Takes over whom lists name, and keeps in mind whom they do not; says which groups have someone new.
    async fn save(&mut self, lists: &[MemberList]) -> Result<BTreeSet<ExternalId>, Stop> {
        let store = &self.execution.worker.store;
        let (run, listed) = store
            .save_member_lists(&self.execution.lease, self.step(), lists)
            .await?;
        self.absent.extend(listed.missing);
        self.execution.reached(run).await?;
        Ok(listed.changed)
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
        if !absent.is_empty() {
            self.absent.insert((group.clone(), relation), absent);
        }
        Ok(MembersRead::Known)
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
            let changed = self.save(&[list_of(group, relation, page, false)]).await?;
            has_new |= !changed.is_empty();
        }
        // However many pages found someone, it is one group.
        self.changed += u64::from(has_new);
        Ok(Some(listed))
    }

    /// Lists the groups again in which someone was absent; only who is absent twice is removed.
    async fn look_again(&mut self) -> Result<(), Stop> {
        let absent = std::mem::take(&mut self.absent);
        for ((group, relation), ids) in absent {
            let Some(listed) = self.all_pages(&group, relation).await? else {
                continue;
            };
            let gone: Vec<&ExternalId> = ids
                .iter()
                .filter(|id| !listed.contains(&mark(id.as_str())))
                .collect();
            let (store, step) = (&self.execution.worker.store, self.step());
            let run = store
                .remove_members(&self.execution.lease, step, &group, relation, &gone)
                .await?;
            self.execution.reached(run).await?;
            self.changed += u64::from(!gone.is_empty());
        }
        Ok(())
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

/// Stands for an id in a set of very many: 128 bits of its hash, which no two will share.
fn mark(id: &str) -> u128 {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()).as_u128()
}
