//! Studies: the attack matrix on one protected model, worked through by many jobs.
//!
//! Owns the request, the order that each job carries, and what people see of it. A study is known by the id of its first
//! job, which plans. Refuses to plan: a node does, which knows the model's words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    JobId, SetId, Timestamp,
    attack::AttackRecipe,
    certificate::{HeldOut, Software},
    job::{JobStatus, SubjectKind, is_word},
    language::Language,
    matrix::{CellResult, Cost, Headline, MatrixReport, MatrixSubject, Tier},
    problem::{FieldError, check},
};

/// Most sets of people, pets or things that are not protected and are attacked all the same.
pub const MAX_CONTROLS: usize = 8;
/// Most recipes of the owner's own.
pub const MAX_RECIPES: usize = 16;
/// Longest budget in minutes: a month.
pub const MAX_BUDGET_MINUTES: f64 = 30.0 * 24.0 * 60.0;

/// File name of the report's page in a language: a study's last job leaves one for each.
pub const fn page_name(language: Language) -> &'static str {
    match language {
        Language::English => "report.html",
        Language::German => "report.de.html",
    }
}

/// A sealed set that is not protected: the innocent user (EVALUATION, arms A2 and A3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its pictures.
    pub protected_set_id: SetId,
    /// Class word.
    pub class_name: String,
    /// Object, person or style.
    #[serde(default)]
    pub subject: SubjectKind,
}

/// What is attacked, and how much of the matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateStudy {
    /// The finished job whose protected model is attacked.
    pub protect_job_id: JobId,
    /// Position of the attacked concept in it.
    #[serde(default)]
    pub concept: u32,
    /// How much of the matrix is planned.
    #[serde(default)]
    pub tier: Tier,
    /// Cells that would end later, on one node, are not run and shown as not tested.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 43_200))]
    pub budget_minutes: Option<f64>,
    /// Sets that are not protected; without any the innocent user is not measured.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 8))]
    pub controls: Vec<Control>,
    /// Attacks of the owner's own, beside the built-in ones.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 16))]
    pub recipes: Vec<AttackRecipe>,
}

impl CreateStudy {
    /// Every reason why it cannot run, whatever the job.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let minutes = self.budget_minutes;
        let usable = minutes.is_none_or(|minutes| (1.0..=MAX_BUDGET_MINUTES).contains(&minutes));
        check(
            &mut errors,
            usable,
            "#/budget_minutes",
            "out_of_range",
            || format!("Use 1 to {MAX_BUDGET_MINUTES} minutes."),
        );
        let few = self.controls.len() <= MAX_CONTROLS;
        check(&mut errors, few, "#/controls", "invalid_length", || {
            format!("Name at most {MAX_CONTROLS} controls.")
        });
        for (at, control) in self.controls.iter().enumerate().take(MAX_CONTROLS) {
            self.validate_control(at, control, &mut errors);
        }
        let few = self.recipes.len() <= MAX_RECIPES;
        check(&mut errors, few, "#/recipes", "invalid_length", || {
            format!("Name at most {MAX_RECIPES} recipes of your own.")
        });
        for (at, recipe) in self.recipes.iter().enumerate().take(MAX_RECIPES) {
            errors.extend(recipe.validate().into_iter().map(|error| FieldError {
                pointer: error.pointer.replacen('#', &format!("#/recipes/{at}"), 1),
                ..error
            }));
        }
        errors
    }

    fn validate_control(&self, at: usize, control: &Control, errors: &mut Vec<FieldError>) {
        let pointer = format!("#/controls/{at}/class_name");
        check(
            errors,
            is_word(&control.class_name),
            &pointer,
            "invalid",
            || "Use one word of at most 32 characters.".into(),
        );
        let set = control.protected_set_id;
        let fresh = self.controls[..at]
            .iter()
            .all(|other| other.protected_set_id != set);
        let pointer = format!("#/controls/{at}/protected_set_id");
        check(errors, fresh, &pointer, "repeated_set", || {
            "This set is a control already.".into()
        });
    }
}

/// What one job of a study does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StudyTask {
    /// Plans the cells and measures how fast they will be.
    Plan,
    /// Runs some of them.
    Run {
        /// Their numbers in the plan.
        cells: Vec<u32>,
    },
    /// Measures the models as they are and puts everything together.
    Merge,
}

/// What a job of a study is told beside the specification that the model was protected by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StudyOrder {
    /// What was asked for.
    pub request: CreateStudy,
    /// This job's part of it.
    pub task: StudyTask,
}

/// What the last job of a study writes as `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StudyOutput {
    /// Everything that was measured.
    pub report: MatrixReport,
    /// What measured it.
    pub software: Software,
    /// What injection never saw; absent for models that were protected before it was committed to.
    pub held_out: Option<HeldOut>,
}

/// Where a study stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StudyStatus {
    /// Its cells are being planned.
    Planning,
    /// Cells wait or run.
    Running,
    /// All cells ended; they are put together.
    Merging,
    /// The report is there.
    Succeeded,
    /// It ended without a report.
    Failed,
    /// It ended on request.
    Canceled,
}

/// One job of a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StudyJob {
    /// The job.
    pub id: JobId,
    /// Its part.
    pub task: StudyTask,
    /// Where it stands.
    pub status: JobStatus,
}

/// What is going to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StudyPlan {
    /// Cells of the tier.
    pub cells: u32,
    /// Those that run; a budget cut the others.
    pub kept: u32,
    /// What decides, fixed before any run.
    pub headline: Headline,
    /// Who is personalized.
    pub subjects: Vec<MatrixSubject>,
    /// What the kept cells were expected to take on one node.
    pub cost: Cost,
}

/// A study as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Study {
    /// The job that planned it.
    pub id: JobId,
    /// Name of the attacked set.
    pub title: String,
    /// What was asked for.
    pub request: CreateStudy,
    /// Where it stands.
    pub status: StudyStatus,
    /// Its jobs, oldest first.
    pub jobs: Vec<StudyJob>,
    /// Once it is planned.
    pub plan: Option<StudyPlan>,
    /// Cells that ended, by number; all of them are in the report, too.
    pub cells: Vec<CellResult>,
    /// Once all cells ended.
    pub report: Option<MatrixReport>,
    /// Where pictures are, by cell key and name: `KEY/protected/200/00.png`.
    pub pictures: BTreeMap<String, String>,
    /// The report as one page that works without a network, in the language of whoever asks where there is one.
    pub report_url: Option<String>,
    /// The signed certificate.
    pub certificate_url: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// A study in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StudySummary {
    /// The job that planned it.
    pub id: JobId,
    /// Name of the attacked set.
    pub title: String,
    /// How much was asked for.
    pub tier: Tier,
    /// The job whose model is attacked.
    pub protect_job_id: JobId,
    /// When it was asked for.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> CreateStudy {
        serde_json::from_value(serde_json::json!({"protect_job_id": JobId::nil()}))
            .expect("a request")
    }

    #[test]
    fn what_a_request_leaves_out_is_the_standard_tier() {
        let request = request();
        assert_eq!(request.validate(), Vec::new());
        assert_eq!(request.tier, Tier::Standard);
        assert!(request.controls.is_empty() && request.budget_minutes.is_none());
    }

    #[test]
    fn every_language_has_a_page_of_its_own() {
        let names = Language::ALL.map(page_name);
        assert_eq!(names, ["report.html", "report.de.html"]);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let mut request = request();
        request.budget_minutes = Some(f64::INFINITY);
        let control = Control {
            protected_set_id: SetId::nil(),
            class_name: "two words".into(),
            subject: SubjectKind::Object,
        };
        request.controls = vec![
            control.clone(),
            Control {
                class_name: "dog".into(),
                ..control
            },
        ];
        let pointers: Vec<String> = request
            .validate()
            .into_iter()
            .map(|error| error.pointer)
            .collect();
        let expected = [
            "#/budget_minutes",
            "#/controls/0/class_name",
            "#/controls/1/protected_set_id",
        ];
        assert_eq!(pointers, expected);
    }
}
