use std::collections::HashSet;

use lockstep_sandbox::{Churn, GenerateOptions, Tenant};

use crate::client::Client;

#[tokio::test]
async fn twenty_thousand_users_are_read_page_by_page_without_delay() {
    let options = GenerateOptions {
        users: 20_000,
        groups: 50,
        members_per_group: 100,
        big_group: 20_000,
        seed: 9,
    };
    let client = Client::of(Tenant::generate(options)).await;
    let started = std::time::Instant::now();
    let (items, link) = client
        .round("/users/delta?$select=id,displayName,mail,accountEnabled,manager")
        .await;
    assert_eq!(items.len(), 20_000);
    let (groups, _) = client
        .round("/groups/delta?$select=displayName,members")
        .await;
    let members: usize = groups
        .iter()
        .filter_map(|group| group["members@delta"].as_array())
        .map(Vec::len)
        .sum();
    assert_eq!(members, 25_000);
    client.control.churn(&Churn {
        users: 1000,
        groups: 20,
        seed: 1,
    });
    assert!(
        client.round(&link).await.0.is_empty(),
        "job titles are not selected"
    );
    let pages = client
        .pages("/users?$select=id&$top=999&$expand=manager($select=id)")
        .await;
    assert_eq!(pages.len(), 21);
    // Generous: an answer that scanned everything would take minutes in a debug build.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_hundred_thousand_users_two_thousand_groups_and_one_of_everybody_are_read_to_the_end() {
    const USERS: usize = 100_000;
    let started = std::time::Instant::now();
    let client = Client::of(Tenant::generate(GenerateOptions {
        users: 100_000,
        groups: 2_000,
        members_per_group: 100,
        big_group: 100_000,
        seed: 4,
    }))
    .await;
    let everybody = client.control.group_ids().pop().unwrap();
    let path = format!("/groups/{everybody}/members?$select=id&$top=999");
    let pages = client.pages(&path).await;
    let members: HashSet<&str> = pages.iter().flat_map(|page| page.ids()).collect();
    assert_eq!((pages.len(), members.len()), (101, USERS));
    let pages = client
        .pages("/groups/delta?$select=displayName,members,owners")
        .await;
    let slices: Vec<usize> = pages
        .iter()
        .flat_map(|page| page.items())
        .filter(|group| group["id"] == everybody.as_str())
        .map(|group| group["members@delta"].as_array().unwrap().len())
        .collect();
    assert_eq!(slices.iter().sum::<usize>(), USERS);
    assert!(slices.len() >= 100 && slices.iter().all(|slice| *slice <= 1000));
    let groups: HashSet<&str> = pages.iter().flat_map(|page| page.ids()).collect();
    assert_eq!(groups.len(), 2_001);
    let link = pages.last().unwrap().link("deltaLink").unwrap();
    client.control.delete_group(&everybody).unwrap();
    client.control.restore_group(&everybody).unwrap();
    let (items, _) = client.round(&link).await;
    let again = items
        .iter()
        .filter_map(|item| item["members@delta"].as_array());
    assert_eq!(again.map(Vec::len).sum::<usize>(), USERS);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
