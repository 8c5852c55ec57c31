//! `$batch`: many requests in one, each with its own answer.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    GraphClient, GraphError, GroupSelect, UserSelect,
    client::Inner,
    fetch::{Call, note, rest},
    patience::{Next, Patience, Pause},
    refusal::Refusal,
    throttle::retry_after,
    transport::Reply,
    url::{self, Relation},
};

/// Most requests Graph takes in one batch.
const LARGEST_BATCH: usize = 20;

/// A request to be sent in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRequest {
    operation: &'static str,
    path: String,
}

impl BatchRequest {
    /// Asks for one user.
    pub fn user(id: &str, select: UserSelect) -> Self {
        Self {
            operation: "read a user",
            path: url::user(id, select),
        }
    }

    /// Asks for one group, without members and owners.
    pub fn group(id: &str, select: GroupSelect) -> Self {
        Self {
            operation: "read a group",
            path: url::group(id, select),
        }
    }

    /// Asks for the first page of a group's direct members.
    pub fn members(group: &str) -> Self {
        Self::related(group, Relation::Members)
    }

    /// Asks for the first page of a group's owners.
    pub fn owners(group: &str) -> Self {
        Self::related(group, Relation::Owners)
    }

    pub(crate) fn related(group: &str, relation: Relation) -> Self {
        Self {
            operation: relation.operation(),
            path: url::related(group, relation, url::LARGEST_PAGE),
        }
    }
}

/// The answer to one request of a batch.
#[derive(Debug)]
pub struct BatchResponse {
    /// The body as JSON, or why there is none.
    pub result: Result<Box<RawValue>, GraphError>,
}

impl GraphClient {
    /// Sends requests, up to 20 at a time, and returns their answers in the same order. Parts that were
    /// throttled or failed in passing are sent again, without those that succeeded. An error of the whole
    /// means that Graph could not be asked at all.
    pub async fn batch(
        &self,
        requests: Vec<BatchRequest>,
    ) -> Result<Vec<BatchResponse>, GraphError> {
        let mut responses = Vec::with_capacity(requests.len());
        for chunk in requests.chunks(LARGEST_BATCH) {
            responses.extend(self.inner.batch(chunk).await?);
        }
        Ok(responses)
    }
}

/// A request on its way to an answer.
struct Part<'a> {
    request: &'a BatchRequest,
    patience: Patience,
    result: Option<Result<Box<RawValue>, GraphError>>,
}

/// What all failed parts together have to wait for.
#[derive(Default)]
struct Rests {
    alone: Duration,
    everyone: Duration,
    renew_token: bool,
}

impl Inner {
    async fn batch(&self, requests: &[BatchRequest]) -> Result<Vec<BatchResponse>, GraphError> {
        let mut parts: Vec<Part<'_>> = requests.iter().map(Part::new).collect();
        while parts.iter().any(|part| part.result.is_none()) {
            let (answers, generation) = self.send_batch(&parts).await?;
            let rests = self.settle(&mut parts, answers);
            if rests.renew_token {
                self.tokens.discard(generation).await;
            }
            self.gate.close_for(rests.everyone);
            rest(
                Pause {
                    wait: rests.alone,
                    ..Pause::default()
                },
                &self.gate,
                &self.transport,
            )
            .await;
        }
        Ok(parts
            .into_iter()
            .filter_map(|part| part.result.map(|result| BatchResponse { result }))
            .collect())
    }

    /// Sends the parts without a result. Their ids are their places.
    async fn send_batch(&self, parts: &[Part<'_>]) -> Result<(Answers, u64), GraphError> {
        const OPERATION: &str = "send a batch";
        let open = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part.result.is_none());
        let priority = self.options.priority.header();
        let requests = open
            .map(|(place, part)| Item::new(place, part.request, priority))
            .collect();
        let body =
            serde_json::to_vec(&Batch { requests }).map_err(|_| GraphError::Configuration {
                reason: "a batch that cannot be written",
            })?;
        let address = self.root.absolute(url::BATCH);
        let url = self.root.own(&address).ok_or(GraphError::ForeignLink {
            operation: OPERATION,
        })?;
        let call = Call::post(OPERATION, url, body, self.options.batch_timeout);
        let read = |reply: &Reply| Ok((read_answers(reply)?, reply.generation));
        self.fetch(&call, read).await
    }

    /// Gives every open part its answer, or notes what it has to wait for.
    fn settle(&self, parts: &mut [Part<'_>], mut answers: Answers) -> Rests {
        let mut rests = Rests::default();
        let open = parts
            .iter_mut()
            .enumerate()
            .filter(|(_, part)| part.result.is_none());
        for (place, part) in open {
            let answer = answers.by_id.remove(&place.to_string());
            match outcome(part.request.operation, answer, answers.date.as_deref()) {
                Ok(body) => part.result = Some(Ok(body)),
                Err(error) => self.endure_part(part, error, &mut rests),
            }
        }
        rests
    }

    fn endure_part(&self, part: &mut Part<'_>, error: GraphError, rests: &mut Rests) {
        let next = part.patience.after(&error, &self.options);
        note(&error, next, &self.transport);
        match next {
            Next::Again(pause) => rests.add(pause),
            Next::GiveUp => {
                rests.everyone = rests.everyone.max(error.retry_after().unwrap_or_default());
                part.result = Some(Err(error));
            }
        }
    }
}

impl<'a> Part<'a> {
    fn new(request: &'a BatchRequest) -> Self {
        Self {
            request,
            patience: Patience::default(),
            result: None,
        }
    }
}

impl Rests {
    fn add(&mut self, pause: Pause) {
        let longest = if pause.everyone {
            &mut self.everyone
        } else {
            &mut self.alone
        };
        *longest = pause.wait.max(*longest);
        self.renew_token |= pause.renew_token;
    }
}

#[derive(Serialize)]
struct Batch<'a> {
    requests: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: String,
    method: &'static str,
    url: &'a str,
    headers: ItemHeaders,
}

/// Graph reads these of the parts, not of the envelope.
#[derive(Serialize)]
struct ItemHeaders {
    #[serde(rename = "x-ms-throttle-priority")]
    priority: &'static str,
}

impl<'a> Item<'a> {
    fn new(place: usize, request: &'a BatchRequest, priority: &'static str) -> Self {
        Self {
            id: place.to_string(),
            method: "GET",
            url: &request.path,
            headers: ItemHeaders { priority },
        }
    }
}

struct Answers {
    by_id: HashMap<String, ItemAnswer>,
    date: Option<String>,
}

#[derive(Deserialize)]
struct BatchAnswer {
    responses: Vec<ItemAnswer>,
}

#[derive(Deserialize)]
struct ItemAnswer {
    id: String,
    status: u16,
    #[serde(default)]
    headers: Option<HashMap<String, Value>>,
    #[serde(default)]
    body: Option<Box<RawValue>>,
}

impl ItemAnswer {
    /// Header names come in any case, and numbers as numbers.
    fn header(&self, name: &str) -> Option<String> {
        let headers = self.headers.as_ref()?;
        let (_, value) = headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    }
}

fn read_answers(reply: &Reply) -> Result<Answers, &'static str> {
    let answer: BatchAnswer =
        serde_json::from_slice(&reply.body).map_err(|_| "not the answer to a batch")?;
    let by_id = answer
        .responses
        .into_iter()
        .map(|item| (item.id.clone(), item))
        .collect();
    Ok(Answers {
        by_id,
        date: reply.header("date").map(str::to_owned),
    })
}

fn outcome(
    operation: &'static str,
    answer: Option<ItemAnswer>,
    date: Option<&str>,
) -> Result<Box<RawValue>, GraphError> {
    let missing = |status| GraphError::BadResponse {
        operation,
        reason: "no answer in the batch",
        status,
    };
    let answer = answer.ok_or_else(|| missing(200))?;
    if answer.status == 200 {
        return answer.body.ok_or_else(|| missing(200));
    }
    let wait = retry_after(answer.header("retry-after").as_deref(), date);
    let request_id = answer.header("request-id");
    let body = answer
        .body
        .as_ref()
        .map_or("", |body| body.get())
        .as_bytes();
    let refusal = Refusal {
        operation,
        status: answer.status,
        retry_after: wait,
        request_id: request_id.as_deref(),
        body,
    };
    Err(refusal.of_graph())
}
