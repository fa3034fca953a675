//! JSON bodies of every route, merge patches, and plans of studies.

use std::fmt::Debug;

use api::untrusted;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use shared::{
    account_data, api_key, attack, auth, device, job, matrix, model_import, node, notice,
    organisation, problem::FieldError, protected_set, release, study, upload, webhook,
};

use crate::{
    Target,
    target::{choice, written},
};

pub(super) const TARGETS: &[Target] = &[
    Target::new("bodies", |bytes| each(bytes, BODIES), || seeds(BODIES))
        .longest(2048)
        .words(WORDS),
    Target::new(
        "merge_patches",
        |bytes| each(bytes, PATCHES),
        || seeds(PATCHES),
    )
    .words(&[
        "null",
        "\"url\":",
        "\"name\":",
        "\"events\":",
        "\"role\":",
        "{",
        "}",
        "\"status\":",
        ",",
        "1.0",
    ]),
    Target::new("study_plan", study_plan, || vec![plan_seed()])
        .longest(8192)
        .memory(256)
        .words(&[
            "\"full\"",
            "\"standard\"",
            "\"smoke\"",
            "\"templates\":[",
            "\"learning_rates\":[",
            "1e-4",
            "\"kind\":\"lora\"",
        ]),
];

const WORDS: &[&str] = &[
    "null",
    "true",
    "1.0",
    "1e3",
    "-0.0",
    "9007199254740993",
    "18446744073709551615",
    "4294967296",
    "\"kind\":",
    "\"status\":",
    "\"class_name\":\"dog\"",
    "\"identifier\":\"sks\"",
    "\"objective\":{\"kind\":\"target\",\"target_class\":\"apple\"}",
    "\"objective\":{\"kind\":\"pattern\"}",
    "\"objective\":{\"kind\":\"erasure\"}",
    "\"injection\":{\"steps\":",
    "\"evaluation\":{",
    "\"concepts\":[",
    "\\u0000",
    "\\ud800",
    "[[[[[[[[",
    "set_00000000000000000000000000000000",
];

/// A type of body, and one that it accepts.
type Body = (fn(&[u8]), &'static str);

macro_rules! bodies {
    ($($kind:ty $(: $validate:expr)? => $seed:literal,)*) => {
        &[$((
            |bytes| body::<$kind>(bytes, |_read| {
                let faults: &[Vec<FieldError>] = &[$($validate(_read),)?];
                faults.concat()
            }),
            $seed,
        )),*]
    };
}

const ID: &str = "00000000000000000000000000000000";

const BODIES: &[Body] = bodies! {
    account_data::CreateDeletion => r#"{"password":"correct horse"}"#,
    api_key::CreateApiKey: api_key::CreateApiKey::validate => r#"{"name":"k","scopes":["sets:read"],"expires_in_days":9,"allowed_addresses":["10.0.0.0/8"]}"#,
    api_key::RotateApiKey: api_key::RotateApiKey::validate => r#"{"overlap_hours":24}"#,
    attack::AttackRecipe: attack::AttackRecipe::validate => r#"{"name":"a","family":{"kind":"lora","rank":4},"learning_rates":[1e-4],"stock_learning_rate":1e-4,"checkpoints":[50],"adaptive":{}}"#,
    auth::CreateUser: auth::CreateUser::validate => r#"{"email":"a@example.org","password":"correct horse","name":"Ada"}"#,
    auth::CreateSession => r#"{"email":"a@example.org","password":"correct horse"}"#,
    auth::CreateToken => r#"{"email":"a@example.org","password":"correct horse"}"#,
    auth::ShowRefreshToken => r#"{"refresh_token":"x"}"#,
    auth::ChangePassword: auth::ChangePassword::validate => r#"{"current_password":"a","new_password":"staple battery"}"#,
    auth::CreatePasswordReset => r#"{"email":"a@example.org"}"#,
    auth::ConfirmPasswordReset: auth::ConfirmPasswordReset::validate => r#"{"token":"x","new_password":"staple battery"}"#,
    auth::ConfirmEmail => r#"{"token":"x"}"#,
    auth::CreateTotp => r#"{"password":"x"}"#,
    auth::ConfirmTotp => r#"{"code":"123456"}"#,
    auth::ProveIdentity => r#"{"password":"x"}"#,
    device::CreateDeviceAuthorization: device::CreateDeviceAuthorization::validate => r#"{"name":"x"}"#,
    device::CreateDeviceToken => r#"{"device_code":"x"}"#,
    device::DecideDevice => r#"{"user_code":"BCDF-GHJK","approve":true}"#,
    job::JobSpec: job::JobSpec::validate => r#"{"base_model_id":"mdl_00000000000000000000000000000000","concepts":[{"protected_set_id":"set_00000000000000000000000000000000","class_name":"dog","identifier":"sks","objective":{"kind":"target","target_class":"apple"}}],"injection":{"steps":100.0},"evaluation":{}}"#,
    job::Evaluation => r#"{"attack_steps":200}"#,
    model_import::CreateModelImport: model_import::CreateModelImport::validate => r#"{"name":"m","licence":"MIT","licence_accepted":true,"classes":["dog"],"source":{"kind":"upload","files":[{"name":"a.safetensors","size_bytes":9,"sha256":"00"}]}}"#,
    model_import::RetryModelImport => r#"{"credentials":{"access_key_id":"a","secret_access_key":"b"}}"#,
    node::CreateLease => r#"{"node_id":"nod_00000000000000000000000000000000","name":"n","threads":2,"memory_bytes":1000,"families":["tiny"],"device":{"name":"cpu","memory_bytes":9,"free_memory_bytes":5}}"#,
    node::Heartbeat => r#"{"token":1,"running":true,"progress":[]}"#,
    node::CreateNodeUpload => r#"{"token":1,"sha256":"00","size_bytes":9,"in_parts":true}"#,
    node::NodeDelivery => r#"{"token":1,"sha256":"00","size_bytes":9,"upload_id":"00"}"#,
    node::SaveResume => r#"{"token":1,"step":9,"sha256":"00","size_bytes":9}"#,
    node::FinishAttempt => r#"{"token":1,"outcome":{"kind":"canceled"}}"#,
    notice::CreateNotice: notice::CreateNotice::validate => r#"{"category":"depicts_me","object":"gal_1","explanation":"That is my face in it.","name":"Ada","email":"a@example.org","good_faith":true,"signature":"Ada"}"#,
    notice::DecideNotice => r#"{"decision":"upheld","statement":"It shows them, as they say."}"#,
    notice::Statement => r#"{"statement":"I took these pictures myself."}"#,
    organisation::CreateOrganisation: organisation::CreateOrganisation::validate => r#"{"name":"Studio"}"#,
    organisation::CreateInvitation: organisation::CreateInvitation::validate => r#"{"email":"a@example.org","role":"editor"}"#,
    organisation::AcceptInvitation => r#"{"token":"x"}"#,
    organisation::TransferOwnership => r#"{"user_id":"usr_00000000000000000000000000000000"}"#,
    protected_set::CreateProtectedSet: protected_set::CreateProtectedSet::validate => r#"{"name":"Dog"}"#,
    protected_set::CreateAttestation: protected_set::CreateAttestation::validate => r#"{"basis":"own","name":"Ada","jurisdiction":"DE","depicts_person":false}"#,
    release::CreateApproval => r#"{"note":"Please look at it."}"#,
    release::DecideApproval => r#"{"approve":true,"note":"It is fine."}"#,
    study::CreateStudy: study::CreateStudy::validate => r#"{"protect_job_id":"job_00000000000000000000000000000000","tier":"smoke","budget_minutes":10.5,"controls":[{"protected_set_id":"set_00000000000000000000000000000000","class_name":"dog"}]}"#,
    upload::CreateUpload: upload::CreateUpload::validate => r#"{"filename":"a.png","media_type":"image/png","size_bytes":9,"sha256":"00"}"#,
    webhook::CreateWebhook: webhook::CreateWebhook::validate => r#"{"url":"https://example.org/","events":["job.failed"]}"#,
};

const PATCHES: &[Body] = &[
    (
        patch::<api_key::UpdateApiKey>,
        r#"{"name":"k","allowed_addresses":[]}"#,
    ),
    (
        patch::<auth::UpdateSession>,
        r#"{"organisation_id":"org_00000000000000000000000000000000"}"#,
    ),
    (patch::<auth::UpdateUser>, r#"{"name":"Ada"}"#),
    (patch::<organisation::UpdateMember>, r#"{"role":"viewer"}"#),
    (
        patch::<organisation::UpdateOrganisation>,
        r#"{"name":"Studio"}"#,
    ),
    (
        patch::<webhook::UpdateWebhook>,
        r#"{"url":"https://example.org/","events":["job.failed"],"status":"enabled"}"#,
    ),
];

fn each(bytes: &[u8], bodies: &[Body]) {
    if let Some((choice, rest)) = choice(bytes)
        && let Some((run, _)) = bodies.get(choice)
    {
        run(rest);
    }
}

fn seeds(bodies: &[Body]) -> Vec<Vec<u8>> {
    let seed = |(first, (_, seed)): (u8, &Body)| [&[first], seed.as_bytes()].concat();
    (b'A'..).zip(bodies).map(seed).collect()
}

/// What is accepted says the same when it is written and read again; what is wrong with it is said by field.
fn body<T>(bytes: &[u8], validate: impl Fn(&T) -> Vec<FieldError>)
where
    T: DeserializeOwned + Serialize + Debug,
{
    let read = match untrusted::body::<T>(bytes) {
        Ok(read) => read,
        Err(errors) => return pointers(&errors),
    };
    pointers(&validate(&read));
    if let Some(text) = written(&read) {
        let again = untrusted::body::<T>(text.as_bytes());
        assert_eq!(again.as_ref().map(written), Ok(Some(text)), "{read:?}");
    }
}

fn pointers(errors: &[FieldError]) {
    for error in errors {
        assert!(
            error.pointer == "#" || error.pointer.starts_with("#/"),
            "{error:?}"
        );
        assert!(
            !error.code.is_empty() && !error.detail.is_empty(),
            "{error:?}"
        );
    }
}

/// A merge patch removes what it calls `null` (RFC 7396); nothing here can be removed, so none is accepted.
fn patch<T>(bytes: &[u8])
where
    T: DeserializeOwned + Serialize + Debug,
{
    body::<T>(bytes, |_| Vec::new());
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return;
    };
    if fields.values().any(Value::is_null) {
        assert!(untrusted::body::<T>(bytes).is_err(), "{fields:?}");
    }
}

fn plan_seed() -> Vec<u8> {
    let recipe = |name: &str, family: Value| json!({"name": name, "family": family, "learning_rates": [1e-4, 1e-3], "stock_learning_rate": 1e-4, "checkpoints": [50, 100]});
    let subject = |name: &str, role: &str| {
        json!({"name": name, "class_name": "dog", "kind": "object", "role": role, "pictures": 4, "merkle_root": ID,
            "unseen_merkle_root": "", "others_merkle_root": ""})
    };
    let request = json!({
        "tier": "standard",
        "recipes": [recipe("a", json!({"kind": "dreambooth_unet"})), recipe("b", json!({"kind": "lora", "rank": 4}))],
        "subjects": [subject("p", "protected"), subject("s", "same_class")],
        "words": {"same": "sks", "pool": ["olis"], "held_out": ["kwl", "lrx"], "natural": ["victor"]},
        "seeds": [1, 2, 3],
        "settings": {"pictures": 4, "class_pictures": 4, "threshold_pictures": 4, "sampling_steps": 4, "guidance_scale": 3.0,
            "sampler": "ddim"},
        "inputs": {"base_sha256": ID, "base_files": {}, "protected_sha256": ID, "encoder": "e", "encoder_sha256": ID,
            "objective": {"kind": "target", "target_class": "apple"}, "texts": matrix::Texts::default()},
        "available": matrix::Available::default(),
    });
    request.to_string().into_bytes()
}

/// A plan is bounded, numbered, and has no cell twice.
fn study_plan(bytes: &[u8]) {
    let Ok(request) = serde_json::from_slice::<matrix::PlanRequest>(bytes) else {
        return;
    };
    match matrix::Plan::new(&request) {
        Ok(plan) => {
            assert!((1..=50_000).contains(&plan.cells.len()));
            assert!(
                plan.cells
                    .iter()
                    .zip(1..)
                    .all(|(cell, number)| cell.number == number)
            );
            assert!(
                plan.cells.iter().any(|cell| plan.is_headline(cell)),
                "nothing decides"
            );
            if plan.cells.len() < 500 {
                let keys: std::collections::BTreeSet<_> = plan
                    .cells
                    .iter()
                    .map(|cell| (cell.subject, plan.key(cell)))
                    .collect();
                assert_eq!(keys.len(), plan.cells.len());
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            pointers(&errors);
        }
    }
}
