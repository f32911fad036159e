//! `*` and `?` as policies use them.

/// Whether `text` matches `pattern`, letter for letter but for `*` (any run) and `?` (any one).
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    glob(pattern.as_bytes(), text.as_bytes(), |a, b| a == b)
}

/// As [`matches`], without regard to case: action names and ARNs' services are like that.
pub(crate) fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    glob(pattern.as_bytes(), text.as_bytes(), u8::eq_ignore_ascii_case)
}

/// Linear but for the last star, to which it falls back.
fn glob(pattern: &[u8], text: &[u8], same: impl Fn(&u8, &u8) -> bool) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(letter) if *letter == b'?' || same(letter, &text[seen]) => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((star_at, from)) => {
                    star = Some((star_at, from + 1));
                    at = star_at + 1;
                    seen = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "iam:GetUser", true),
            ("iam:Get*", "iam:GetUser", true),
            ("iam:*User*", "iam:ListUserTags", true),
            ("iam:Get?ser", "iam:GetUser", true),
            ("iam:Get", "iam:GetUser", false),
            ("iam:*Role", "iam:GetRoles", false),
            ("a*b*c", "a-x-b-b-c", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
        }
        assert!(matches_ignoring_case("IAM:getuser", "iam:GetUser"));
    }
}
