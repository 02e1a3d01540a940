//! What the API server means where it does not take a request. Its words may quote the object, which its owner writes: only
//! what it says of its own accord is judged, and shown.

use kube::core::Status;
use kube::core::response::StatusCause;

use super::bounds::cut;
use super::error::WriteError;
use crate::api::is_status_field;
use crate::kubernetes::said_of_status;

/// What stands before the fields that a strict write is refused for, after the whole object.
const STRICT: &str = "strict decoding error: ";
/// The most of its words that is shown, in bytes.
const WORDS: usize = 300;

/// Which kind of error an answer is.
pub(super) fn refused(status: &Status) -> WriteError {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    match status.code {
        404 | 409 => WriteError::Lost(words(status)),
        422 if causes.iter().any(|cause| cause.field == "patch") => of_patch(&status.message),
        422 if !causes.is_empty() && causes.iter().all(is_of_a_change) => WriteError::Lost(words(status)),
        400 | 401 | 403 | 413 | 422 => WriteError::Refused(words(status)),
        _ => WriteError::Unanswered(words(status)),
    }
}

/// Whether the object became another one, or began to go, since it was read.
fn is_of_a_change(cause: &StatusCause) -> bool {
    match cause.field.as_str() {
        "metadata.uid" | "metadata.resourceVersion" => true,
        "metadata.finalizers" => cause.message.contains("being deleted"),
        _ => false,
    }
}

/// The object with the patch cannot be read. It is quoted before the reason, and may hold any words; what follows the last
/// mark is the API server's, if it names fields and nothing else.
fn of_patch(message: &str) -> WriteError {
    let name = |part: &str| {
        let name = part.strip_prefix("unknown field \"")?.strip_suffix('"')?;
        is_status_field(name).then(|| name.to_owned())
    };
    let names = message.rsplit_once(STRICT).and_then(|(_, named)| named.split(", ").map(name).collect());
    names.map_or_else(
        || WriteError::Refused("the object cannot be read with what was to be written".to_owned()),
        WriteError::UnknownFields,
    )
}

fn words(status: &Status) -> String {
    cut(&said_of_status(status), WORDS)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::refused;
    use crate::status::WriteError;

    fn answer(code: u16, field: &str, message: &str) -> WriteError {
        let causes = json!([{"field": field, "message": message}]);
        let status = json!({"code": code, "message": message, "details": {"causes": causes}});
        refused(&serde_json::from_value::<Status>(status).unwrap())
    }

    fn quoting(object: &str, reason: &str) -> String {
        format!(" \"\" is invalid: patch: Invalid value: {object:?}: {reason}")
    }

    #[test]
    fn unknown_fields_are_told_from_every_other_refusal() {
        let strict = r#"strict decoding error: unknown field "status.submission", unknown field "status.history[0].runID""#;
        let fields = ["status.submission", "status.history[0].runID"].map(str::to_owned).to_vec();
        assert_eq!(answer(422, "patch", &quoting("{}", strict)), WriteError::UnknownFields(fields));
        let policy = "denied: strict decoding error: unknown field \"status.submission\"";
        for code in [403, 422] {
            assert!(matches!(answer(code, "", policy), WriteError::Refused(_)), "{code}");
        }
        let long = "metadata.annotations: Too long: may not be more than 262144 bytes";
        assert_eq!(answer(422, "metadata.annotations", long), WriteError::Refused(long.to_owned()));
        assert!(matches!(answer(422, "metadata.uid", "field is immutable"), WriteError::Lost(_)));
        assert!(matches!(answer(409, "", "modified"), WriteError::Lost(_)));
        assert!(matches!(answer(500, "", "etcd"), WriteError::Unanswered(_)));
    }

    #[test]
    fn what_an_object_quotes_is_neither_judged_nor_shown() {
        let lie = r#"{"payload":"strict decoding error: unknown field "status.submission""}"#;
        let messages = [
            quoting(lie, "json: cannot unmarshal"),
            quoting(lie, r#"strict decoding error: unknown field "spec.other""#),
            quoting(lie, r#"strict decoding error: duplicate field "status.submission""#),
            r#"strict decoding error: unknown field "status.submission", secret"#.to_owned(),
            lie.to_owned(),
        ];
        for message in messages {
            let found = answer(422, "patch", &message);
            let WriteError::Refused(words) = &found else { panic!("{found:?}") };
            assert!(
                !words.contains("payload") && !words.contains("secret") && !words.contains("unknown"),
                "{words}"
            );
        }
    }

    #[test]
    fn words_are_cut_and_clean() {
        let WriteError::Refused(words) = answer(403, "", &format!("a\nb{}", "c".repeat(5000))) else {
            panic!()
        };
        assert!(words.len() <= 300 && words.starts_with("a b"), "{words}");
    }
}
