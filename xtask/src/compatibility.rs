//! What a change of the OpenAPI document breaks for programs that were written against the last one.
//!
//! Requests may ask for less and responses may tell more; everything else is a break. Unknown request
//! fields are refused by the API, so a request field that goes is one too.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::cache::root;

/// Deeper than any schema: a recursive one ends here.
const MAX_DEPTH: usize = 12;
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Compares with the document that was checked in; prints every break and gives their number.
pub(crate) fn check(new: &Value) -> Result<usize> {
    let path = root().join("backend/api/contract/openapi.json");
    let old = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let breaks = breaks(&serde_json::from_slice(&old)?, new);
    for text in &breaks {
        println!("breaking: {text}");
    }
    Ok(breaks.len())
}

/// Which way a value travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Request,
    Response,
}

/// Two documents side by side.
struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    /// Named schemas that were compared: each is told of once, and recursion ends.
    seen: BTreeSet<(String, String, Way)>,
    breaks: Vec<String>,
}

fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        old,
        new,
        seen: BTreeSet::new(),
        breaks: Vec::new(),
    };
    for (path, item) in object(&old["paths"]) {
        for method in METHODS {
            let operation = &item[method];
            if operation.is_object() {
                let place = format!("{} {path}", method.to_uppercase());
                comparison.operation(&place, operation, &new["paths"][path.as_str()][method]);
            }
        }
    }
    comparison.breaks
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn resolve<'a>(document: &'a Value, mut value: &'a Value) -> &'a Value {
    for _ in 0..MAX_DEPTH {
        let Some(reference) = value["$ref"].as_str() else {
            return value;
        };
        let pointer = reference.trim_start_matches('#');
        value = document.pointer(pointer).unwrap_or(&Value::Null);
    }
    value
}

/// The types that a schema admits.
fn types(schema: &Value) -> BTreeSet<String> {
    match &schema["type"] {
        Value::String(name) => BTreeSet::from([name.clone()]),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => BTreeSet::new(),
    }
}

fn names(value: &Value) -> BTreeSet<String> {
    list(value).map(ToString::to_string).collect()
}

impl Comparison<'_> {
    fn tell(&mut self, text: String) {
        self.breaks.push(text);
    }

    fn operation(&mut self, place: &str, old: &Value, new: &Value) {
        if !new.is_object() {
            return self.tell(format!("{place} is gone"));
        }
        self.parameters(place, old, new);
        let body = "requestBody";
        if new[body]["required"] == true && old[body]["required"] != true {
            self.tell(format!("{place} needs a body now"));
        }
        self.contents(
            &format!("{place} request"),
            Way::Request,
            &old[body],
            &new[body],
        );
        for (status, response) in object(&old["responses"]) {
            let found = &new["responses"][status.as_str()];
            let place = format!("{place} {status}");
            if found.is_null() {
                self.tell(format!("{place} is not answered any more"));
            }
            self.contents(&place, Way::Response, response, found);
        }
    }

    fn parameters(&mut self, place: &str, old: &Value, new: &Value) {
        let same = |left: &Value, right: &Value| {
            left["name"] == right["name"] && left["in"] == right["in"]
        };
        for parameter in list(&new["parameters"]) {
            let before = list(&old["parameters"]).find(|known| same(known, parameter));
            let name = &parameter["name"];
            let needed = before.is_some_and(|before| before["required"] == true);
            if parameter["required"] == true && !needed {
                self.tell(format!("{place} needs the parameter {name} now"));
            }
            if let Some(before) = before {
                let place = format!("{place} parameter {name}");
                self.schema(
                    &place,
                    Way::Request,
                    (&before["schema"], &parameter["schema"]),
                    0,
                );
            }
        }
        for parameter in list(&old["parameters"]) {
            if !list(&new["parameters"]).any(|known| same(known, parameter)) {
                self.tell(format!(
                    "{place} has no parameter {} any more",
                    parameter["name"]
                ));
            }
        }
    }

    fn contents(&mut self, place: &str, way: Way, old: &Value, new: &Value) {
        for (kind, content) in object(&old["content"]) {
            let found = &new["content"][kind.as_str()];
            if found.is_null() {
                self.tell(format!("{place} has no {kind} any more"));
                continue;
            }
            self.schema(place, way, (&content["schema"], &found["schema"]), 0);
        }
    }

    fn schema(&mut self, place: &str, way: Way, (old, new): (&Value, &Value), depth: usize) {
        let named = old["$ref"].is_string();
        let pair = (old["$ref"].to_string(), new["$ref"].to_string(), way);
        if depth > MAX_DEPTH || (named && !self.seen.insert(pair)) {
            return;
        }
        let (old, new) = (
            resolve(self.old, old).clone(),
            resolve(self.new, new).clone(),
        );
        self.values(place, way, &old, &new);
        self.properties(place, way, &old, &new, depth);
        if old["items"].is_object() {
            let place = format!("{place}[]");
            self.schema(&place, way, (&old["items"], &new["items"]), depth + 1);
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            let pairs = list(&old[choice]).zip(list(&new[choice]));
            for (left, right) in pairs {
                self.schema(place, way, (left, right), depth + 1);
            }
            if list(&old[choice]).count() > list(&new[choice]).count() {
                self.tell(format!("{place} lost an alternative"));
            }
        }
    }

    /// Types and listed values: a request may not admit less, a response may not hold more kinds.
    fn values(&mut self, place: &str, way: Way, old: &Value, new: &Value) {
        let (before, after) = (types(old), types(new));
        let fits = match way {
            Way::Request => before.is_subset(&after) || after.is_empty(),
            Way::Response => after.is_subset(&before) || before.is_empty(),
        };
        if !fits {
            self.tell(format!("{place} was {before:?}, is {after:?}"));
        }
        let (before, after) = (names(&old["enum"]), names(&new["enum"]));
        // Clients are told to tolerate new values of a response.
        if way == Way::Request && !after.is_empty() && !before.is_subset(&after) {
            self.tell(format!("{place} admits fewer values"));
        }
        if way == Way::Request {
            self.bounds(place, old, new);
        }
    }

    fn bounds(&mut self, place: &str, old: &Value, new: &Value) {
        for (name, upper) in [
            ("minimum", false),
            ("minLength", false),
            ("minItems", false),
            ("maximum", true),
            ("maxLength", true),
            ("maxItems", true),
        ] {
            let Some(after) = new[name].as_f64() else {
                continue;
            };
            let before = old[name].as_f64();
            let tighter = before.is_none_or(|before| {
                if upper {
                    after < before
                } else {
                    after > before
                }
            });
            // Every length is at least nought.
            if tighter && (upper || after > 0.0) {
                self.tell(format!("{place} has a tighter {name}: {after}"));
            }
        }
    }

    fn properties(&mut self, place: &str, way: Way, old: &Value, new: &Value, depth: usize) {
        for (name, schema) in object(&old["properties"]) {
            let found = &new["properties"][name.as_str()];
            let place = format!("{place}.{name}");
            if found.is_null() {
                self.tell(format!("{place} is gone"));
                continue;
            }
            self.schema(&place, way, (schema, found), depth + 1);
        }
        let (before, after) = (names(&old["required"]), names(&new["required"]));
        let (kept, asked) = match way {
            Way::Request => (&before, &after),
            Way::Response => (&after, &before),
        };
        for name in asked.difference(kept) {
            // A property that is new and always answered breaks nobody.
            self.tell(format!(
                "{place}: {name} changed between required and optional"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "paths": { "/things": { "post": {
                "parameters": [{ "name": "limit", "in": "query", "schema": { "type": "integer", "maximum": 100 } }],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Create" } } } },
                "responses": { "201": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } } },
            } } },
            "components": { "schemas": {
                "Create": { "type": "object", "required": ["name"], "properties": {
                    "name": { "type": "string" }, "kind": { "type": "string", "enum": ["a", "b"] } } },
                "Thing": { "type": "object", "required": ["id"], "properties": {
                    "id": { "type": "string" }, "parts": { "type": "array", "items": { "$ref": "#/components/schemas/Thing" } } } },
            } },
        })
    }

    /// How many breaks a change of the document is.
    fn after(pointer: &str, value: Value) -> usize {
        let mut changed = document();
        *changed.pointer_mut(pointer).expect("a place") = value;
        breaks(&document(), &changed).len()
    }

    const CREATE: &str = "/components/schemas/Create";
    const THING: &str = "/components/schemas/Thing";

    #[test]
    fn nothing_breaks_what_did_not_change() {
        assert_eq!(breaks(&document(), &document()), Vec::<String>::new());
    }

    #[test]
    fn requests_may_ask_for_less_and_not_for_more() {
        assert_eq!(after(&format!("{CREATE}/required"), json!([])), 0);
        assert_eq!(
            after(&format!("{CREATE}/required"), json!(["name", "kind"])),
            1
        );
        assert_eq!(
            after(
                &format!("{CREATE}/properties/kind/enum"),
                json!(["a", "b", "c"])
            ),
            0
        );
        assert_eq!(
            after(&format!("{CREATE}/properties/kind/enum"), json!(["a"])),
            1
        );
        assert_eq!(
            after(
                &format!("{CREATE}/properties/name/type"),
                json!(["string", "null"])
            ),
            0
        );
        assert_eq!(
            after(&format!("{CREATE}/properties/name/type"), json!("integer")),
            1
        );
        let bounded = json!({ "type": "string", "maxLength": 5, "minLength": 1 });
        assert_eq!(after(&format!("{CREATE}/properties/name"), bounded), 2);
        assert_eq!(
            after(
                &format!("{CREATE}/properties"),
                json!({ "name": { "type": "string" } })
            ),
            1
        );
        let limit = "/paths/~1things/post/parameters/0";
        assert_eq!(after(&format!("{limit}/schema/maximum"), json!(200)), 0);
        assert_eq!(after(&format!("{limit}/schema/maximum"), json!(50)), 1);
        assert_eq!(
            after(
                limit,
                json!({ "name": "key", "in": "header", "required": true })
            ),
            2
        );
    }

    #[test]
    fn responses_may_tell_more_and_not_less() {
        assert_eq!(
            after(
                &format!("{THING}/properties/id/type"),
                json!(["string", "null"])
            ),
            1
        );
        assert_eq!(
            after(&format!("{THING}/required"), json!(["id", "parts"])),
            0
        );
        assert_eq!(after(&format!("{THING}/required"), json!([])), 1);
        assert_eq!(
            after(
                &format!("{THING}/properties"),
                json!({ "id": { "type": "string" } })
            ),
            1
        );
    }

    #[test]
    fn routes_and_statuses_stay() {
        assert_eq!(after("/paths", json!({})), 1);
        assert_eq!(
            after("/paths/~1things/post/responses", json!({ "202": {} })),
            2
        );
        let body = "/paths/~1things/post/requestBody/content";
        assert_eq!(after(body, json!({ "text/plain": {} })), 1);
    }
}
