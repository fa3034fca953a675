//! What is declared about the pictures, by flags or by answers at a terminal.

use clap::{Args, ValueEnum};
use shared::{
    problem::FieldError,
    protected_set::{CreateAttestation, RightsBasis},
};

use crate::{
    Terminal,
    failure::Failure,
    question::{ask, can_ask, confirm},
};

/// What is declared about the pictures; it is bound to the set for good.
#[derive(Args, Debug)]
#[command(next_help_heading = "Declaration (asked for at a terminal where it is missing)")]
pub(super) struct Declaration {
    /// Why you may protect these pictures.
    #[arg(long, value_enum)]
    basis: Option<Basis>,
    /// Your full name.
    #[arg(long, value_name = "NAME")]
    declared_by: Option<String>,
    /// The country whose law the declaration is made under.
    #[arg(long, value_name = "COUNTRY")]
    jurisdiction: Option<String>,
    /// In which capacity you declare, such as "agency of the author".
    #[arg(long)]
    capacity: Option<String>,
    /// Where the mandate of whoever represents the owner can be read.
    #[arg(long)]
    mandate: Option<String>,
    /// Whether a real person can be recognised in them.
    #[arg(long, value_name = "YES-OR-NO")]
    depicts_person: Option<Answer>,
    /// The person agreed to biometric measures, too.
    #[arg(long)]
    biometric_consent: bool,
    /// You confirm that the declaration is true.
    #[arg(long)]
    confirm: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Basis {
    /// I own the rights in these pictures.
    Own,
    /// I represent the owner.
    Represent,
    /// The depicted person gave me consent.
    Consent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    Yes,
    No,
}

impl From<Basis> for RightsBasis {
    fn from(basis: Basis) -> Self {
        match basis {
            Basis::Own => Self::Own,
            Basis::Represent => Self::Represent,
            Basis::Consent => Self::Consent,
        }
    }
}

impl Declaration {
    /// Flags that a declaration needs and that were not given.
    fn missing(&self) -> Vec<&'static str> {
        let flags = [
            ("--basis", self.basis.is_none()),
            ("--declared-by", self.declared_by.is_none()),
            ("--jurisdiction", self.jurisdiction.is_none()),
            ("--depicts-person", self.depicts_person.is_none()),
            ("--confirm", !self.confirm),
        ];
        let missing = flags.into_iter().filter(|(_, missing)| *missing);
        missing.map(|(flag, _)| flag).collect()
    }

    pub(super) async fn complete(&self, terminal: &Terminal) -> Result<CreateAttestation, Failure> {
        let missing = self.missing();
        if !missing.is_empty() && (terminal.output.is_json() || !can_ask()) {
            return Err(Failure::Usage(format!(
                "A set is sealed by a declaration. Add {}, or leave it open with --draft.",
                missing.join(", ")
            )));
        }
        let declaration = self.asked().await?;
        let errors = declaration.validate();
        if errors.is_empty() {
            return Ok(declaration);
        }
        Err(Failure::Usage(told(&errors)))
    }

    async fn asked(&self) -> Result<CreateAttestation, Failure> {
        let basis = match self.basis {
            Some(basis) => basis,
            None => ask_basis().await?,
        };
        let depicts_person = match self.depicts_person {
            Some(answer) => answer == Answer::Yes,
            None => confirm("Can a real person be recognised in these pictures?").await?,
        };
        let name = match &self.declared_by {
            Some(name) => name.clone(),
            None => ask("Your full name:").await?,
        };
        let jurisdiction = match &self.jurisdiction {
            Some(country) => country.clone(),
            None => ask("The country whose law you declare this under:").await?,
        };
        let confirmed = self.confirm
            || confirm("Do you confirm that all of this is true? It is bound to the set for good.")
                .await?;
        Ok(CreateAttestation {
            basis: basis.into(),
            name,
            jurisdiction,
            capacity: self.capacity.clone().unwrap_or_default(),
            mandate: self.mandate.clone(),
            depicts_person,
            biometric_consent: self.biometric_consent,
            confirmed,
        })
    }
}

async fn ask_basis() -> Result<Basis, Failure> {
    let question = "Why may you protect these pictures? (own: they are yours, represent: you act for their owner, \
        consent: the depicted person agreed)";
    loop {
        if let Ok(basis) = Basis::from_str(&ask(question).await?, true) {
            return Ok(basis);
        }
    }
}

fn told(errors: &[FieldError]) -> String {
    let lines: Vec<&str> = errors.iter().map(|error| error.detail.as_str()).collect();
    lines.join(" ")
}
