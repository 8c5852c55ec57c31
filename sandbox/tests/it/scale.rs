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
