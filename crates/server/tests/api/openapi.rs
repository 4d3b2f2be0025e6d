//! The hand-kept description of the API against the table of routes: every route is in it, and nothing else.

use std::collections::BTreeSet;

use server::{Need, routes};

use crate::stand::Stand;

#[tokio::test(flavor = "multi_thread")]
async fn the_description_has_every_route_and_nothing_else() {
    let stand = Stand::start().await;
    let answer = stand.get("/api/v1/openapi.yaml", "").await;
    assert_eq!(answer.header("content-type"), "application/yaml; charset=utf-8");
    let text: serde_yaml_ng::Value = serde_yaml_ng::from_str(&answer.body).unwrap();
    let described = serde_json::to_value(text).unwrap();
    let mut found = BTreeSet::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let need = match (&operation["security"], &operation["description"]) {
                (open, _) if open.is_array() => "nothing",
                (_, said) if said == "Needs a token of an operator." => "an operator",
                _ => "a token",
            };
            found.insert((path.clone(), method.to_uppercase(), need));
            for reference in operation["parameters"].as_array().into_iter().flatten() {
                let place = reference["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
                assert!(described.pointer(place).is_some(), "{path}: {place} is not described");
            }
        }
    }
    let mut expected = BTreeSet::new();
    for route in routes() {
        let need = match route.need {
            Need::Nothing => "nothing",
            Need::Token(_) => "a token",
            Need::Operator(_) => "an operator",
        };
        expected.extend(route.methods.iter().map(|method| (route.path.to_owned(), (*method).to_owned(), need)));
    }
    let differences: Vec<_> = expected.symmetric_difference(&found).collect();
    assert!(differences.is_empty(), "in the table or the description alone: {differences:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_have_names_of_their_own() {
    let stand = Stand::start().await;
    let body = stand.get("/api/v1/openapi.yaml", "").await.body;
    let names: Vec<_> = body.lines().filter_map(|line| line.trim().strip_prefix("operationId: ")).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}
