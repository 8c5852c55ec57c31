use serde_json::{Value, json};

use crate::client::{Client, item};

#[tokio::test]
async fn members_have_their_type_and_dangling_ones_are_not_returned() {
    let client = Client::small().await;
    assert_eq!(
        client.get("/groups/g/members?$select=id").await.items(),
        [
            json!({"@odata.type": "#microsoft.graph.user", "id": "b"}),
            json!({"@odata.type": "#microsoft.graph.user", "id": "c"}),
        ]
    );
    let got = client
        .get("/groups/h/members?$select=id,displayName&$top=3")
        .await;
    assert_eq!(got.ids(), ["g", "h", "a"]);
    let rest = client.get(&got.link("nextLink").unwrap()).await;
    assert_eq!(
        rest.items()[1],
        json!({"@odata.type": "#microsoft.graph.device", "id": "dev", "displayName": "KIOSK"})
    );
    assert!(rest.link("nextLink").is_none());
    assert_eq!(
        client
            .get("/groups/h/members/microsoft.graph.user?$select=id")
            .await
            .ids(),
        ["a", "b"]
    );
    assert_eq!(client.get("/groups/zz/members").await.status, 404);
}

#[tokio::test]
async fn transitive_members_are_flat_each_once_and_survive_cycles() {
    let client = Client::small().await;
    let mut pages = client
        .pages("/groups/h/transitiveMembers?$select=id&$top=2")
        .await;
    let mut ids: Vec<String> = pages
        .drain(..)
        .flat_map(|page| {
            page.ids()
                .iter()
                .map(|id| (*id).to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a", "b", "c", "dev", "g"]);
    client.control.add_member("g", "e").unwrap();
    assert_eq!(
        client
            .get("/groups/h/transitiveMembers?$select=id")
            .await
            .items()
            .len(),
        6
    );
}

#[tokio::test]
async fn hidden_members_are_an_empty_list_without_the_permission_for_them() {
    let mut client = Client::small().await;
    assert!(client.get("/groups/s/members").await.items().is_empty());
    client
        .control
        .set_permissions(&["User.Read.All", "Group.Read.All", "Member.Read.Hidden"]);
    client.renew().await;
    assert_eq!(
        client.get("/groups/s/members?$select=id").await.ids(),
        ["a"]
    );
    let (items, _) = client.round("/groups/delta").await;
    assert_eq!(item(&items, "s")["members@delta"][0]["id"], "a");
}

#[tokio::test]
async fn members_the_caller_may_not_read_come_with_type_and_id_only() {
    let mut client = Client::small().await;
    client.control.set_permissions(&["GroupMember.Read.All"]);
    client.renew().await;
    let got = client.get("/groups/g/members?$select=id,displayName").await;
    assert_eq!(
        got.items()[0],
        json!({"@odata.type": "#microsoft.graph.user", "id": "b", "displayName": null})
    );
}

#[tokio::test]
async fn groups_have_owners_defaults_and_a_way_back_from_deletion() {
    let client = Client::small().await;
    assert_eq!(client.get("/groups/g/owners?$select=id").await.ids(), ["a"]);
    let group = client.get("/groups/g").await.body;
    assert_eq!(
        (
            &group["securityEnabled"],
            &group["proxyAddresses"],
            &group["mail"]
        ),
        (&json!(true), &json!([]), &Value::Null)
    );
    client.control.delete_group("g").unwrap();
    assert_eq!(client.get("/groups").await.ids(), ["h", "s"]);
    assert_eq!(
        client
            .get("/directory/deletedItems/microsoft.graph.group?$select=id")
            .await
            .ids(),
        ["g"]
    );
    client.control.restore_group("g").unwrap();
    assert_eq!(
        client.get("/groups/g/members?$select=id").await.ids(),
        ["b", "c"]
    );
}
