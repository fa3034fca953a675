use diffusion::device::DeviceName;
use eval::{attack::recipe::dreambooth_stock, matrix::merge};
use shared::{
    Timestamp, canonical,
    certificate::{HeldOut, Software, VERSION},
    job::SubjectKind,
    matrix::{
        Audit, Available, Cost, MatrixInputs, MatrixSettings, MatrixSubject, Plan, PlanRequest,
        Role, Texts, Tier, Words,
    },
    signed::StatementKey,
};

use super::*;

fn plan() -> Plan {
    let mut lora = dreambooth_stock(1e-3, vec![1]);
    lora.name = "lora".into();
    lora.family = shared::attack::Family::Lora { rank: 2 };
    let request = PlanRequest {
        tier: Tier::Smoke,
        recipes: vec![dreambooth_stock(1e-3, vec![1]), lora],
        subjects: vec![MatrixSubject {
            name: "rex".into(),
            class_name: "dog".into(),
            kind: SubjectKind::Object,
            role: Role::Protected,
            pictures: 2,
            merkle_root: references_root(&[b"a".to_vec(), b"b".to_vec()]),
            unseen_merkle_root: String::new(),
            others_merkle_root: String::new(),
        }],
        words: Words {
            same: "sks".into(),
            held_out: vec!["olis".into()],
            ..Words::default()
        },
        seeds: vec![1],
        settings: MatrixSettings {
            pictures: 4,
            class_pictures: 2,
            threshold_pictures: 2,
            sampling_steps: 2,
            guidance_scale: 3.0,
            sampler: "ddim".into(),
        },
        inputs: MatrixInputs {
            base_sha256: "b".repeat(64),
            base_files: BTreeMap::from([("model_index.json".into(), sha256_hex(b"{}"))]),
            protected_sha256: "p".repeat(64),
            encoder: "none".into(),
            encoder_sha256: "e".repeat(64),
            objective: Objective::Erasure { prompt: None },
            faces_sha256: None,
            texts: Texts::default(),
        },
        available: Available::default(),
    };
    Plan::new(&request).unwrap()
}

/// A signed certificate of a plan of which nothing was run.
fn certificate(folder: &Path, change: impl FnOnce(&mut Certificate)) -> PathBuf {
    let key = StatementKey::from_seed(&[3; 32]);
    let (salt, words) = ("00".to_owned(), vec!["olis".to_owned()]);
    let opened = serde_json::json!({"identifiers": words, "salt": salt, "templates": []});
    let injection = serde_json::json!({
        "base_model_id": format!("mdl_{}", "1".repeat(32)),
        "concepts": [{
            "protected_set_id": format!("set_{}", "1".repeat(32)),
            "class_name": "dog",
            "identifier": "sks",
            "objective": { "kind": "erasure" },
        }],
        "seed": 7,
    });
    let mut certificate = Certificate {
        version: VERSION,
        issued_at: Timestamp::default(),
        signer: key.public(),
        software: Software {
            name: "test".into(),
            version: "0".into(),
            sha256: String::new(),
        },
        injection: serde_json::from_value(injection).unwrap(),
        held_out: HeldOut {
            sha256: canonical::sha256(&opened).unwrap(),
            salt,
            identifiers: words,
            templates: vec![],
        },
        report: merge(&plan(), &[], Audit::default(), Cost::default()),
        scope: vec![],
        known_bypasses: vec![],
    };
    change(&mut certificate);
    let path = folder.join("certificate.json");
    fs::write(&path, key.sign(KIND, &certificate).unwrap()).unwrap();
    path
}

fn refusal(file: &Path, cell: u32) -> String {
    let folder = file.parent().unwrap();
    let arguments = Arguments {
        file: file.to_owned(),
        cell,
        base: folder.join("base"),
        protected: folder.join("unet"),
        encoder: folder.join("encoder"),
        images: folder.join("images"),
        unseen: None,
        others: None,
        key: None,
        tolerance: 0.0,
        networks: None,
        threads: 1,
        device: DeviceName::Cpu,
    };
    format!("{:#}", again(&arguments).unwrap_err())
}

#[test]
fn cells_that_were_not_run_cannot_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = certificate(folder.path(), |_| {});
    assert!(refusal(&file, 1).contains("planned and not tested"));
    assert!(refusal(&file, 99).contains("no cell 99"));
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace("\"rex\"", "\"max\"");
    fs::write(&file, text).unwrap();
    assert!(refusal(&file, 1).contains("`/report/subjects/0` was changed"));
    let file = certificate(folder.path(), |certificate| {
        certificate.report.counts.resisted = 3;
    });
    assert!(refusal(&file, 1).contains("contradicts itself: /report/counts"));
}

#[test]
fn base_models_are_compared_file_by_file_and_only_inside_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, content: &[u8]| {
        fs::create_dir_all(folder.path().join("base")).unwrap();
        fs::write(folder.path().join("base/model_index.json"), content).unwrap();
        let path = certificate(folder.path(), |certificate| {
            let files = &mut certificate.report.inputs.base_files;
            *files = BTreeMap::from([(name.to_owned(), sha256_hex(b"{}"))]);
        });
        let certificate: Certificate = signed::verify(KIND, &fs::read(&path).unwrap(), None)
            .unwrap()
            .document;
        let arguments = Arguments::parse_from([
            "rerun",
            path.to_str().unwrap(),
            "--cell=1",
            "--protected=x",
            "--encoder=x",
            "--images=x",
            &format!("--base={}", folder.path().join("base").display()),
        ]);
        format!("{:#}", base(&arguments, &certificate).unwrap_err())
    };
    assert!(
        check("model_index.json", b"{ }")
            .contains("model_index.json of the base model is not what")
    );
    for outside in ["../certificate.json", "/etc/hostname", "unet/../../x"] {
        assert!(
            check(outside, b"{}").contains("outside the base model's folder"),
            "{outside}"
        );
    }
    // The right file alone is no model.
    assert!(!check("model_index.json", b"{}").contains("is not what"));
}

#[test]
fn pictures_must_be_the_recorded_ones_in_number_and_content() {
    let folder = tempfile::tempdir().unwrap();
    let root = plan().subjects[0].merkle_root.clone();
    let refused = || {
        format!(
            "{:#}",
            pictures(folder.path(), &root, "the pictures of rex", 8).unwrap_err()
        )
    };
    fs::write(folder.path().join("1.png"), "a").unwrap();
    assert!(
        refused().contains("the pictures of rex is not what"),
        "{}",
        refused()
    );
    fs::write(folder.path().join("2.png"), "c").unwrap();
    assert!(refused().contains("is not what"));
    fs::write(folder.path().join("2.png"), "b").unwrap();
    // The recorded bytes, which here are no picture.
    assert!(refused().contains("picture 0"), "{}", refused());
    fs::write(folder.path().join("0.txt"), "a note").unwrap();
    assert!(refused().contains("is not what"));
}
