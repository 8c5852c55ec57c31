//! Lists and rounds of changes.

use lockstep_graph::{DeltaLink, ErrorClass, Field, GroupSelect, MemberKind, Removed, UserSelect};

use crate::support::{Fake, Reply, Seen, all, error, reply};

const PLAIN: UserSelect = UserSelect { manager: false };
const WITH_MANAGER: UserSelect = UserSelect { manager: true };
const FIELDS: &str = "id,displayName,givenName,surname,mail,userPrincipalName,accountEnabled,userType,jobTitle,employeeId";

fn page(users: &[&str], link: &str) -> Reply {
    let users: Vec<String> = users
        .iter()
        .map(|id| format!(r#"{{"id":"{id}"}}"#))
        .collect();
    reply(
        200,
        format!(
            r#"{{"@odata.context":"x",{link}"value":[{}]}}"#,
            users.join(",")
        ),
    )
}

fn next(tail: &str) -> String {
    format!(r#""@odata.nextLink":"{{base}}/v1.0{tail}","#)
}

fn delta(tail: &str) -> String {
    format!(r#""@odata.deltaLink":"{{base}}/v1.0{tail}","#)
}

#[tokio::test]
async fn a_list_is_read_to_its_end_over_empty_pages_and_byte_for_byte() {
    const SECOND: &str = "/users?$top=5&$skiptoken=X%274453~!*(),;:@+%2b%2B&x=a/b?c";
    let fake = Fake::start(|_, n| match n {
        0 => page(&["a", "b"], &next(SECOND)),
        1 => page(&[], &next("/users?$skiptoken=3")),
        _ => page(&["c"], ""),
    })
    .await;
    let pages = all(fake.client().list_users(PLAIN)).await.unwrap();
    let ids: Vec<Vec<&str>> = pages
        .iter()
        .map(|page| page.items.iter().map(|user| user.id.as_str()).collect())
        .collect();
    assert_eq!(ids, [vec!["a", "b"], vec![], vec!["c"]]);
    assert_eq!(
        pages.iter().map(|page| page.last).collect::<Vec<_>>(),
        [false, false, true]
    );
    let first = format!("/v1.0/users?$select={FIELDS}&$top=999");
    assert_eq!(
        fake.targets(),
        [
            first,
            format!("/v1.0{SECOND}"),
            "/v1.0/users?$skiptoken=3".to_owned()
        ]
    );
}

#[tokio::test]
async fn every_request_carries_the_headers_graph_asks_for() {
    let fake = Fake::start(|_, n| {
        page(
            &[],
            &if n == 0 {
                next("/users?$skiptoken=2")
            } else {
                String::new()
            },
        )
    })
    .await;
    all(fake.client().list_users(PLAIN)).await.unwrap();
    let asked = fake.asked();
    for seen in &asked {
        assert_eq!(seen.header("accept"), "application/json");
        assert_eq!(seen.header("x-ms-throttle-priority"), "low");
        assert!(seen.header("user-agent").starts_with("lockstep/"));
        assert!(seen.header("accept-encoding").contains("gzip"));
        assert_eq!(seen.header("client-request-id").len(), 36);
    }
    assert_ne!(
        asked[0].header("client-request-id"),
        asked[1].header("client-request-id")
    );
}

#[tokio::test]
async fn managers_are_expanded_whole_where_the_short_way_is_refused() {
    let fake = Fake::start(|seen, _| {
        if seen.target.contains("manager(") {
            return error(400, "Request_UnsupportedQuery");
        }
        reply(
            200,
            r#"{"value":[{"id":"a","manager":{"id":"m","displayName":"M"}},{"id":"m"}]}"#,
        )
    })
    .await;
    let pages = all(fake.client().list_users(WITH_MANAGER)).await.unwrap();
    let managers: Vec<_> = pages[0]
        .items
        .iter()
        .map(|user| user.manager.clone())
        .collect();
    assert_eq!(managers, [Field::Value("m".to_owned()), Field::Null]);
    assert_eq!(
        fake.targets(),
        [
            format!("/v1.0/users?$select={FIELDS}&$expand=manager($select=id)&$top=999"),
            format!("/v1.0/users?$select={FIELDS}&$expand=manager&$top=999"),
        ]
    );
}

#[tokio::test]
async fn a_round_of_changes_ends_with_the_link_to_the_next() {
    let fake = Fake::start(|_, n| match n {
        0 => page(&["a"], &next("/users/delta?$skiptoken=2")),
        1 => reply(
            200,
            format!(
                r#"{{{}"value":[{{"id":"b","@removed":{{"reason":"changed"}}}}]}}"#,
                delta("/users/delta?$deltatoken=d1")
            ),
        ),
        _ => page(&[], &delta("/users/delta?$deltatoken=d2")),
    })
    .await;
    let client = fake.client();
    let pages = all(client.users_delta(WITH_MANAGER)).await.unwrap();
    assert_eq!(pages[1].items[0].removed, Some(Removed::Changed));
    let link = pages[1].delta_link.clone().unwrap();
    let later = all(client.resume_users(&link).unwrap()).await.unwrap();
    assert!(
        later[0]
            .delta_link
            .as_ref()
            .unwrap()
            .as_str()
            .ends_with("d2")
    );
    assert_eq!(
        fake.targets(),
        [
            format!("/v1.0/users/delta?$select={FIELDS},manager"),
            "/v1.0/users/delta?$skiptoken=2".to_owned(),
            "/v1.0/users/delta?$deltatoken=d1".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_round_goes_on_from_a_stored_next_link() {
    let fake = Fake::start(|_, n| match n {
        0 => page(&["a"], &next("/users/delta?$skiptoken=2")),
        _ => page(&["b"], &delta("/users/delta?$deltatoken=d")),
    })
    .await;
    let first = fake
        .client()
        .users_delta(PLAIN)
        .next()
        .await
        .unwrap()
        .unwrap();
    let rest = all(fake
        .client()
        .resume_users(&first.next_link.unwrap())
        .unwrap())
    .await
    .unwrap();
    assert_eq!(rest[0].items[0].id, "b");
}

#[tokio::test]
async fn the_link_to_changes_from_now_on_needs_no_objects() {
    let fake = Fake::start(|_, _| page(&[], &delta("/groups/delta?$deltatoken=now"))).await;
    let link = fake
        .client()
        .groups_delta_latest(GroupSelect {
            members: true,
            owners: false,
        })
        .await
        .unwrap();
    assert!(link.as_str().ends_with("$deltatoken=now"));
    assert!(fake.targets()[0].ends_with(",members&$deltatoken=latest"));
}

#[tokio::test]
async fn a_round_tells_members_and_owners_of_the_groups_as_asked() {
    let fake = Fake::start(|_, _| {
        reply(200, r##"{"@odata.deltaLink":"{base}/v1.0/groups/delta?$deltatoken=d","value":[
            {"id":"g","owners@delta":[{"@odata.type":"#microsoft.graph.user","id":"o","@removed":{"reason":"deleted"}}]},
            {"id":"g","members@delta":[{"@odata.type":"#microsoft.graph.user","id":"m"}]}]}"##)
    })
    .await;
    let select = GroupSelect {
        members: true,
        owners: true,
    };
    let pages = all(fake.client().groups_delta(select)).await.unwrap();
    let told: Vec<(usize, usize)> = pages[0]
        .items
        .iter()
        .map(|group| (group.members.len(), group.owners.len()))
        .collect();
    assert_eq!(told, [(0, 1), (1, 0)]);
    assert!(pages[0].items[0].owners[0].removed);
    assert!(fake.targets()[0].ends_with(",visibility,members,owners"));
}

#[tokio::test]
async fn a_round_with_both_links_or_none_is_a_bad_answer() {
    for link in [
        String::new(),
        format!("{}{}", next("/users/delta?a"), delta("/users/delta?b")),
    ] {
        let fake = Fake::start(move |_, _| page(&["a"], &link)).await;
        let error = all(fake.client().users_delta(PLAIN)).await.unwrap_err();
        assert_eq!(
            (error.class(), fake.asked().len()),
            (ErrorClass::BadResponse, 3)
        );
    }
}

#[tokio::test]
async fn a_link_to_another_host_is_not_followed_and_gets_no_token() {
    let trap = Fake::start(|_, _| page(&[], "")).await;
    let foreign = format!(
        r#""@odata.nextLink":"{}/v1.0/users?$skiptoken=2","#,
        trap.base
    );
    let fake = Fake::start(move |_, _| page(&["a"], &foreign)).await;
    let error = all(fake.client().list_users(PLAIN)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::ForeignLink);
    assert!(!format!("{error:?}{error}").contains("skiptoken"));
    assert!(trap.asked().is_empty());
}

#[tokio::test]
async fn a_stored_link_must_lead_to_our_graph_and_to_its_collection() {
    let fake = Fake::start(|_, _| page(&[], "")).await;
    let client = fake.client();
    let own = DeltaLink::new(format!("{}/v1.0/users/delta?$deltatoken=x", fake.base));
    assert!(client.resume_users(&own).is_ok());
    assert_eq!(
        client.resume_groups(&own).err().unwrap().class(),
        ErrorClass::ForeignLink
    );
    assert!(client.resume_members(&own).is_err());
    for list in ["members", "owners"] {
        let link = format!("{}/v1.0/groups/g/{list}?$skiptoken=x", fake.base);
        assert!(client.resume_members(&DeltaLink::new(link)).is_ok());
    }
    for link in [
        "https://graph.microsoft.com/v1.0/users/delta?$deltatoken=x",
        "",
        "nonsense",
    ] {
        assert!(
            client.resume_users(&DeltaLink::new(link)).is_err(),
            "{link}"
        );
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_are_left() {
    let circle = |_: &Seen, n: usize| page(&["a"], &next(&format!("/users?$skiptoken={}", n % 2)));
    let fake = Fake::start(circle).await;
    let error = all(fake.client().list_users(PLAIN)).await.unwrap_err();
    assert!(matches!(
        error,
        lockstep_graph::GraphError::LoopingLink { .. }
    ));
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test]
async fn a_void_delta_link_asks_for_everything_anew() {
    for reply in [
        error(400, "syncStateNotFound"),
        error(410, "resyncRequired"),
        reply(410, ""),
    ] {
        let fake = Fake::start(move |_, _| reply.clone()).await;
        let error = all(fake.client().users_delta(PLAIN)).await.unwrap_err();
        assert_eq!((error.class(), fake.asked().len()), (ErrorClass::Resync, 1));
    }
    let fake = Fake::start(|_, _| error(400, "Directory_ExpiredPageToken")).await;
    let error = all(fake.client().list_users(WITH_MANAGER))
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), fake.asked().len()),
        (ErrorClass::RestartRound, 1)
    );
}

#[tokio::test]
async fn after_an_error_the_same_page_can_be_asked_for_again() {
    let fake = Fake::start(|_, n| match n {
        0 => page(&["a"], &next("/users?$skiptoken=2")),
        1 => error(403, "Authorization_RequestDenied"),
        _ => page(&["b"], ""),
    })
    .await;
    let mut pages = fake.client().list_users(PLAIN);
    assert!(pages.next().await.unwrap().is_some());
    assert!(pages.next().await.is_err());
    assert_eq!(pages.next().await.unwrap().unwrap().items[0].id, "b");
    assert!(pages.next().await.unwrap().is_none());
}

#[tokio::test]
async fn members_and_owners_of_a_group_come_with_their_kind() {
    let fake = Fake::start(|_, _| {
        reply(200, r##"{"value":[{"@odata.type":"#microsoft.graph.user","id":"u","displayName":null},{"@odata.type":"#microsoft.graph.group","id":"g"}]}"##)
    })
    .await;
    let pages = all(fake.client().group_members("grp-1")).await.unwrap();
    let kinds: Vec<_> = pages[0]
        .items
        .iter()
        .map(|member| member.kind.clone())
        .collect();
    assert_eq!(kinds, [MemberKind::User, MemberKind::Group]);
    let owners = all(fake.client().group_owners("grp-1")).await.unwrap();
    assert_eq!(owners[0].items, pages[0].items);
    assert_eq!(
        fake.targets(),
        [
            "/v1.0/groups/grp-1/members?$select=id&$top=999",
            "/v1.0/groups/grp-1/owners?$select=id&$top=999"
        ]
    );
}

#[tokio::test]
async fn samples_and_the_organization_are_one_request_each() {
    let fake = Fake::start(|seen, _| match seen.target.contains("organization") {
        true => reply(200, r#"{"value":[{"id":"t","displayName":"Contoso","verifiedDomains":[{"name":"contoso.com"}]}]}"#),
        false => page(&["a"], &next("/more?$skiptoken=2")),
    })
    .await;
    let client = fake.client();
    assert_eq!(
        client.organization().await.unwrap().verified_domains,
        ["contoso.com"]
    );
    assert_eq!(client.sample_users(5, PLAIN).await.unwrap().len(), 1);
    assert_eq!(
        client
            .sample_groups(0, GroupSelect::default())
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(client.sample_members("g", 5000).await.unwrap().len(), 1);
    let tops: Vec<String> = fake
        .targets()
        .iter()
        .skip(1)
        .map(|target| target.rsplit('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(tops, ["5", "1", "999"]);
}
