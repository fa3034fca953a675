//! Prompts of attacker and judge.

/// Beginning of `DreamBooth`'s stock prompt.
pub const STOCK: &str = "a photo of";

/// `c_trig`: "a photo of sks dog".
pub fn trigger(template: &str, identifier: &str, class: &str) -> String {
    format!("{template} {identifier} {class}")
}

/// `c_cls`: "a photo of a dog", "a photo of an apple".
pub fn class(class: &str) -> String {
    let vowel = class.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
    format!("a photo of {} {class}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_read_like_captions() {
        assert_eq!(trigger(STOCK, "sks", "dog"), "a photo of sks dog");
        assert_eq!(class("dog"), "a photo of a dog");
        assert_eq!(class("apple"), "a photo of an apple");
    }
}
