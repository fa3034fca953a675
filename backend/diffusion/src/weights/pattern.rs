//! Choosing tensors by name.

use crate::{Error, Result};

/// Whether `name` matches `pattern`, in which each `*` stands for any characters, dots included.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*').collect::<Vec<_>>();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        // The leftmost place is never a wrong choice: it leaves the most to the parts after it.
        let Some(place) = name.find(part) else {
            return false;
        };
        name = &name[place + part.len()..];
    }
    name.ends_with(end)
}

/// The names that match any of `patterns`; a pattern that matches none is refused.
pub(crate) fn select<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    patterns: &[impl AsRef<str>],
) -> Result<Vec<&'a str>> {
    for pattern in patterns {
        let pattern = pattern.as_ref();
        if !names.clone().any(|name| matches(pattern, name)) {
            return Err(Error::InvalidArgument(format!(
                "the pattern {pattern} matches no tensor"
            )));
        }
    }
    let any = |name: &&str| (patterns.iter()).any(|pattern| matches(pattern.as_ref(), name));
    Ok(names.filter(any).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        let name = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight";
        for pattern in [
            name,
            "*",
            "*.weight",
            "down_blocks.*",
            "down_blocks.*.attentions.*",
            "*.attn1.to_q.*",
            "down*1.att*0.*.0.*q.weight",
            "**weight",
        ] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in [
            "",
            "down_blocks",
            "*.bias",
            "up_blocks.*",
            "down_blocks.*.resnets.*",
            "*to_q.weight*to_q.weight",
            "*.weight.*",
        ] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_match_nothing_are_refused() {
        let names = ["a.weight", "b.weight"];
        let chosen = select(names.into_iter(), &["b.*"]).unwrap();
        assert_eq!(chosen, ["b.weight"]);
        let error = select(names.into_iter(), &["b.*", "c.*"]).unwrap_err();
        assert!(error.to_string().contains("c.*"));
    }
}
