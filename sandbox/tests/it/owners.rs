use lockstep_sandbox::{EditError, OptionsPatch, Tenant};
use serde_json::{Value, json};

use crate::client::{Client, item};

const OWNERS: &str = "/groups/delta?$select=displayName,owners";
const BOTH: &str = "/groups/delta?$select=displayName,members,owners";

fn user(id: &str) -> Value {
    json!({"@odata.type": "#microsoft.graph.user", "id": id})
}

fn removed(id: &str) -> Value {
    json!({"@odata.type": "#microsoft.graph.user", "id": id, "@removed": {"reason": "deleted"}})
}

#[tokio::test]
async fn a_delta_tells_owners_only_when_they_are_selected() {
    let client = Client::small().await;
    for path in ["/groups/delta", "/groups/delta?$select=displayName,members"] {
        let (items, _) = client.round(path).await;
        assert!(item(&items, "g").get("members@delta").is_some(), "{path}");
        assert!(item(&items, "g").get("owners@delta").is_none(), "{path}");
    }
    let (items, _) = client.round(OWNERS).await;
    assert_eq!(
        *item(&items, "g"),
        json!({"id": "g", "displayName": "Teachers", "owners@delta": [user("a")]})
    );
    assert_eq!(
        *item(&items, "h"),
        json!({"id": "h", "displayName": "Everyone"})
    );
    let (items, _) = client.round(BOTH).await;
    assert_eq!(item(&items, "g")["owners@delta"], json!([user("a")]));
    assert_eq!(
        item(&items, "g")["members@delta"],
        json!([user("b"), user("c")])
    );
}

#[tokio::test]
async fn owners_who_come_go_or_are_deleted_are_told_in_the_next_round() {
    let client = Client::small().await;
    let control = &client.control;
    let (_, mut link) = client.round(OWNERS).await;
    let steps: [&dyn Fn(); 4] = [
        &|| assert!(control.add_owner("g", "e").unwrap()),
        &|| assert!(control.remove_owner("g", "a").unwrap()),
        &|| control.delete_user("e").unwrap(),
        &|| control.restore_user("e").unwrap(),
    ];
    let mut told = Vec::new();
    for step in steps {
        step();
        let (items, next) = client.round(&link).await;
        assert_eq!(items.len(), 1, "{items:?}");
        told.push(items[0].clone());
        link = next;
    }
    assert_eq!(
        told[0],
        json!({"id": "g", "displayName": "Teachers", "owners@delta": [user("e")]})
    );
    let owners: Vec<&Value> = told.iter().map(|item| &item["owners@delta"][0]).collect();
    assert_eq!(
        owners,
        [&user("e"), &removed("a"), &removed("e"), &user("e")]
    );
}

#[tokio::test]
async fn a_change_of_owners_is_no_change_for_those_who_did_not_select_them() {
    let client = Client::small().await;
    let (_, members) = client
        .round("/groups/delta?$select=displayName,members")
        .await;
    let (_, owners) = client.round(OWNERS).await;
    client.control.add_owner("h", "b").unwrap();
    assert!(client.round(&members).await.0.is_empty());
    client.control.remove_member("g", "b").unwrap();
    let (items, _) = client.round(&owners).await;
    assert_eq!(items.len(), 1);
    assert_eq!(item(&items, "h")["owners@delta"], json!([user("b")]));
}

#[tokio::test]
async fn owners_are_told_of_groups_whose_members_are_hidden() {
    let client = Client::small().await;
    client.control.add_owner("s", "a").unwrap();
    let (items, _) = client.round(BOTH).await;
    let secret = item(&items, "s");
    assert_eq!(secret["owners@delta"], json!([user("a")]));
    assert!(secret.get("members@delta").is_none());
    assert_eq!(client.get("/groups/s/owners?$select=id").await.ids(), ["a"]);
}

#[tokio::test]
async fn members_and_owners_share_the_room_on_a_page() {
    let ids: Vec<String> = (0..7).map(|n| format!("u{n}")).collect();
    let users: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "displayName": id, "userPrincipalName": format!("{id}@x")}))
        .collect();
    let data = json!({
        "users": users,
        "groups": [{"id": "one", "displayName": "One"}, {"id": "two", "displayName": "Two"}],
        "members": {"one": ids[..5], "two": ids[..1]},
        "owners": {"one": ids[2..], "two": ids[..2]},
    });
    let client = Client::of(Tenant::from_json(data.to_string().as_bytes()).unwrap()).await;
    client.control.set_options(OptionsPatch {
        delta_member_page: Some(3),
        ..OptionsPatch::default()
    });
    let count = |item: &Value, relation: &str| {
        item[format!("{relation}@delta")]
            .as_array()
            .map_or(0, Vec::len)
    };
    let pages = client.pages(BOTH).await;
    let mut told = [("one", 0, 0), ("two", 0, 0)];
    for page in &pages {
        let room: usize = page
            .items()
            .iter()
            .map(|item| count(item, "members") + count(item, "owners"))
            .sum();
        assert!(room <= 3, "{}", page.body);
        for (id, members, owners) in &mut told {
            for item in page.items().iter().filter(|item| item["id"] == *id) {
                assert!(item["displayName"].is_string());
                *members += count(item, "members");
                *owners += count(item, "owners");
            }
        }
    }
    assert_eq!(told, [("one", 5, 5), ("two", 1, 2)]);
    assert_eq!(pages.len(), 5);
    let link = pages.last().unwrap().link("deltaLink").unwrap();
    for id in &ids[2..] {
        client.control.remove_owner("one", id).unwrap();
        client.control.add_member("two", id).unwrap();
    }
    let (items, _) = client.round(&link).await;
    let sum = |id: &str, relation: &str| -> usize {
        let of_group = items.iter().filter(|item| item["id"] == id);
        of_group.map(|item| count(item, relation)).sum()
    };
    assert_eq!((sum("one", "owners"), sum("two", "members")), (5, 5));
    assert_eq!((sum("one", "members"), sum("two", "owners")), (0, 0));
}

#[tokio::test]
async fn adding_and_removing_an_owner_tells_whether_it_changed_anything() {
    let client = Client::small().await;
    let control = &client.control;
    let before = control.state().group_changes;
    assert!(!control.add_owner("g", "a").unwrap());
    assert!(control.add_owner("g", "d").unwrap());
    assert!(control.remove_owner("g", "a").unwrap());
    assert!(!control.remove_owner("g", "a").unwrap());
    assert_eq!(control.state().group_changes, before + 2);
    assert_eq!(control.owner_ids("g"), ["d"]);
    assert_eq!(client.get("/groups/g/owners?$select=id").await.ids(), ["d"]);
    let missing = control.remove_owner("g", "zz").unwrap_err();
    assert_eq!(missing.to_string(), "there is no owner 'zz'");
    assert!(matches!(
        control.add_owner("a", "b").unwrap_err(),
        EditError::NotFound { what: "group", .. }
    ));
}

#[tokio::test]
async fn an_owner_who_is_not_there_is_kept_and_not_shown() {
    let client = Client::small().await;
    let (_, link) = client.round(OWNERS).await;
    assert!(client.control.add_owner("h", "newcomer").unwrap());
    assert!(client.control.owner_ids("h").is_empty());
    let (items, link) = client.round(&link).await;
    assert!(items.is_empty(), "{items:?}");
    client
        .control
        .create_user(json!({"id": "newcomer", "displayName": "New", "userPrincipalName": "new@x"}))
        .unwrap();
    assert_eq!(
        client.round(&link).await.0[0]["owners@delta"],
        json!([user("newcomer")])
    );
    assert_eq!(client.control.owner_ids("h"), ["newcomer"]);
}

#[tokio::test]
async fn a_restored_group_comes_whole_with_those_who_belong_to_it() {
    let client = Client::small().await;
    let (_, both) = client.round(BOTH).await;
    let (_, bare) = client.round("/groups/delta?$select=displayName").await;
    client.control.delete_group("g").unwrap();
    let gone = json!({"id": "g", "@removed": {"reason": "changed"}});
    let (items, both) = client.round(&both).await;
    assert_eq!(*item(&items, "g"), gone);
    let (items, bare) = client.round(&bare).await;
    assert_eq!(items, [gone]);
    client.control.restore_group("g").unwrap();
    assert_eq!(
        client.round(&bare).await.0,
        [json!({"id": "g", "displayName": "Teachers"})]
    );
    let (items, _) = client.round(&both).await;
    assert_eq!(
        *item(&items, "g"),
        json!({"id": "g", "displayName": "Teachers", "members@delta": [user("b"), user("c")], "owners@delta": [user("a")]})
    );
    // It is a member of another group, and comes back there too.
    assert_eq!(
        item(&items, "h")["members@delta"],
        json!([{"@odata.type": "#microsoft.graph.group", "id": "g"}])
    );
}

#[tokio::test]
async fn a_group_that_went_and_came_back_between_two_rounds_was_never_away() {
    let client = Client::small().await;
    let (_, link) = client.round(BOTH).await;
    client.control.delete_group("g").unwrap();
    client.control.restore_group("g").unwrap();
    let (items, _) = client.round(&link).await;
    assert_eq!(items.iter().filter(|item| item["id"] == "g").count(), 1);
    let group = item(&items, "g");
    assert!(group.get("@removed").is_none(), "{group}");
    assert_eq!(group["members@delta"], json!([user("b"), user("c")]));
}
