//! Looks users and groups up by id, many in one request.

use crate::{
    BatchRequest, GraphClient, GraphError, Group, GroupSelect, User, UserSelect, group::GroupWire,
    page::Wire, user::UserWire,
};

/// Whether an object is in the directory.
#[derive(Debug)]
pub enum Presence<T> {
    /// It is there, with its properties. What it is related to is not asked.
    Found(T),
    /// Graph says in its own words that there is no such object.
    Gone,
    /// Graph did not say. Nothing may be concluded from it.
    Unknown(GraphError),
}

/// What is looked up: how it is asked for and told apart from others of its kind.
struct Sought<T> {
    operation: &'static str,
    other: &'static str,
    id_of: fn(&T) -> &str,
}

const USER: Sought<User> = Sought {
    operation: "read a user",
    other: "not the user that was asked for",
    id_of: |user| &user.id,
};

const GROUP: Sought<Group> = Sought {
    operation: "read a group",
    other: "not the group that was asked for",
    id_of: |group| &group.id,
};

impl GraphClient {
    /// Looks users up by id, in the order of the ids. Only an answer in Graph's own words is a
    /// [`Presence::Gone`]. Managers are not read.
    pub async fn users_by_id(
        &self,
        ids: &[String],
        select: UserSelect,
    ) -> Result<Vec<(String, Presence<User>)>, GraphError> {
        self.look_up::<UserWire>(&USER, ids, |id| BatchRequest::user(id, select))
            .await
    }

    /// Looks groups up by id, as [`users_by_id`](Self::users_by_id) does users. Members and owners are not
    /// read.
    pub async fn groups_by_id(
        &self,
        ids: &[String],
        select: GroupSelect,
    ) -> Result<Vec<(String, Presence<Group>)>, GraphError> {
        self.look_up::<GroupWire>(&GROUP, ids, |id| BatchRequest::group(id, select))
            .await
    }

    async fn look_up<W: Wire>(
        &self,
        sought: &Sought<W::Item>,
        ids: &[String],
        request: impl Fn(&str) -> BatchRequest,
    ) -> Result<Vec<(String, Presence<W::Item>)>, GraphError> {
        let requests = ids.iter().map(|id| request(id)).collect();
        let responses = self.batch(requests).await?;
        let answers = ids.iter().cloned().zip(responses);
        Ok(answers
            .map(|(id, response)| {
                let presence = match response.result {
                    Ok(body) => sought.presence::<W>(&id, body.get()),
                    Err(error) if error.says_gone() => Presence::Gone,
                    Err(error) => Presence::Unknown(error),
                };
                (id, presence)
            })
            .collect())
    }
}

impl<T> Sought<T> {
    /// An answer about another object is no answer.
    fn presence<W: Wire<Item = T>>(&self, id: &str, body: &str) -> Presence<T> {
        let object = serde_json::from_str::<W>(body).map(|wire| wire.into_item(&mut 0));
        match object {
            Ok(object) if (self.id_of)(&object).eq_ignore_ascii_case(id) => Presence::Found(object),
            _ => Presence::Unknown(GraphError::BadResponse {
                operation: self.operation,
                reason: self.other,
                status: 200,
            }),
        }
    }
}
