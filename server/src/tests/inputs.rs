//! What a nested input leaves out keeps its value; proved for every field that the schema has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::world::{CLIENT, SECRET, TENANT, Who, World};
use crate::id::GlobalId as _;

const TYPES: &str = "{ __schema {
    types { kind name isOneOf inputFields { name type { ...T } } enumValues { name } }
    mutationType { fields { name args { type { ...T } } } }
} }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// Inputs whose fields are not laid over stored ones one by one, and why.
const WHOLE: [(&str, &str); 3] = [
    (
        "GroupConditionInput",
        "an entry of a list, which is given as a whole",
    ),
    (
        "ClientSecretInput",
        "a new secret: nothing is known of it but what is given",
    ),
    (
        "EntraCredentialInput",
        "its ids are required; the rest is tested by name",
    ),
];

/// The types of the schema by their names.
struct Types(BTreeMap<String, Value>);

/// A field that holds a value.
#[derive(Debug, Clone)]
struct Leaf {
    path: Vec<String>,
    /// Name of the type, without lists and exclamation marks.
    of: String,
    is_list: bool,
}

/// Takes lists and exclamation marks off a type.
fn bare(of: &Value) -> (String, bool) {
    match of["kind"].as_str() {
        Some("NON_NULL") => bare(&of["ofType"]),
        Some("LIST") => (bare(&of["ofType"]).0, true),
        _ => (of["name"].as_str().unwrap().to_owned(), false),
    }
}

impl Types {
    async fn of(world: &World) -> (Self, Vec<String>) {
        let schema = world.ask(Who::Ada, TYPES, json!({})).await["__schema"].clone();
        let named = |of: &Value| (of["name"].as_str().unwrap().to_owned(), of.clone());
        let types = schema["types"].as_array().unwrap().iter().map(named);
        let fields = schema["mutationType"]["fields"].as_array().unwrap();
        let args = fields
            .iter()
            .flat_map(|field| field["args"].as_array().unwrap());
        let inputs = args.map(|arg| bare(&arg["type"]).0).collect();
        (Self(types.collect()), inputs)
    }

    fn fields(&self, name: &str) -> Vec<(String, String, bool)> {
        let of = &self.0[name];
        if of["kind"] != json!("INPUT_OBJECT") {
            return Vec::new();
        }
        let field = |field: &Value| {
            let (of, is_list) = bare(&field["type"]);
            (field["name"].as_str().unwrap().to_owned(), of, is_list)
        };
        of["inputFields"]
            .as_array()
            .unwrap()
            .iter()
            .map(field)
            .collect()
    }

    /// The fields of an input that hold values, and the inputs that were gone through to find them.
    fn leaves(&self, name: &str, path: &[String], through: &mut BTreeSet<String>) -> Vec<Leaf> {
        through.insert(name.to_owned());
        let mut leaves = Vec::new();
        for (field, of, is_list) in self.fields(name) {
            let path = [path, &[field]].concat();
            if is_list || self.fields(&of).is_empty() {
                leaves.push(Leaf { path, of, is_list });
            } else {
                leaves.extend(self.leaves(&of, &path, through));
            }
        }
        leaves
    }

    /// One of two values that a field can have.
    fn value(&self, leaf: &Leaf, first: bool) -> Value {
        if leaf.is_list {
            let pattern = if first { "First *" } else { "Second *" };
            assert_eq!(
                leaf.of, "GroupConditionInput",
                "a list of what is not known here"
            );
            return json!([{ "namePattern": pattern }]);
        }
        match leaf.of.as_str() {
            "Boolean" => json!(first),
            "Int" => json!(if first { 17 } else { 23 }),
            name => {
                let values = self.0[name]["enumValues"].as_array().unwrap();
                let value = if first { values.last() } else { values.first() };
                value.unwrap()["name"].clone()
            }
        }
    }
}

/// Puts a value where a path leads.
fn put(into: &mut Value, path: &[String], value: Value) {
    let (first, rest) = path.split_first().unwrap();
    if rest.is_empty() {
        into[first] = value;
        return;
    }
    if into[first].is_null() {
        into[first] = json!({});
    }
    put(&mut into[first], rest, value);
}

/// What to ask for to see every field; conditions have fields of their own.
fn selection(tree: &Value) -> String {
    let field = |(name, below): (&String, &Value)| match below {
        Value::Object(_) => format!("{name} {{ {} }}", selection(below)),
        Value::Array(_) => format!("{name} {{ namePattern }}"),
        _ => name.clone(),
    };
    let fields: Vec<String> = tree.as_object().unwrap().iter().map(field).collect();
    fields.join(" ")
}

/// All rules with the first or the second of their values.
fn all(types: &Types, leaves: &[Leaf], first: bool) -> Value {
    let mut rules = json!({});
    for leaf in leaves {
        put(&mut rules, &leaf.path, types.value(leaf, first));
    }
    rules["inbound"].clone()
}

#[tokio::test]
async fn d48_a_rule_that_is_left_out_keeps_its_value_whichever_it_is() {
    let world = World::new().await;
    let (types, _) = Types::of(&world).await;
    let leaves = types.leaves("SyncRulesInput", &[], &mut BTreeSet::new());
    assert!(leaves.len() >= 26, "{leaves:?}");
    let start = all(&types, &leaves, true);
    let shown = format!(
        "integration {{ id syncRules {{ ... on InboundSyncRules {{ {} }} }} }}",
        selection(&start)
    );
    let id = world.integration().await.global();
    let update = async |rules: Value| {
        let input = json!({ "integrationId": id, "syncRules": { "inbound": rules } });
        let payload = world
            .mutate(Who::Ada, "updateSyncRules", &shown, input)
            .await;
        assert_eq!(payload["userErrors"], json!([]));
        payload["integration"]["syncRules"].clone()
    };
    let defaults = update(json!({})).await;
    for (n, leaf) in leaves.iter().enumerate() {
        assert_eq!(update(start.clone()).await, start);
        let (mut given, mut expected) = (json!({}), json!({ "inbound": start }));
        put(&mut given, &leaf.path, types.value(leaf, false));
        put(&mut expected, &leaf.path, types.value(leaf, false));
        let name = leaf.path.join(".");
        assert_eq!(
            update(given["inbound"].clone()).await,
            expected["inbound"],
            "{name} alone"
        );

        let mut expected = json!({ "inbound": defaults });
        put(&mut expected, &leaf.path, types.value(leaf, false));
        let input = json!({ "name": format!("Integration {n}"), "syncRules": given });
        let payload = world
            .mutate(Who::Ada, "createIntegration", &shown, input)
            .await;
        let created = &payload["integration"]["syncRules"];
        assert_eq!(created, &expected["inbound"], "{name} alone, at creation");
    }
}

/// Another input inside an input comes under the test above, or is named with the reason why not.
#[tokio::test]
async fn every_nested_input_is_known_to_keep_what_it_leaves_out() {
    let world = World::new().await;
    let (types, inputs) = Types::of(&world).await;
    let mut walked = BTreeSet::new();
    types.leaves("SyncRulesInput", &[], &mut walked);
    let (mut nested, mut next) = (BTreeSet::new(), inputs);
    while let Some(name) = next.pop() {
        for (_, of, _) in types.fields(&name) {
            if !types.fields(&of).is_empty() && nested.insert(of.clone()) {
                next.push(of);
            }
        }
    }
    let unknown: Vec<&String> = nested.difference(&walked).collect();
    let mut whole: Vec<&str> = WHOLE.iter().map(|(name, _)| *name).collect();
    whole.sort_unstable();
    assert_eq!(unknown, whole);
}

#[tokio::test]
async fn e019_credentials_that_are_given_in_part_keep_cloud_and_secret() {
    let world = World::new().await;
    let id = world.integration().await.global();
    let shown = "integration { credential { ... on EntraCredential { cloud clientSecret { keyId expiresAt setAt } } } }";
    let set = async |credential: Value| {
        let input = json!({ "integrationId": id, "credential": credential });
        let payload = world
            .mutate(Who::Ada, "setIntegrationCredential", shown, input)
            .await;
        assert_eq!(payload["userErrors"], json!([]));
        payload["integration"]["credential"].clone()
    };
    let secret = json!({ "value": SECRET, "keyId": "abc", "expiresAt": "2027-01-01T00:00:00Z" });
    let whole =
        json!({ "cloud": "CHINA", "tenantId": TENANT, "clientId": CLIENT, "clientSecret": secret });
    let before = set(whole).await;
    assert_eq!(before["clientSecret"]["keyId"], "abc");
    world.clock.advance(chrono::TimeDelta::hours(1));
    let after = set(json!({ "tenantId": TENANT, "clientId": CLIENT })).await;
    assert_eq!(after, before);
}

#[tokio::test]
async fn d48_a_limit_that_never_holds_is_refused_by_name() {
    let world = World::new().await;
    let id = world.integration().await.global();
    let update = async |limits: Value| {
        let rules = json!({ "inbound": { "limits": limits } });
        let input = json!({ "integrationId": id, "syncRules": rules });
        let payload = world.mutate(Who::Ada, "updateSyncRules", "", input).await;
        payload["userErrors"].clone()
    };
    let none = json!({ "percent": null, "maximum": null });
    let errors =
        update(json!({ "userDeactivations": none, "emailChanges": { "percent": null } })).await;
    let told = |n: usize| (errors[n]["code"].clone(), errors[n]["path"][4].clone());
    assert_eq!(told(0), (json!("REQUIRED"), json!("userDeactivations")));
    assert_eq!(told(1), (json!("REQUIRED"), json!("emailChanges")));
    assert_eq!(
        update(json!({ "userDeactivations": { "percent": null } })).await,
        json!([])
    );
    let last = update(json!({ "userDeactivations": { "maximum": null } })).await;
    assert_eq!(
        last[0]["code"], "REQUIRED",
        "the last bound cannot be taken away"
    );
}
