//! `$batch`.

use std::collections::HashSet;

use lockstep_graph::{ErrorClass, GroupSelect, Presence, UserSelect};

use crate::support::{Fake, Reply, Seen, reply};

const PLAIN: UserSelect = UserSelect { manager: false };

/// The parts of a batch: (id, url).
fn parts(seen: &Seen) -> Vec<(String, String)> {
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    let text = |part: &serde_json::Value, name: &str| part[name].as_str().unwrap().to_owned();
    body["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (text(part, "id"), text(part, "url")))
        .collect()
}

/// Answers each part by its url, in reverse order.
fn answer(seen: &Seen, each: impl Fn(&str) -> Option<String>) -> Reply {
    let answers = parts(seen)
        .into_iter()
        .rev()
        .filter_map(|(id, url)| Some(format!(r#"{{"id":"{id}",{}}}"#, each(&url)?)));
    reply(
        200,
        format!(
            r#"{{"responses":[{}]}}"#,
            answers.collect::<Vec<_>>().join(",")
        ),
    )
}

/// The id in `/users/{id}?...` and `/groups/{id}?...`.
fn id_in(url: &str) -> String {
    let path = url.split('?').next().unwrap();
    path.split('/').nth(2).unwrap().to_owned()
}

fn found(url: &str) -> String {
    format!(
        r#""status":200,"body":{{"id":"{}","displayName":"x"}}"#,
        id_in(url)
    )
}

fn failed(status: u16, code: &str) -> String {
    format!(
        r#""status":{status},"headers":{{"retry-after":"0.01"}},"body":{{"error":{{"code":"{code}","message":"m"}}}}"#
    )
}

fn ids(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("user-{n}")).collect()
}

fn names<T>(presences: &[(String, Presence<T>)]) -> Vec<&'static str> {
    let name = |presence: &Presence<T>| match presence {
        Presence::Found(_) => "found",
        Presence::Gone => "gone",
        Presence::Unknown(_) => "unknown",
    };
    presences
        .iter()
        .map(|(_, presence)| name(presence))
        .collect()
}

#[tokio::test]
async fn answers_are_joined_by_id_twenty_at_a_time() {
    let fake = Fake::start(|seen, _| answer(seen, |url| Some(found(url)))).await;
    let users = fake.client().users_by_id(&ids(45), PLAIN).await.unwrap();
    for (id, presence) in &users {
        let Presence::Found(user) = presence else {
            panic!("{id} is missing")
        };
        assert_eq!(&user.id, id);
    }
    let asked = fake.asked();
    assert_eq!(
        asked
            .iter()
            .map(|seen| parts(seen).len())
            .collect::<Vec<_>>(),
        [20, 20, 5]
    );
    assert_eq!(
        (asked[0].method.as_str(), asked[0].target.as_str()),
        ("POST", "/v1.0/$batch")
    );
    assert_eq!(asked[0].header("content-type"), "application/json");
    assert!(
        parts(&asked[0])[0]
            .1
            .starts_with("/users/user-0?$select=id,displayName,")
    );
    assert!(
        asked[0]
            .body
            .contains(r#""headers":{"x-ms-throttle-priority":"low"}"#)
    );
    let distinct: HashSet<String> = parts(&asked[0]).into_iter().map(|(id, _)| id).collect();
    assert_eq!(distinct.len(), 20);
}

#[tokio::test]
async fn only_the_parts_that_failed_in_passing_are_sent_again() {
    let fake = Fake::start(|seen, n| {
        answer(seen, |url| match (id_in(url).as_str(), n) {
            ("user-1", 0) => Some(failed(429, "TooManyRequests")),
            ("user-2", 0 | 1) => Some(failed(503, "serviceNotAvailable")),
            ("user-3", 0) => None,
            _ => Some(found(url)),
        })
    })
    .await;
    let client = fake.client();
    let users = client.users_by_id(&ids(5), PLAIN).await.unwrap();
    assert_eq!(names(&users), ["found"; 5]);
    let sent: Vec<Vec<String>> = fake
        .asked()
        .iter()
        .map(|seen| parts(seen).iter().map(|(_, url)| id_in(url)).collect())
        .collect();
    assert_eq!(
        sent[1..],
        [vec!["user-1", "user-2", "user-3"], vec!["user-2"]]
    );
    let stats = client.stats();
    assert_eq!((stats.requests, stats.retried, stats.throttled), (3, 4, 1));
}

#[tokio::test]
async fn only_graphs_own_words_make_a_user_gone() {
    let fake = Fake::start(|seen, _| {
        answer(seen, |url| match id_in(url).as_str() {
            "user-0" => Some(failed(404, "Request_ResourceNotFound")),
            "user-1" => Some(failed(404, "BadRequest")),
            "user-2" => Some(r#""status":404,"body":"PGh0bWw+""#.to_owned()),
            "user-3" => Some(failed(403, "Authorization_RequestDenied")),
            "user-4" => Some(r#""status":200,"body":{"id":"somebody-else"}"#.to_owned()),
            "user-5" => Some(r#""status":200,"body":null"#.to_owned()),
            _ => Some(found(url)),
        })
    })
    .await;
    let users = fake.client().users_by_id(&ids(7), PLAIN).await.unwrap();
    assert_eq!(
        names(&users),
        [
            "gone", "unknown", "unknown", "unknown", "unknown", "unknown", "found"
        ]
    );
}

#[tokio::test]
async fn groups_are_looked_up_by_id_without_what_they_are_related_to() {
    let fake = Fake::start(|seen, _| answer(seen, |url| Some(found(url)))).await;
    let select = GroupSelect {
        members: true,
        owners: true,
    };
    let groups: Vec<String> = (0..21).map(|n| format!("Group-{n}")).collect();
    let found = fake.client().groups_by_id(&groups, select).await.unwrap();
    for (asked, (id, presence)) in groups.iter().zip(&found) {
        let Presence::Found(group) = presence else {
            panic!("{id} is missing")
        };
        assert_eq!((id, &group.id), (asked, asked));
        assert_eq!(group.display_name.value().unwrap(), "x");
    }
    let sent: Vec<Vec<(String, String)>> = fake.asked().iter().map(parts).collect();
    assert_eq!((sent[0].len(), sent[1].len()), (20, 1));
    assert_eq!(
        sent[0][0].1,
        "/groups/Group-0?$select=id,displayName,description,mail,mailNickname,mailEnabled,securityEnabled,groupTypes,visibility"
    );
}

#[tokio::test]
async fn only_graphs_own_words_make_a_group_gone() {
    let fake = Fake::start(|seen, _| {
        answer(seen, |url| match id_in(url).as_str() {
            "group-0" => Some(failed(404, "Request_ResourceNotFound")),
            "group-1" => Some(failed(404, "")),
            "group-2" => Some(failed(403, "Authorization_RequestDenied")),
            "group-3" => Some(r#""status":200,"body":{"id":"another"}"#.to_owned()),
            "group-4" => Some(r#""status":200,"body":{"id":"GROUP-4"}"#.to_owned()),
            _ => Some(r#""status":200,"body":{"displayName":"no id"}"#.to_owned()),
        })
    })
    .await;
    let ids: Vec<String> = (0..6).map(|n| format!("group-{n}")).collect();
    let client = fake.client();
    let groups = client
        .groups_by_id(&ids, GroupSelect::default())
        .await
        .unwrap();
    assert_eq!(
        names(&groups),
        ["gone", "unknown", "unknown", "unknown", "found", "unknown"]
    );
    let Presence::Unknown(error) = &groups[3].1 else {
        panic!("{:?}", groups[3])
    };
    assert!(error.to_string().contains("a group"), "{error}");
}

#[tokio::test]
async fn a_part_that_is_refused_for_its_token_renews_it_once() {
    let fake = Fake::start(|seen, _| {
        let fresh = seen.header("authorization") == "Bearer tok-2";
        answer(seen, |url| {
            Some(if fresh {
                found(url)
            } else {
                failed(401, "InvalidAuthenticationToken")
            })
        })
    })
    .await;
    let users = fake.client().users_by_id(&ids(3), PLAIN).await.unwrap();
    assert_eq!(names(&users), ["found"; 3]);
    assert_eq!(fake.token_requests().len(), 2);
}

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_is_an_error() {
    let fake = Fake::start(|_, _| crate::support::error(400, "BadRequest")).await;
    let error = fake.client().users_by_id(&ids(3), PLAIN).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Refused);
    let broken = Fake::start(|_, _| reply(200, r#"{"responses":5}"#)).await;
    let error = broken
        .client()
        .users_by_id(&ids(3), PLAIN)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), broken.asked().len()),
        (ErrorClass::BadResponse, 3)
    );
}

#[tokio::test]
async fn first_pages_of_members_come_per_group_and_go_on_by_their_link() {
    let fake = Fake::start(|seen, _| {
        if seen.method == "GET" {
            return reply(200, r#"{"value":[{"id":"c"}]}"#);
        }
        answer(seen, |url| match url.contains("group-b") {
            true => Some(failed(404, "Request_ResourceNotFound")),
            false => Some(r#""status":200,"body":{"value":[{"id":"a"},{"id":"b"}],"@odata.nextLink":"{base}/v1.0/groups/group-a/members?$skiptoken=2"}"#.to_owned()),
        })
    })
    .await;
    let client = fake.client();
    let groups = client
        .group_members_batch(&["group-a".into(), "group-b".into()])
        .await
        .unwrap();
    assert_eq!(
        groups[1].1.as_ref().unwrap_err().class(),
        ErrorClass::NotFound
    );
    let page = groups[0].1.as_ref().unwrap();
    assert_eq!((page.items.len(), page.last), (2, false));
    let mut rest = client
        .resume_members(page.next_link.as_ref().unwrap())
        .unwrap();
    assert_eq!(rest.next().await.unwrap().unwrap().items[0].id, "c");
    assert!(rest.next().await.unwrap().is_none());
}

#[tokio::test]
async fn first_pages_of_owners_come_per_group_and_go_on_by_their_link() {
    let fake = Fake::start(|seen, _| {
        if seen.method == "GET" {
            return reply(200, r#"{"value":[{"id":"c"}]}"#);
        }
        answer(seen, |url| match id_in(url).as_str() {
            "group-a" => Some(r##""status":200,"body":{"value":[{"@odata.type":"#microsoft.graph.user","id":"a"}],"@odata.nextLink":"{base}/v1.0/groups/group-a/owners?$select=id&$skiptoken=2"}"##.to_owned()),
            "group-b" => Some(r#""status":200,"body":{"value":[]}"#.to_owned()),
            "group-c" => Some(failed(404, "Request_ResourceNotFound")),
            _ => Some(r#""status":200,"body":{"value":[{"displayName":"no id"}]}"#.to_owned()),
        })
    })
    .await;
    let client = fake.client();
    let ids = ["a", "b", "c", "d"].map(|name| format!("group-{name}"));
    let groups = client.group_owners_batch(&ids).await.unwrap();
    let urls: Vec<String> = parts(&fake.asked()[0])
        .into_iter()
        .map(|(_, url)| url)
        .collect();
    assert_eq!(
        urls,
        ids.clone()
            .map(|id| format!("/groups/{id}/owners?$select=id&$top=999"))
    );
    let page = groups[0].1.as_ref().unwrap();
    assert_eq!((page.items[0].id.as_str(), page.last), ("a", false));
    let nobody = groups[1].1.as_ref().unwrap();
    assert!(nobody.items.is_empty() && nobody.last);
    let classes = [2, 3].map(|at: usize| groups[at].1.as_ref().unwrap_err().class());
    assert_eq!(classes, [ErrorClass::NotFound, ErrorClass::BadResponse]);
    assert!(
        groups[3]
            .1
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("owners")
    );
    let mut rest = client
        .resume_members(page.next_link.as_ref().unwrap())
        .unwrap();
    assert_eq!(rest.next().await.unwrap().unwrap().items[0].id, "c");
    assert!(rest.next().await.unwrap().is_none());
    assert_eq!(
        fake.targets()[1],
        "/v1.0/groups/group-a/owners?$select=id&$skiptoken=2"
    );
}

#[tokio::test]
async fn an_empty_batch_asks_nothing() {
    let fake = Fake::start(|_, _| reply(500, "")).await;
    let client = fake.client();
    assert!(client.users_by_id(&[], PLAIN).await.unwrap().is_empty());
    assert!(
        client
            .groups_by_id(&[], GroupSelect::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(client.group_owners_batch(&[]).await.unwrap().is_empty());
    assert!(fake.asked().is_empty());
}
