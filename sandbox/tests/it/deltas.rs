use std::time::Duration;

use lockstep_sandbox::{Fault, FaultKind, GenerateOptions, OptionsPatch, SandboxOptions, Tenant};
use serde_json::{Value, json};

use crate::client::{Client, item, read};

const USERS: &str = "/users/delta?$select=displayName,jobTitle,mail,accountEnabled,manager";
const GROUPS: &str = "/groups/delta?$select=displayName,members";

#[tokio::test]
async fn the_first_round_tells_everything_but_what_was_never_set() {
    let client = Client::small().await;
    let (items, link) = client.round(USERS).await;
    assert_eq!(items.len(), 5);
    let ben = item(&items, "b");
    assert_eq!(
        *ben,
        json!({"id": "b", "displayName": "Ben", "jobTitle": "Teacher", "accountEnabled": true, "manager@delta": [{"@odata.type": "#microsoft.graph.user", "id": "a"}]})
    );
    assert_eq!(item(&items, "e")["manager@delta"][0]["id"], "ghost");
    let (items, again) = client.round(&link).await;
    assert!(items.is_empty());
    assert!(client.round(&again).await.0.is_empty());
}

#[tokio::test]
async fn later_rounds_tell_changes_clearings_and_nothing_that_was_not_selected() {
    let client = Client::small().await;
    let (_, link) = client.round(USERS).await;
    client
        .control
        .patch_user("b", json!({"jobTitle": null}))
        .unwrap();
    client
        .control
        .patch_user("c", json!({"department": "IT"}))
        .unwrap();
    client
        .control
        .patch_user("ann@x.example", json!({"jobTitle": "Head"}))
        .unwrap();
    let (items, _) = client.round(&link).await;
    assert_eq!(
        items,
        [json!({"id": "b", "displayName": "Ben", "jobTitle": null, "accountEnabled": true})]
    );
    let minimal = read(
        client
            .request(&link)
            .header("Prefer", "return=minimal")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(minimal.items(), [json!({"id": "b", "jobTitle": null})]);
}

#[tokio::test]
async fn deletion_purge_and_restoration_each_have_their_sign() {
    let client = Client::small().await;
    let (_, mut link) = client.round(USERS).await;
    let mut changes = Vec::new();
    client.control.delete_user("d").unwrap();
    for step in 0..3 {
        let (items, next) = client.round(&link).await;
        changes.push(items);
        link = next;
        match step {
            0 => client.control.restore_user("d").unwrap(),
            1 => client.control.purge_user("d").unwrap(),
            _ => {}
        }
    }
    assert_eq!(
        changes[0],
        [json!({"id": "d", "@removed": {"reason": "changed"}})]
    );
    assert_eq!(
        changes[1],
        [json!({"id": "d", "displayName": "Dan (guest)", "accountEnabled": true})]
    );
    assert_eq!(
        changes[2],
        [json!({"id": "d", "@removed": {"reason": "deleted"}})]
    );
}

#[tokio::test]
async fn a_manager_is_set_replaced_removed_and_deleted() {
    let client = Client::small().await;
    let (_, mut link) = client.round(USERS).await;
    let steps: [&dyn Fn(); 4] = [
        &|| client.control.set_manager("d", Some("a")).unwrap(),
        &|| client.control.set_manager("d", Some("e")).unwrap(),
        &|| client.control.delete_user("e").unwrap(),
        &|| client.control.set_manager("b", None).unwrap(),
    ];
    let mut told = Vec::new();
    for step in steps {
        step();
        let (items, next) = client.round(&link).await;
        told.push(items);
        link = next;
    }
    let user = |id: &str| json!({"@odata.type": "#microsoft.graph.user", "id": id});
    let removed = |id: &str| json!({"@odata.type": "#microsoft.graph.user", "id": id, "@removed": {"reason": "deleted"}});
    assert_eq!(item(&told[0], "d")["manager@delta"], json!([user("a")]));
    assert_eq!(
        item(&told[1], "d")["manager@delta"],
        json!([removed("a"), user("e")])
    );
    assert_eq!(item(&told[2], "d")["manager@delta"], json!([removed("e")]));
    assert_eq!(item(&told[3], "b")["manager@delta"], json!([removed("a")]));
}

#[tokio::test]
async fn what_a_delta_does_not_know_is_refused() {
    let client = Client::small().await;
    for option in [
        "$top=5",
        "$expand=manager",
        "$orderby=displayName",
        "$search=x",
        "$filter=id eq 'a'",
    ] {
        assert_eq!(
            client.get(&format!("/users/delta?{option}")).await.status,
            400,
            "{option}"
        );
    }
    let (_, link) = client.round(USERS).await;
    assert_eq!(
        client.get(&format!("{link}&$select=mail")).await.status,
        400
    );
    assert_eq!(
        client.get("/users/delta?$deltatoken=nonsense").await.status,
        400
    );
    assert_eq!(
        client
            .get(&link.replace("/users/", "/groups/"))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_delta_from_now_on_starts_empty() {
    let client = Client::small().await;
    let (items, link) = client
        .round("/users/delta?$deltatoken=latest&$select=mail")
        .await;
    assert!(items.is_empty());
    client
        .control
        .patch_user("e", json!({"mail": "eve@x.example"}))
        .unwrap();
    assert_eq!(
        client.round(&link).await.0,
        [json!({"id": "e", "mail": "eve@x.example"})]
    );
}

#[tokio::test]
async fn an_old_link_ends_in_410_with_a_location_or_in_400() {
    let mut client = Client::small().await;
    let (_, link) = client.round(USERS).await;
    client
        .control
        .advance_clock(Duration::from_secs(8 * 86_400));
    client.renew().await;
    let response = client.request(&link).send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let got = read(response).await;
    assert_eq!(
        (got.status.as_u16(), got.code()),
        (410, "SyncStateNotFound")
    );
    let (items, link) = client.round(&location).await;
    assert_eq!(items.len(), 5);
    assert!(items[1].get("manager@delta").is_some());
    client.control.expire_delta_tokens(400);
    let got = client.get(&link).await;
    assert_eq!(
        (got.status.as_u16(), got.code()),
        (400, "syncStateNotFound")
    );
}

#[tokio::test]
async fn a_link_of_another_sandbox_is_expired() {
    let (one, other) = (Client::small().await, Client::small().await);
    let (_, link) = one.round(USERS).await;
    let moved = link.replace(one.sandbox.url(), other.sandbox.url());
    assert_eq!(other.get(&moved).await.status, 410);
}

#[tokio::test]
async fn a_change_during_the_first_round_is_told_in_the_next() {
    let options = SandboxOptions {
        delta_page_size: 2,
        ..SandboxOptions::default()
    };
    let client = Client::with(
        Tenant::from_json(crate::client::SMALL.as_bytes()).unwrap(),
        options,
    )
    .await;
    let first = client.get(USERS).await;
    assert_eq!(first.ids(), ["a", "b"]);
    client
        .control
        .patch_user("a", json!({"jobTitle": "Director"}))
        .unwrap();
    let (rest, link) = client.round(&first.link("nextLink").unwrap()).await;
    assert_eq!(rest.len(), 3);
    assert_eq!(client.round(&link).await.0[0]["jobTitle"], "Director");
}

#[tokio::test]
async fn lost_changes_are_never_told_and_replayed_ones_twice() {
    let client = Client::small().await;
    let (_, link) = client.round(USERS).await;
    client.control.skip_changes(1);
    client.control.delete_user("d").unwrap();
    client
        .control
        .patch_user("b", json!({"jobTitle": "Writer"}))
        .unwrap();
    let (items, link) = client.round(&link).await;
    assert_eq!(items.len(), 1);
    client
        .control
        .add_fault(Fault::new(FaultKind::Replay { count: 1 }).times(1))
        .unwrap();
    assert_eq!(client.round(&link).await.0[0]["id"], "b");
    assert!(client.round(&link).await.0.is_empty());
}

#[tokio::test]
async fn a_groups_delta_tells_members_by_type_and_their_removal() {
    let client = Client::small().await;
    let (items, link) = client.round(GROUPS).await;
    let types: Vec<&Value> = item(&items, "h")["members@delta"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| &member["@odata.type"])
        .collect();
    assert_eq!(
        types,
        [
            "#microsoft.graph.group",
            "#microsoft.graph.group",
            "#microsoft.graph.user",
            "#microsoft.graph.user",
            "#microsoft.graph.device"
        ]
    );
    assert_eq!(
        item(&items, "g")["members@delta"].as_array().unwrap().len(),
        2
    );
    assert!(item(&items, "s").get("members@delta").is_none());
    client.control.add_member("g", "e").unwrap();
    client.control.remove_member("h", "a").unwrap();
    client.control.delete_user("b").unwrap();
    let (items, link) = client.round(&link).await;
    let removed = |id: &str| json!({"@odata.type": "#microsoft.graph.user", "id": id, "@removed": {"reason": "deleted"}});
    assert_eq!(
        item(&items, "g")["members@delta"],
        json!([{"@odata.type": "#microsoft.graph.user", "id": "e"}, removed("b")])
    );
    assert_eq!(
        item(&items, "h")["members@delta"],
        json!([removed("a"), removed("b")])
    );
    client.control.restore_user("b").unwrap();
    client.control.delete_group("g").unwrap();
    let (items, _) = client.round(&link).await;
    assert_eq!(
        *item(&items, "g"),
        json!({"id": "g", "@removed": {"reason": "changed"}})
    );
    assert_eq!(
        item(&items, "h")["members@delta"][0],
        json!({"@odata.type": "#microsoft.graph.user", "id": "b"})
    );
}

#[tokio::test]
async fn a_large_group_reappears_with_the_next_slice_of_its_members() {
    let options = GenerateOptions {
        users: 700,
        groups: 2,
        members_per_group: 30,
        big_group: 650,
        seed: 3,
    };
    let client = Client::of(Tenant::generate(options)).await;
    client.control.set_options(OptionsPatch {
        delta_member_page: Some(200),
        ..OptionsPatch::default()
    });
    let pages = client.pages(GROUPS).await;
    let big = client.control.group_ids()[2].clone();
    let mut members: Vec<String> = Vec::new();
    let mut appearances = 0;
    for page in &pages {
        let references: usize = page
            .items()
            .iter()
            .map(|group| group["members@delta"].as_array().map_or(0, Vec::len))
            .sum();
        assert!(references <= 200);
        for group in page
            .items()
            .iter()
            .filter(|group| group["id"] == big.as_str())
        {
            assert!(group["displayName"].is_string());
            appearances += 1;
            let slice = group["members@delta"].as_array().unwrap();
            members.extend(
                slice
                    .iter()
                    .map(|member| member["id"].as_str().unwrap().to_owned()),
            );
        }
    }
    members.sort_unstable();
    members.dedup();
    assert_eq!((appearances, members.len()), (4, 650));
}

#[tokio::test]
async fn later_rounds_are_paged_by_objects_and_by_members_too() {
    let options = GenerateOptions {
        users: 300,
        groups: 1,
        members_per_group: 10,
        big_group: 0,
        seed: 5,
    };
    let client = Client::of(Tenant::generate(options)).await;
    client.control.set_options(OptionsPatch {
        delta_member_page: Some(40),
        delta_page_size: Some(50),
        ..OptionsPatch::default()
    });
    let (_, users) = client.round("/users/delta?$select=jobTitle").await;
    let (_, groups) = client.round(GROUPS).await;
    let changed = client.control.churn(&lockstep_sandbox::Churn {
        users: 120,
        groups: 1,
        seed: 1,
    });
    assert_eq!((changed.users.len(), changed.groups.len()), (120, 1));
    assert_eq!(
        client
            .pages(&users)
            .await
            .iter()
            .map(|page| page.items().len())
            .collect::<Vec<_>>(),
        [50, 50, 20]
    );
    let group = &client.control.group_ids()[0];
    for user in client.control.user_ids().iter().take(100) {
        client.control.add_member(group, user).unwrap();
    }
    let pages = client.pages(&groups).await;
    assert!(pages.len() >= 3);
    assert!(
        pages
            .iter()
            .all(|page| page.items()[0]["members@delta"].as_array().unwrap().len() <= 40)
    );
}
