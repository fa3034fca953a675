//! The Python client: generated from the OpenAPI document, and tried against a running server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::{
    cache::{cargo, command, folder, output, root, run},
    contract,
};

/// The version whose code the check below was written for.
const GENERATOR: &str = "openapi-python-client==0.29.1";
/// Bodies that are bytes, by what the generator calls bytes.
const CONFIG: &str = r#"{"project_name_override": "persguard-client", "package_name_override": "persguard_client",
"post_hooks": [], "content_type_overrides": {"image/png": "application/octet-stream",
"image/jpeg": "application/octet-stream", "image/tiff": "application/octet-stream", "image/webp": "application/octet-stream",
"application/x-tar": "application/octet-stream", "application/x-ndjson": "application/octet-stream",
"application/openmetrics-text": "text/plain", "text/event-stream": "text/plain"}}"#;

/// Generates the client into a folder of its own, which `pip install` takes.
pub(crate) fn generate(to: &Path) -> Result<()> {
    let to = std::path::absolute(to)?;
    write(&program()?, &to)?;
    println!("{}", to.display());
    Ok(())
}

/// The server's program, built with the whole workspace's selection of features as for the tests.
fn program() -> Result<PathBuf> {
    run(cargo()?.args(["build", "--workspace", "--bin", "persguard"]))?;
    Ok(folder("target")?.join("debug/persguard"))
}

/// Generates the client and drives a server with it; the last line tells how many operations it has.
pub(crate) fn check() -> Result<()> {
    let program = program()?;
    let project = folder("tools")?.join("python-client");
    write(&program, &project)?;
    let server = contract::serve(&program)?;
    let mut python = command(environment()?.join("bin/python"));
    python
        .arg(root().join("xtask/contract/use_client.py"))
        .arg(server.url())
        .arg(root().join("backend/demo/samples/violet-dog"))
        .env("PYTHONPATH", &project)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run(&mut python)
}

/// The generator and what its code needs, in a Python environment of its own.
fn environment() -> Result<PathBuf> {
    let environment = folder("tools")?.join(GENERATOR.replace("==", "-"));
    if !environment.join("bin/openapi-python-client").is_file() {
        run(command("python3").args(["-m", "venv"]).arg(&environment))?;
        let mut install = command(environment.join("bin/python"));
        run(install.args(["-m", "pip", "install", "--quiet", GENERATOR]))?;
    }
    Ok(environment)
}

fn write(program: &Path, to: &Path) -> Result<()> {
    let mut document: Value = serde_json::from_str(&output(command(program).arg("openapi"))?)?;
    let operations = contract::operations(&document);
    plain(&mut document);
    let inputs = folder("tools")?.join("python-client-inputs");
    fs::create_dir_all(&inputs)?;
    let (path, config) = (inputs.join("openapi.json"), inputs.join("config.json"));
    fs::write(&path, serde_json::to_vec(&document)?)?;
    fs::write(&config, CONFIG)?;
    let mut generator = command(environment()?.join("bin/openapi-python-client"));
    generator
        .args(["generate", "--meta", "setup", "--overwrite"])
        // A warning is a part of the API that would be missing.
        .arg("--fail-on-warning")
        .arg("--path")
        .arg(path)
        .arg("--config")
        .arg(config)
        .arg("--output-path")
        .arg(to);
    run(&mut generator)?;
    let made = modules(&to.join("persguard_client/api"))?;
    ensure!(
        made == operations,
        "{made} of {operations} operations were generated"
    );
    println!("python_operations={made}");
    Ok(())
}

/// Modules below a folder; each is one operation.
fn modules(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            count += modules(&path)?;
        } else {
            let module = path.extension().is_some_and(|kind| kind == "py");
            count += usize::from(module && !path.ends_with("__init__.py"));
        }
    }
    Ok(count)
}

/// Says in simpler words what the generator does not understand: alternatives that are put together from parts, and parts
/// without a name of their own.
fn plain(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object().cloned();
    let schemas = schemas.unwrap_or_default();
    merge(document, &schemas);
    let items = document["paths"].as_object_mut();
    for item in items.into_iter().flat_map(Map::values_mut) {
        let operations = item.as_object_mut();
        operations
            .into_iter()
            .flat_map(Map::values_mut)
            .for_each(require_something);
    }
    let named = document.pointer_mut("/components/schemas");
    let Some(named) = named.and_then(Value::as_object_mut) else {
        return;
    };
    let mut parts = Map::new();
    for (name, schema) in &mut *named {
        let alternatives = schema.get_mut("oneOf").and_then(Value::as_array_mut);
        for alternative in alternatives.into_iter().flatten() {
            name_parts(name, alternative, &mut parts);
        }
    }
    named.extend(parts);
}

/// A body that may be left out may be null, too; the code for that does not run.
fn require_something(operation: &mut Value) {
    let schema = operation.pointer_mut("/requestBody/content/application~1json/schema");
    let Some(schema) = schema else {
        return;
    };
    let alternatives = schema.get("oneOf").and_then(Value::as_array);
    let alternatives = alternatives.filter(|all| all.len() == 2 && all[1]["type"] == "null");
    if let Some(something) = alternatives.map(|all| all[0].clone()) {
        *schema = something;
    }
}

/// `{"status": {…}}`: the object inside becomes a schema that is named after both.
fn name_parts(name: &str, alternative: &mut Value, parts: &mut Map<String, Value>) {
    let fields = alternative.get_mut("properties");
    let fields = fields.and_then(Value::as_object_mut);
    for (field, part) in fields.into_iter().flatten() {
        if part["type"] == "object" && part.get("properties").is_some() {
            let name = format!("{name}_{field}");
            let place = json!({ "$ref": format!("#/components/schemas/{name}") });
            parts.insert(name, std::mem::replace(part, place));
        }
    }
}

fn merge(value: &mut Value, schemas: &Map<String, Value>) {
    match value {
        Value::Object(object) => {
            let parts = object.get("allOf").and_then(Value::as_array);
            let whole = parts.filter(|parts| parts.len() > 1);
            if let Some(whole) = whole.and_then(|parts| merged(parts, schemas)) {
                object.remove("allOf");
                object.extend(whole);
            }
            object.values_mut().for_each(|value| merge(value, schemas));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| merge(value, schemas)),
        _ => {}
    }
}

/// One object with the properties of all; nothing where one of them is no object.
fn merged(parts: &[Value], schemas: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in parts {
        let part = match part["$ref"].as_str() {
            Some(place) => schemas.get(place.rsplit('/').next()?)?,
            None => part,
        };
        properties.extend(part["properties"].as_object()?.clone());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    let whole = json!({ "type": "object", "properties": properties, "required": required });
    whole.as_object().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_that_may_be_null_is_one_that_may_be_left_out() {
        let body = |schema: Value| {
            json!({ "components": { "schemas": {} }, "paths": { "/a": { "post": { "requestBody": {
                "content": { "application/json": { "schema": schema } } } }, "get": {} } } })
        };
        let place = json!({ "$ref": "#/components/schemas/A" });
        let mut document = body(json!({ "oneOf": [place, { "type": "null" }] }));
        plain(&mut document);
        assert_eq!(document, body(place));
    }

    #[test]
    fn alternatives_from_parts_become_objects() {
        let mut document = json!({ "components": { "schemas": {
            "A": { "type": "object", "required": ["x"], "properties": { "x": { "type": "string" } } },
            "B": { "oneOf": [
                { "allOf": [{ "$ref": "#/components/schemas/A" },
                    { "type": "object", "required": ["kind"], "properties": { "kind": { "enum": ["a"] } } }] },
                { "properties": { "c": { "type": "object", "properties": {} } } },
            ] },
            "C": { "allOf": [{ "$ref": "#/components/schemas/A" }] },
        } } });
        plain(&mut document);
        let schemas = &document["components"]["schemas"];
        let first = &schemas["B"]["oneOf"][0];
        assert_eq!(first["required"], json!(["x", "kind"]));
        assert_eq!(first["properties"]["x"], json!({ "type": "string" }));
        assert!(first.get("allOf").is_none());
        let place = &schemas["B"]["oneOf"][1]["properties"]["c"]["$ref"];
        assert_eq!(place, "#/components/schemas/B_c");
        assert_eq!(schemas["B_c"]["type"], "object");
        assert!(
            schemas["C"].get("allOf").is_some(),
            "one part stays what it is"
        );
    }
}
