//! Which words of an error may be shown: never a body. The API server's own decoded message is, cut and cleaned; of
//! what could not be decoded only where it broke.

use kube::client::AuthError;
use kube::core::Status;
use kube::runtime::watcher;

/// The longest that is shown of a message, in characters.
const LONGEST: usize = 400;
/// The reason that kube gives to what it could not decode; its message is then the whole body.
const UNDECODED: &str = "Failed to parse error data";

/// What an error of a request says.
pub fn said_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => said_of_status(status),
        // Serde quotes what it did not expect.
        kube::Error::SerdeError(error) => {
            let (line, column) = (error.line(), error.column());
            format!("its answer cannot be decoded ({:?}, line {line}, column {column})", error.classify())
        }
        kube::Error::FromUtf8(_) => "its answer is not text".to_owned(),
        kube::Error::LinesCodecMaxLineLengthExceeded => "a line of its answer is too long".to_owned(),
        kube::Error::ReadEvents(error) => clean(&causes(error)),
        kube::Error::HyperError(error) => clean(&causes(error)),
        kube::Error::Service(error) => clean(&causes(error.as_ref())),
        // A plugin's whole output would be shown.
        kube::Error::Auth(_) => UNAUTHENTICATED.to_owned(),
        // Its address may hold a password.
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            "the proxy has a scheme other than http and https".to_owned()
        }
        kube::Error::HttpError(_) | kube::Error::BuildRequest(_) => {
            "the request cannot be made: a name in it is none".to_owned()
        }
        // A kubeconfig holds credentials, and an error in it quotes them.
        kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) => {
            "the kubeconfig cannot be used".to_owned()
        }
        kube::Error::Discovery(_) => "it does not serve the kind".to_owned(),
        kube::Error::RustlsTls(error) => clean(&causes(error)),
        kube::Error::TlsRequired => "TLS is not available".to_owned(),
    }
}

/// What is shown where credentials for the API server cannot be had.
const UNAUTHENTICATED: &str = "the credentials for the API server cannot be had";

/// What an error of a watch says.
pub fn said_of_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) => format!("the list failed: {}", said_of(error)),
        watcher::Error::WatchStartFailed(error) => format!("the watch did not begin: {}", said_of(error)),
        watcher::Error::WatchError(status) => format!("the watch ended: {}", said_of_status(status)),
        watcher::Error::WatchFailed(error) => format!("the watch broke: {}", said_of(error)),
        watcher::Error::NoResourceVersion => "an object came without a resourceVersion".to_owned(),
    }
}

/// What the API server itself says.
pub fn said_of_status(status: &Status) -> String {
    if status.reason == UNDECODED || status.message.is_empty() {
        return format!("HTTP {}, with an answer that is not the API server's", status.code);
    }
    clean(&status.message)
}

/// What serde says of an object that it cannot decode, without the values that it quotes.
pub fn said_in_decoding(error: &str) -> String {
    let quote = ['"', '`', '\''];
    let Some((from, to)) = error.find(quote).zip(error.rfind(quote)) else { return clean(error) };
    let (before, after) = (error.get(..from).unwrap_or_default(), error.get(to..).unwrap_or_default());
    clean(&format!("{before}…{}", after.trim_start_matches(quote)))
}

/// Words without what steers a terminal or hides text, and not too many of them.
pub fn clean(words: &str) -> String {
    let shown = |character: &char| {
        !matches!(*character,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut characters = words.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(shown);
    let cut: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() { format!("{cut}…") } else { cut }
}

/// An error with its causes, as the machine and the network tell them.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<AuthError>() {
            return UNAUTHENTICATED.to_owned();
        }
        if let Some(error) = error.downcast_ref::<kube::Error>() {
            return said_of(error);
        }
        words.push(error.to_string());
        cause = error.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use kube::core::Status;
    use kube::runtime::watcher;

    use super::{LONGEST, said_in_decoding, said_of, said_of_watch};

    const CANARY: &str = "c2VjcmV0X2NhbmFyeQ";

    /// Every error whose own words, or those of its causes, show a body.
    fn that_carry_a_body() -> Vec<kube::Error> {
        let status = |status: Status| kube::Error::Api(status.boxed());
        let decode = |text: &str| kube::Error::SerdeError(serde_json::from_str::<Secret>(text).unwrap_err());
        vec![
            status(Status::failure(CANARY, "Failed to parse error data").with_code(502)),
            decode(&format!(r#"{{"data": "{CANARY}"}}"#)),
            decode(&format!(r#"{{"metadata": {{"name": ["{CANARY}"]}}}}"#)),
            decode(&format!(r#"{{"kind": "{CANARY}"}}"#)),
            decode(&format!(r#"{{"apiVersion": "{CANARY}"}}"#)),
            kube::Error::FromUtf8(String::from_utf8([CANARY.as_bytes(), b"\xff"].concat()).unwrap_err()),
            kube::Error::ProxyProtocolUnsupported {
                proxy_url: Box::new(format!("ftp://user:{CANARY}@proxy").parse().unwrap()),
            },
            kube::Error::BuildRequest(kube::core::request::Error::Validation(CANARY.to_owned())),
            kube::Error::Auth(kube::client::AuthError::AuthExec(CANARY.to_owned())),
            kube::Error::Service(Box::new(kube::client::AuthError::AuthExec(CANARY.to_owned()))),
            kube::Error::Service(Box::new(status(
                Status::failure(CANARY, "Failed to parse error data").with_code(502),
            ))),
            kube::Error::InferKubeconfig(kube::config::KubeconfigError::LoadContext(CANARY.to_owned())),
        ]
    }

    #[test]
    fn no_error_shows_a_body() {
        let mut shown = 0;
        for error in that_carry_a_body() {
            shown += usize::from(format!("{error} {error:?}").contains(CANARY));
            let said = said_of(&error);
            assert!(!said.contains(CANARY) && !said.is_empty(), "{said}");
            let said = said_of_watch(&watcher::Error::WatchFailed(error));
            assert!(!said.contains(CANARY), "{said}");
        }
        assert!(shown > 6, "the errors' own words do show it, else this says nothing: {shown}");
    }

    #[test]
    fn the_api_servers_own_words_are_shown_cut_and_cleaned() {
        let said = |message: &str| said_of(&kube::Error::Api(Status::failure(message, "Forbidden").boxed()));
        assert_eq!(said("secrets \"x\" is forbidden"), "secrets \"x\" is forbidden");
        assert_eq!(said("a\nb\u{1b}[31m\u{202e}c\u{200b}"), "a b [31mc");
        assert_eq!(said(&"ä".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn of_an_object_that_cannot_be_decoded_no_value_is_shown() {
        for (text, expected) in [
            (
                format!("invalid type: string \"{CANARY}\", expected i32 at line 1 column 5"),
                "invalid type: string …, expected i32 at line 1 column 5",
            ),
            (format!("unknown variant `{CANARY}\"`, expected `A` or `B`"), "unknown variant …"),
            ("missing field".to_owned(), "missing field"),
        ] {
            assert_eq!(said_in_decoding(&text), expected);
        }
    }
}
