use std::collections::BTreeSet;

use serde_json::Value;

use super::super::description;
use super::complete;

fn document() -> Value {
    serde_json::to_value(complete(description(), "landfall_token_a")).unwrap()
}

/// Every `$ref` in it.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn everything_that_is_referred_to_is_described() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("#/components/schemas/Problem"), "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn every_request_says_what_it_is_for_and_how_it_is_refused() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/api/v1/vms/{vm}/migrations"), "{:?}", paths.keys());
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let about = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{about} has no summary");
            let refused = &operation["responses"]["401"]["content"];
            assert!(refused["application/problem+json"].is_object(), "{about}: {refused}");
        }
    }
}
