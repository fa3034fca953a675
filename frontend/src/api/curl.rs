//! The dashboard's requests as a shell sends them: with an API key from the environment, never with a secret.

use shared::{SetId, model_import::CreateModelImport};

use super::http::{Method, Plan};

/// Where this dashboard came from, which is where its API is.
pub(crate) fn origin() -> String {
    web_sys::window()
        .and_then(|window| window.location().origin().ok())
        .unwrap_or_default()
}

/// One request.
pub(crate) fn command(origin: &str, plan: &Plan) -> String {
    let mut lines = vec![
        format!(
            "curl -sS --fail-with-body -X {} {}",
            plan.method.as_str(),
            quoted(&format!("{origin}{}", plan.path))
        ),
        if plan.by_person { TOKEN } else { KEY }.to_owned(),
    ];
    if let Some(key) = &plan.key {
        lines.push(format!("-H {}", quoted(&format!("Idempotency-Key: {key}"))));
    }
    if matches!(plan.method, Method::Patch) {
        lines.push("-H 'If-Match: *'".to_owned());
    }
    if let Some(body) = &plan.body {
        lines.push(format!("-H 'Content-Type: {}'", plan.method.media_type()));
        lines.push(format!("-d {}", with_secrets(&quoted(body))));
    }
    lines.join(" \\\n  ")
}

/// Double quotes: the shell puts the key in.
const KEY: &str = "-H \"Authorization: Bearer $PERSGUARD_API_KEY\"";

/// The same where no key is enough.
const TOKEN: &str = "-H \"Authorization: Bearer $PERSGUARD_ACCESS_TOKEN\"";

/// Whether commands take an access token in place of an API key.
pub(crate) fn by_person(commands: &str) -> bool {
    commands.contains(TOKEN)
}

/// What stands for a password in a body that is shown; the shell puts it in.
pub(crate) const PASSWORD: &str = "$SHARE_PASSWORD";
/// The same for keys of object storage.
pub(crate) const ACCESS_KEY: &str = "$S3_ACCESS_KEY_ID";
pub(crate) const SECRET_KEY: &str = "$S3_SECRET_ACCESS_KEY";

/// Leaves the single quotes around each secret's name, so that the shell reads it.
fn with_secrets(quoted: &str) -> String {
    let mut text = quoted.to_owned();
    for secret in [PASSWORD, ACCESS_KEY, SECRET_KEY] {
        text = text.replace(secret, &format!("'\"{secret}\"'"));
    }
    text
}

/// Everything that one upload takes: announced with its hash, sent, and completed. Needs `jq`, too.
pub(crate) fn upload(origin: &str, set: SetId) -> String {
    const STEPS: &str = r#"file=image.png type=image/png
body=$(jq -n --arg type "$type" --arg name "$(basename "$file")" \
  --argjson size "$(wc -c < "$file")" --arg hash "$(sha256sum "$file" | cut -c 1-64)" \
  '{protected_set_id: "SET", filename: $name, media_type: $type, size_bytes: $size, sha256: $hash}')
upload=$(curl -sS --fail-with-body -X POST ORIGIN/v1/uploads \
  KEY \
  -H 'Content-Type: application/json' \
  -d "$body")
curl -sS --fail-with-body -X PUT ORIGIN"$(echo "$upload" | jq -r .url)" \
  -H "Content-Type: $type" --data-binary @"$file"
curl -sS --fail-with-body -X POST ORIGIN/v1/uploads/"$(echo "$upload" | jq -r .id)"/complete \
  KEY"#;
    STEPS
        .replace("ORIGIN", &quoted(origin))
        .replace("SET", &set.to_string())
        .replace("KEY", KEY)
}

/// An import of the files in a folder: announced with their hashes, sent, and completed. Needs `jq`, too.
pub(crate) fn import(origin: &str, body: &CreateModelImport) -> String {
    const STEPS: &str = r#"cd model
files=$(find . -type f | sed 's|^\./||' | while read -r name; do
  jq -n --arg name "$name" --argjson size "$(wc -c < "$name")" \
    --arg hash "$(sha256sum "$name" | cut -c 1-64)" \
    '{name: $name, size_bytes: $size, sha256: $hash}'
done | jq -s .)
import=$(jq -n --argjson files "$files" BODY |
  curl -sS --fail-with-body -X POST ORIGIN/v1/base-model-imports \
  KEY \
  -H 'Content-Type: application/json' \
  -d @-)
echo "$import" | jq -r '.files[] | .url + " " + .name' | while read -r url name; do
  curl -sS --fail-with-body -X PUT ORIGIN"$url" -T "$name"
done
curl -sS --fail-with-body -X POST ORIGIN/v1/base-model-imports/"$(echo "$import" | jq -r .id)"/complete \
  KEY"#;
    let body = serde_json::to_string(body).expect("wire types are plain data");
    STEPS
        .replace("ORIGIN", &quoted(origin))
        .replace("KEY", KEY)
        .replace("BODY", &quoted(&format!("{body} | .source.files = $files")))
}

/// One word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::http::Method;

    const ORIGIN: &str = "https://persguard.example";

    #[test]
    fn a_request_is_one_command_without_a_secret() {
        let plan = Plan {
            method: Method::Post,
            path: "/v1/protected-sets".into(),
            body: Some("{\"name\":\"Ada's $HOME\"}".into()),
            key: Some("0af3".into()),
            by_person: false,
        };
        assert_eq!(
            command(ORIGIN, &plan),
            "curl -sS --fail-with-body -X POST 'https://persguard.example/v1/protected-sets' \\\n  \
             -H \"Authorization: Bearer $PERSGUARD_API_KEY\" \\\n  \
             -H 'Idempotency-Key: 0af3' \\\n  \
             -H 'Content-Type: application/json' \\\n  \
             -d '{\"name\":\"Ada'\\''s $HOME\"}'"
        );
    }

    #[test]
    fn the_shell_puts_a_password_in() {
        let plan = Plan {
            method: Method::Post,
            path: "/v1/share-links".into(),
            body: Some(format!("{{\"password\":\"{PASSWORD}\"}}")),
            key: None,
            by_person: true,
        };
        let text = command(ORIGIN, &plan);
        assert!(
            text.ends_with("-d '{\"password\":\"'\"$SHARE_PASSWORD\"'\"}'"),
            "{text}"
        );
        assert!(
            by_person(&text) && !text.contains("PERSGUARD_API_KEY"),
            "{text}"
        );
    }
}
